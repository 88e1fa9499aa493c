#!/usr/bin/env bash
# Runs the basic scenarios (see perf/scenarios) against a router binary and prints one table.
#
#   perf/run-basic.sh ROUTER LOADGEN
#
# Environment: SHARDS (2), DURATION (5, seconds per measured window), PORT (18480), SESSIONS (10000).
# Exit code: 0 when every scenario passed, 1 when one did not, 2 when it could not be run.
set -euo pipefail

if [ $# -ne 2 ] || [ ! -x "$1" ] || [ ! -x "$2" ]; then
    echo "usage: $0 ROUTER LOADGEN   (two executables, built with: cargo build --release)" >&2
    exit 2
fi
router=$1
loadgen=$2
shards=${SHARDS:-2}
duration=${DURATION:-5}
port=${PORT:-18480}
sessions=${SESSIONS:-10000}
url=rs://127.0.0.1:$port
work=$(mktemp -d)
router_pid=
failed=0

stop_router() {
    [ -n "$router_pid" ] || return 0
    kill -TERM "$router_pid" 2>/dev/null || true
    for _ in $(seq 100); do
        kill -0 "$router_pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$router_pid" 2>/dev/null || true
    wait "$router_pid" 2>/dev/null || true
    router_pid=
}
trap 'stop_router; rm -rf "$work"' EXIT
trap 'exit 2' INT TERM

start_router() {
    "$router" run --listen "127.0.0.1:$port" --shards "$shards" >"$work/router.log" 2>&1 &
    router_pid=$!
    for _ in $(seq 100); do
        if ! kill -0 "$router_pid" 2>/dev/null; then
            break
        fi
        if "$loadgen" connect --url "$url" --sessions 1 --hold 0 --timeout 1 >/dev/null 2>&1; then
            return 0
        fi
        sleep 0.1
    done
    echo "the router does not answer at $url; it said:" >&2
    tail -n 20 "$work/router.log" >&2
    exit 2
}

# field NAME REPORT: one figure of a report; "-" when there is none.
field() {
    local value
    value=$(sed -n 's/.*"'"$1"'":\([^,}]*\).*/\1/p' <<<"$2")
    echo "${value:--}"
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else print "-" }'; }
round() { awk -v a="$1" -v d="$2" 'BEGIN { if (a == "-") print a; else printf "%.*f", d, a }'; }

# measure NAME YARDSTICK LOADGEN-ARGUMENTS...: sets `report` and `yard`, for `row`.
measure() {
    local name=$1 yardstick=$2
    shift 2
    yard=$("$loadgen" floor --connections 64 --duration 1 --json) || exit 2
    yard=$(field "$yardstick" "$yard")
    start_router
    local code=0
    report=$(timeout 300 "$loadgen" "$@" --url "$url" --serializer msgpack --router-pid "$router_pid" --json) || code=$?
    stop_router
    if [ "$code" -ne 0 ]; then
        failed=1
        echo "$name: failed with exit code $code" >&2
        [ -z "$report" ] || echo "$report" >&2
    fi
}

# row NAME UNIT RESULT
row() {
    local cpu
    cpu=$(field router_cpu_us_per_operation "$report")
    printf '%-34s %14s %-10s %8s %8s %7s %9s %9s\n' "$1" "$3" "$2" "$(round "$cpu" 2)" "$(round "$yard" 2)" \
        "$(ratio "$cpu" "$yard")" "$(round "$(field p50 "$report")" 0)" "$(round "$(field p99 "$report")" 0)"
}

ulimit -n "$(ulimit -Hn)"
echo "$(uname -sr), $(nproc) cores, $shards shards, $("$router" --version 2>/dev/null | head -n 1)"
printf '%-34s %14s %-10s %8s %8s %7s %9s %9s\n' scenario result unit "us/op" "floor us" ratio "p50 us" "p99 us"

measure rpc echo_server_cpu_us rpc --callers 4 --callees 1 --in-flight 64 --payload 64 --duration "$duration"
row "rpc, 256 in flight, 64 B" "calls/s" "$(round "$(field operations_per_second "$report")" 0)"

measure fan-out send_cpu_us \
    pubsub --publishers 1 --subscribers 1000 --in-flight 16 --payload 64 --duration "$duration"
row "fan-out 1 -> 1000, 16 in flight" "events/s" "$(round "$(field operations_per_second "$report")" 0)"

measure idle echo_server_cpu_us connect --sessions "$sessions" --hold 3
row "$sessions idle sessions" "B/session" "$(round "$(field router_bytes_per_session "$report")" 0)"

measure churn echo_server_cpu_us \
    churn --sessions "$((10 * sessions))" --warmup-sessions "$((3 * sessions))" --growth-max 100
row "$((10 * sessions)) joined and left" "B/session" "$(round "$(field router_growth_bytes_per_session "$report")" 1)"
echo "descriptors before and after the last: $(round "$(field router_descriptors_before "$report")" 0)," \
    "$(round "$(field router_descriptors_after "$report")" 0)"

exit "$failed"
