#!/usr/bin/env bash
# Whether the API is what /v1/openapi.json says: Schemathesis makes requests of the description, right
# ones and wrong ones, and holds the answers of a running Backstock against it. The same seed each time.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=target/tools/schemathesis
wanted=$(sha256sum tests/openapi/requirements.txt)
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
    echo "fetching schemathesis"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement tests/openapi/requirements.txt
    echo "$wanted" >"$venv/installed"
fi
cargo build --release --locked --workspace

demo_log=$(mktemp)
stop() {
    kill "$demo" 2>/dev/null || true
    wait "$demo" 2>/dev/null || true
    rm -f "$demo_log"
}
DEMO_PRODUCTS=20 tests/demo.sh >"$demo_log" &
demo=$!
trap stop EXIT
for _ in $(seq 600); do
    grep -q 'Ctrl-C stops' "$demo_log" && break
    sleep 0.1
done
said() { sed -n "s/.*$1\([^ ]*\).*/\1/p" "$demo_log" | head -1; }
BACKSTOCK_URL=$(said 'BACKSTOCK_URL=') BACKSTOCK_TOKEN=$(said 'BACKSTOCK_TOKEN=')
export BACKSTOCK_URL BACKSTOCK_TOKEN
# What the shop itself does meanwhile is not what is tried here.
curl -fsS -X POST "$(said 'Shopify  ')/_sim/traffic?rate=0" >/dev/null

"$venv/bin/schemathesis" --config-file tests/openapi/schemathesis.toml run "$BACKSTOCK_URL/v1/openapi.json" "$@"
