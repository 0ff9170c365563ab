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

# What the shop itself does meanwhile is not what is tried here.
DEMO_PRODUCTS=20 tests/with_demo.sh bash -euo pipefail -c '
    curl -fsS -X POST "$ADMIN_URL/_sim/traffic?rate=0" >/dev/null
    "$@" run "$BACKSTOCK_URL/v1/openapi.json"
' with_demo "$venv/bin/schemathesis" --config-file tests/openapi/schemathesis.toml
