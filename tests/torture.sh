#!/usr/bin/env bash
# The long crash, fault and seed loops, of which `make test` runs a short form. Each prints what it
# did, its failures and its seed; BACKSTOCK_SEED repeats one. The counts can be set:
#   BACKSTOCK_CASES        random histories against the model      (100,000)
#   BACKSTOCK_KILLS        kills in each of the kill loops          (200)
#   BACKSTOCK_POWER_CUTS   power cuts                               (20)
#   BACKSTOCK_SEEDS        shops in which an app is undone            (300)
#   BACKSTOCK_WRECKS       whole shops wrecked and taken back          (1,000)
#   BACKSTOCK_HARMS        sorts of harm that the guard undoes       (10)
#   BACKSTOCK_TROUBLED_DAYS  pairs of days with webhooks lost, twice, late  (20)
#   BACKSTOCK_MONTHS       months of ordinary life under guard        (40)
#   PROPTEST_CASES         forged signatures                        (1,000,000)
# Usage: tests/torture.sh [nextest arguments, such as a test's name]
set -euo pipefail
cd "$(dirname "$0")/.."

export BACKSTOCK_CASES=${BACKSTOCK_CASES:-100000}
export BACKSTOCK_KILLS=${BACKSTOCK_KILLS:-200}
export BACKSTOCK_POWER_CUTS=${BACKSTOCK_POWER_CUTS:-20}
export BACKSTOCK_SEEDS=${BACKSTOCK_SEEDS:-300}
export BACKSTOCK_WRECKS=${BACKSTOCK_WRECKS:-1000}
export BACKSTOCK_TROUBLED_DAYS=${BACKSTOCK_TROUBLED_DAYS:-20}
export BACKSTOCK_MONTHS=${BACKSTOCK_MONTHS:-40}
export PROPTEST_CASES=${PROPTEST_CASES:-1000000}
loops='test(torture) | test(any_history_agrees) | test(survives_kills_under_load) | test(no_forgery_is_taken)'
cargo nextest run --release --locked --workspace --profile torture --no-capture --run-ignored all -E "$loops" "$@"
