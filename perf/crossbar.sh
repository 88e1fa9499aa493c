#!/usr/bin/env bash
# Runs Crossbar.io on a loopback port, for comparisons: RawSocket, and WebSocket at /ws, anonymous, realm1.
#
#   perf/crossbar.sh PORT        installs what is missing, then serves until it is stopped
#   perf/crossbar.sh install     only installs
#
# Environment: WAMPLINE_CACHE (where it is installed, default .cache in the repository), WAMPLINE_PYTHON (python3, 3.11).
set -euo pipefail

VERSION=26.10.1
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${WAMPLINE_CACHE:-$root/.cache}
python=${WAMPLINE_PYTHON:-python3}
venv=$cache/crossbar-$VERSION

if [ $# -ne 1 ]; then
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
if [ ! -e "$venv/.stamp" ]; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "crossbar==$VERSION" </dev/null
    touch "$venv/.stamp"
fi
if [ "$1" = install ]; then exit 0; fi

port=$1
node=$cache/crossbar-node-$port
mkdir -p "$node/.crossbar"
auth='"auth": {"anonymous": {"type": "static", "role": "anonymous"}}'
serializers='"serializers": ["json", "msgpack", "cbor"]'
cat >"$node/.crossbar/config.json" <<JSON
{
  "version": 2,
  "controller": {},
  "workers": [{
    "type": "router",
    "id": "router1",
    "realms": [{
      "name": "realm1",
      "roles": [{
        "name": "anonymous",
        "permissions": [{
          "uri": "",
          "match": "prefix",
          "allow": {"call": true, "register": true, "publish": true, "subscribe": true},
          "disclose": {"caller": false, "publisher": false},
          "cache": true
        }]
      }]
    }],
    "transports": [{
      "type": "universal",
      "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": $port, "backlog": 4096},
      "rawsocket": {$serializers, $auth},
      "websocket": {"ws": {"type": "websocket", $serializers, $auth}}
    }]
  }]
}
JSON
exec "$venv/bin/crossbar" start --cbdir "$node/.crossbar" --loglevel warn
