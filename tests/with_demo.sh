#!/usr/bin/env bash
# Runs a command beside the demo, which ends with it. The command finds in its environment
# BACKSTOCK_URL, BACKSTOCK_TOKEN, ADMIN_URL (of the simulated shop) and BIN (where the programs are).
# Usage: [DEMO_PRODUCTS=20] tests/with_demo.sh COMMAND [ARGUMENT...]
set -euo pipefail
cd "$(dirname "$0")/.."

# The whole workspace: with parts of it, dependencies would be compiled anew with other features.
cargo build --release --locked --workspace
demo_log=$(mktemp)
tests/demo.sh >"$demo_log" &
demo=$!
stop() {
    kill "$demo" 2>/dev/null || true
    wait "$demo" 2>/dev/null || true
    rm -f "$demo_log"
}
trap stop EXIT
for _ in $(seq 600); do
    grep -q 'Ctrl-C stops' "$demo_log" && break
    kill -0 "$demo" 2>/dev/null || { cat "$demo_log" >&2; exit 1; }
    sleep 0.1
done
said() { sed -n "s/.*$1\([^ ]*\).*/\1/p" "$demo_log" | head -1; }
BACKSTOCK_URL=$(said 'BACKSTOCK_URL=') BACKSTOCK_TOKEN=$(said 'BACKSTOCK_TOKEN=')
ADMIN_URL=$(said 'Shopify  ') BIN=${CARGO_TARGET_DIR:-target}/release
export BACKSTOCK_URL BACKSTOCK_TOKEN ADMIN_URL BIN
"$@"
