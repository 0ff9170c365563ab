#!/usr/bin/env bash
# Runs the command lines that the documents show, against the demo.
set -euo pipefail
cd "$(dirname "$0")/../.."

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
BACKSTOCK_URL=$(said 'BACKSTOCK_URL=') BACKSTOCK_TOKEN=$(said 'BACKSTOCK_TOKEN=') \
    ADMIN_URL=$(said 'Shopify  ') BIN=${CARGO_TARGET_DIR:-target}/release python3 tests/documents/run.py
