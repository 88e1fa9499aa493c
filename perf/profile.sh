#!/usr/bin/env bash
# Looks into a router under load: where does its time go?
#
#   perf/profile.sh stat       ROUTER LOADGEN ARGUMENTS...    perf stat: context switches, cycles, misses
#   perf/profile.sh record     ROUTER LOADGEN ARGUMENTS...    perf record, then the functions by their own time
#   perf/profile.sh flamegraph ROUTER LOADGEN ARGUMENTS...    perf record, then flamegraph.svg
#   perf/profile.sh syscalls   ROUTER LOADGEN ARGUMENTS...    system calls, counted and timed (strace)
#   perf/profile.sh callgrind  ROUTER LOADGEN ARGUMENTS...    valgrind, then the functions by their instructions
#
# ARGUMENTS are those of the generator without --url, for example `rpc --in-flight 64`. Build both with
# `cargo build --release -p wampline -p wampline-loadgen`; frame pointers (RUSTFLAGS="-C force-frame-pointers=yes") make stacks
# cheap and whole. flamegraph needs inferno: cargo install --locked inferno.
#
# Environment: SHARDS (1), PORT (18490), SECONDS_MEASURED (5), OUT (a new folder), ROUTER_ARGUMENTS (more for `run`), HERTZ (999).
# Exit code: 0 when the load ran without a fault, 2 when it could not be run.
set -euo pipefail

usage() {
    sed -n '2,17s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
[ $# -ge 4 ] && [ -x "$2" ] && [ -x "$3" ] || usage
kind=$1 router=$2 loadgen=$3
shift 3
port=${PORT:-18490} seconds=${SECONDS_MEASURED:-5}
out=${OUT:-$(mktemp -d)}
router_pid='' tool_pid=''
# Tenths of a second that an orderly end may take; valgrind needs long to write.
patience=200
[ "$kind" != callgrind ] || patience=1200
mkdir -p "$out"

stop() {
    # The tool ends with the router and writes what it has; it is only told if it does not.
    for pid in $router_pid $tool_pid; do
        kill -TERM "$pid" 2>/dev/null || true
        for _ in $(seq "$patience"); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    router_pid='' tool_pid=''
}
trap stop EXIT
trap 'exit 2' INT TERM

# shellcheck disable=SC2206
arguments=(run --listen "127.0.0.1:$port" --shards "${SHARDS:-1}" ${ROUTER_ARGUMENTS:-})
if [ "$kind" = callgrind ]; then
    # Some fifty times slower: keep the load small (--in-flight) and read shares, not times.
    valgrind --tool=callgrind --callgrind-out-file="$out/callgrind.out" --separate-threads=no \
        "$router" "${arguments[@]}" >"$out/router.log" 2>&1 &
else
    "$router" "${arguments[@]}" >"$out/router.log" 2>&1 &
fi
router_pid=$!
until "$loadgen" connect --url "rs://127.0.0.1:$port" --sessions 1 --hold 0 --timeout 5 >/dev/null 2>&1; do
    kill -0 "$router_pid" 2>/dev/null || { tail -n 20 "$out/router.log" >&2; exit 2; }
    sleep 0.2
done

case $kind in
stat)
    perf stat -p "$router_pid" -e task-clock,context-switches,cpu-migrations,page-faults,cycles,instructions,cache-misses \
        -o "$out/stat.txt" &
    ;;
record | flamegraph)
    # cpu-clock exists in virtual machines too.
    perf record -q -e cpu-clock -F "${HERTZ:-999}" -g -p "$router_pid" -o "$out/perf.data" 2>"$out/perf.log" &
    ;;
syscalls) strace -c -f -p "$router_pid" -o "$out/syscalls.txt" 2>/dev/null & ;;
callgrind) true & ;;
*) usage ;;
esac
tool_pid=$!
sleep 0.5
"$loadgen" "$@" --url "rs://127.0.0.1:$port" --duration "$seconds" --router-pid "$router_pid" || exit 2
# perf and strace end by this signal and write what they have.
kill -INT "$tool_pid" 2>/dev/null || true
wait "$tool_pid" 2>/dev/null || true
tool_pid=''
stop

case $kind in
stat) cat "$out/stat.txt" ;;
record) perf report -i "$out/perf.data" --no-children --stdio -g none --percent-limit 1 2>/dev/null | grep -v '^#' | grep . ;;
flamegraph)
    perf script -i "$out/perf.data" 2>/dev/null | inferno-collapse-perf | inferno-flamegraph >"$out/flamegraph.svg"
    echo "$out/flamegraph.svg"
    ;;
syscalls) cat "$out/syscalls.txt" ;;
callgrind)
    callgrind_annotate "$out/callgrind.out" >"$out/callgrind.txt" 2>/dev/null
    sed -n '1,60p' "$out/callgrind.txt"
    ;;
esac
echo "all of it: $out" >&2
