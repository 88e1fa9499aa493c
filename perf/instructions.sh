#!/usr/bin/env bash
# Instructions per operation under valgrind, and the budgets that they must keep (bench-harness/budgets.toml).
#
#   perf/instructions.sh check       fails if an operation takes over 3 percent more than its budget
#   perf/instructions.sh record      writes the budgets anew; the commit says why
#   perf/instructions.sh show        prints the counts
#
# More arguments go to `wampline-instructions`, for example `--filter parse/publish`. Exit code 3: skipped, because there is
# no valgrind or the budgets were recorded with another compiler or C library. With CI=true and as root, valgrind is installed.
set -euo pipefail

cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
if [ $# = 0 ]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
if ! command -v valgrind >/dev/null && [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ]; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends valgrind; } </dev/null >/dev/null ||
        echo "valgrind could not be installed" >&2
fi
# What incremental builds put together depends on what was built before.
CARGO_INCREMENTAL=0 cargo build --release --locked --quiet -p wampline-bench --bin wampline-instructions </dev/null
exec "$CARGO_TARGET_DIR/release/wampline-instructions" "$@"
