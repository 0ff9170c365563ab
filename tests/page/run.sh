#!/usr/bin/env bash
# The page in a real Chromium: against the example with a year of history, and against the demo.
# Screenshots go to target/page/, and those that the documents show also to the directory SHOTS, if it is
# named (`make pictures`).
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v "${CHROMIUM:-chromium}" >/dev/null; then
    if [ "$(id -u)" != 0 ]; then
        echo "error: the Debian package chromium is missing and needs root to install:" >&2
        echo "       sudo apt-get install chromium" >&2
        exit 1
    fi
    echo "installing chromium"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
fi
export CHROMIUM
CHROMIUM=$(command -v "${CHROMIUM:-chromium}")

target=${CARGO_TARGET_DIR:-target}
# The whole workspace: with parts of it, dependencies would be compiled anew with other features.
cargo build --release --locked --workspace
cargo build --release --locked --workspace --example believable
(cd tests/page && npm ci --no-audit --no-fund --silent --ignore-scripts)

mkdir -p "$target/page"

# 1. Every page and journey, with the example, by itself and in a frame of Shopify's admin.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$target/release/examples/believable" "127.0.0.1:$port" store 2>"$target/page/example.log" &
example=$!
stop() {
    kill "$example" 2>/dev/null || true
    wait "$example" 2>/dev/null || true
}
trap stop EXIT
for _ in $(seq 100); do
    curl -fsS -o /dev/null "http://127.0.0.1:$port/readyz" 2>/dev/null && break
    sleep 0.1
done
node tests/page/journeys.mjs "http://127.0.0.1:$port"
node tests/page/embedded.mjs "http://127.0.0.1:$port"

# 2. A new user's path, with the demo: everything real but the shop.
tests/with_demo.sh node tests/page/restore.mjs
