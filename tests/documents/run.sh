#!/usr/bin/env bash
# Runs the command lines that the documents show, against the demo.
set -euo pipefail
cd "$(dirname "$0")/../.."

DEMO_PRODUCTS=20 tests/with_demo.sh python3 tests/documents/run.py
