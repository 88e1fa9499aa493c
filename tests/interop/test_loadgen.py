"""The load generator against the real router: every transport, serializer and scenario; and what it writes, read by others."""

import asyncio
import json
import os
import xml.etree.ElementTree
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from harness.router import binary

RPC = ["rpc", "--callers", "3", "--callees", "2", "--count", "300", "--warmup", "0"]
PUBSUB = ["pubsub", "--publishers", "2", "--subscribers", "6", "--topics", "2", "--in-flight", "4", "--count", "100", "--warmup", "0"]


async def generate(endpoints, transport, *arguments):
    """Runs the generator, which must find no fault; returns its report."""
    trust = ["--ca", endpoints.authority] if transport in ("wss", "rss") else []
    command = [str(generator()), *arguments, "--url", endpoints.url(transport), *trust, "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, f"{command}: {process.returncode}\n{out.decode()}\n{err.decode()}"
    report = json.loads(out)
    assert report["passed"], report
    return report


def generator():
    if "WAMPLINE_LOADGEN_BIN" in os.environ:
        return Path(os.environ["WAMPLINE_LOADGEN_BIN"])
    return binary().with_name("wampline-loadgen")


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize("transport", ["ws", "wss", "rs", "rss", "unix"])
async def test_calls_and_events_over_every_transport(endpoints, transport, serializer):
    report = await generate(endpoints, transport, *RPC, "--serializer", serializer)
    assert report["operations"] == 300
    report = await generate(endpoints, transport, *PUBSUB, "--serializer", serializer)
    assert report["operations"] == 100 * 3


@pytest.mark.parametrize("size", ["64", "5000", "200000"])
@pytest.mark.parametrize("shape", ["text", "binary", "numbers", "nested"])
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_payloads_survive_mixed_serializers(endpoints, serializer, shape, size):
    payload = ["--payload", size, "--payload-shape", shape, "--serializer", serializer, "--count", "30", "--warmup", "0"]
    mixed = ["--subscriber-serializers", "json,msgpack,cbor", "--subscribers", "6"]
    report = await generate(endpoints, "rs", "pubsub", *mixed, *payload)
    assert report["operations"] == 30 * 6
    report = await generate(endpoints, "ws", "rpc", "--callees", "3", "--callee-serializers", "json,msgpack,cbor", *payload)
    assert report["operations"] == 30


@pytest.mark.parametrize(
    "scenario, operations",
    [
        (["mixed", "--subscribers", "4", "--rate", "500", "--count", "100"], 80 + 20 * 4),
        (["mixed", "--subscribers", "4", "--threads", "2", "--count", "100"], 80 + 20 * 4),
        (["churn", "--of", "subscriptions", "--count", "200"], 200),
        (["churn", "--of", "registrations", "--count", "200", "--rate", "1000"], 200),
        (["churn", "--sessions", "100", "--warmup-sessions", "10"], 100),
        (["churn", "--sessions", "50", "--warmup-sessions", "10", "--abrupt", "--rate", "500"], 50),
        (["connect", "--sessions", "100", "--hold", "0"], 100),
        (["pubsub", "--subscribers", "3", "--acknowledge", "--count", "100"], 300),
        (["rpc", "--callers", "1", "--in-flight", "1", "--busy-poll", "--count", "100"], 100),
        (["pubsub", "--subscribers", "1", "--count", "50"]
         + ["--background-exact", "500", "--background-prefix", "200", "--background-wildcard", "200"], 50),
        (["pubsub", "--subscribers", "4", "--idle-per-receiver", "1", "--idle-before-senders", "1", "--count", "50"], 200),
    ],
)
async def test_every_scenario(endpoints, scenario, operations):
    if "--warmup-sessions" not in scenario and scenario[0] != "connect":
        scenario = [*scenario, "--warmup", "0"]
    report = await generate(endpoints, "rs", *scenario)
    assert report["operations"] == operations


async def test_the_cost_of_the_router_is_told(full_router):
    router, endpoints = full_router
    report = await generate(endpoints, "rs", "rpc", "--duration", "1", "--warmup", "0.1", "--router-pid", str(router.pid))
    assert report["router_cpu_us_per_operation"] > 0
    assert report["router_rss_kib"] > 1000
    assert report["generator_cpu_us_per_operation"] > 0


async def test_the_log_is_read_by_another_implementation(endpoints, tmp_path):
    log = tmp_path / "out.hlog"
    window = ["--rate", "400", "--duration", "1", "--warmup", "0", "--interval", "0.25"]
    report = await generate(endpoints, "rs", "rpc", *window, "--hdr-log", str(log))
    total = HdrHistogram(1, 600_000_000_000, 3)
    reader = HistogramLogReader(str(log), total)
    intervals = []
    while (interval := reader.get_next_interval_histogram()) is not None:
        intervals.append(interval.get_end_time_stamp() - interval.get_start_time_stamp())
        total.add(interval)
    assert len(intervals) >= 4 and intervals[:3] == pytest.approx([250.0] * 3, abs=2.0)
    assert total.get_total_count() == report["operations"]
    assert total.get_value_at_percentile(50) / 1e3 == pytest.approx(report["latency_us"]["p50"], rel=0.01)
    assert total.get_max_value() / 1e3 == pytest.approx(report["latency_us"]["max"], rel=0.01)


async def test_the_page_stands_alone(endpoints, tmp_path):
    page = tmp_path / "out.html"
    await generate(endpoints, "ws", "rpc", "--duration", "1", "--warmup", "0", "--report", str(page))
    root = xml.etree.ElementTree.parse(page).getroot()
    names = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert names.count("svg") == 3
    assert not {"script", "link", "img", "iframe", "object"} & set(names)
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not {"src", "href"} & attributes
