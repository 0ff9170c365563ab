#!/usr/bin/env bash
# A shop of a size that no test of `make test` has, measured from end to end; prints figures, and fails
# where a bound on memory or on the use of the granted budget does not hold. What can be set:
#   BACKSTOCK_PRODUCTS   products in the shop, with about ten variants each   (1,000)
#   BACKSTOCK_KINDS      kinds that are waited for and looked at again        (product)
#   BACKSTOCK_CHANGED    products changed before answers are timed            (1,000, at most all)
#   BACKSTOCK_RESTORED   products deleted and restored, by the shop's plan; fewer than there are  (plus:500)
#   BACKSTOCK_BULK_PACE  lines a second of each bulk mutation, 0: none begins (5)
#   BACKSTOCK_LATENCY    seconds that each answer of the shop takes meanwhile (0.3)
# such as BACKSTOCK_PRODUCTS=100000 BACKSTOCK_KINDS=product,inventory_item
#         BACKSTOCK_RESTORED=standard:300,advanced:600,plus:10000
set -euo pipefail
cd "$(dirname "$0")/.."
cargo nextest run --release --locked -p backstock -p shopify --profile torture --no-capture \
    --run-ignored only -E 'binary(e2e) & test(a_large_shop_measured)' "$@"
