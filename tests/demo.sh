#!/usr/bin/env bash
# A simulated shop with live traffic, and Backstock beside it. Ctrl-C stops all of it.
#   --script   no person: capture, kill -9, compare with the truth, verify, a bad app and its automatic
#              rollback, proof that the shop is as before; exits 0 if all of it holds
set -euo pipefail
cd "$(dirname "$0")/.."

script=false
[ "${1:-}" = --script ] && script=true
bin=${CARGO_TARGET_DIR:-target}/release
dir=$(mktemp -d -t backstock-demo.XXXXXX)
shop=acme.myshopify.com
secret=hush
pids=()

stop() {
    trap - EXIT INT TERM
    # The shop first, so that nothing is sent that nobody takes.
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT TERM

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
free_or() { if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then port; else echo "$1"; fi; }
api=$(free_or 8080) ingest=$(free_or 8081) admin=$(free_or 9090)

token=$(python3 -c 'import secrets; print("bst_" + secrets.token_urlsafe(32))')
cat >"$dir/backstock.toml" <<TOML
data_dir = "$dir/data"
[http]
ingest = "127.0.0.1:$ingest"
restorer = "127.0.0.1:$api"
[compactor]
log_every = 1
[[shop]]
domain = "$shop"
webhook_secrets = ["$secret"]
access_token = "shpat_demo"
admin_url = "http://127.0.0.1:$admin"
[shop.guard]
action = "apply"
settle_seconds = 3
[[token]]
name = "demo"
sha256 = "$(printf %s "$token" | sha256sum | cut -d' ' -f1)"
scopes = ["read", "restore", "admin"]
shops = ["*"]
TOML
export BACKSTOCK_URL=http://127.0.0.1:$api BACKSTOCK_TOKEN=$token BACKSTOCK_SHOP=$shop

ready() { # ready URL LOG
    for _ in $(seq 300); do
        curl -fsS -o /dev/null "$1" 2>/dev/null && return
        sleep 0.1
    done
    echo "error: $1 does not answer; the end of its log:" >&2
    tail -20 "$2" >&2
    exit 1
}

serve() {
    "$bin/backstock" serve --config "$dir/backstock.toml" 2>>"$dir/backstock.log" &
    serve_pid=$!
    ready "http://127.0.0.1:$api/readyz" "$dir/backstock.log"
}

admin_url=http://127.0.0.1:$admin
tests/shopify/schema.sh "${CARGO_TARGET_DIR:-target}/shopify" >/dev/null
serve
"$bin/shopify" serve --listen "127.0.0.1:$admin" --shop "$shop" --secret "$secret" \
    --webhooks "http://127.0.0.1:$ingest/webhooks" --products "${DEMO_PRODUCTS:-200}" --rate 4 --seed "${DEMO_SEED:-1}" \
    --schemas "${CARGO_TARGET_DIR:-target}/shopify" \
    --token shpat_demo --duplicate 0.05 --delay 0.05 --reorder 0.05 2>"$dir/shopify.log" &
pids=("$!" "$serve_pid")
ready "http://127.0.0.1:$admin/_sim/deliveries" "$dir/shopify.log"

if ! $script; then
    cat <<TEXT

  A simulated shop ($shop) sells, edits and sends webhooks, some of them late, twice or out of order.
  Backstock keeps every version. Its page:

    $BACKSTOCK_URL      token: $token

  In another terminal:

    export BACKSTOCK_URL=$BACKSTOCK_URL BACKSTOCK_TOKEN=$token BACKSTOCK_SHOP=$shop
    $bin/backstock status
    $bin/backstock changes --from "1 minute ago"
    $bin/backstock find mug
    curl -X POST "http://127.0.0.1:$admin/_sim/scenario/bad_app?products=50"   # an app breaks it; watch changes
    curl -H "Authorization: Bearer \$BACKSTOCK_TOKEN" $BACKSTOCK_URL/v1/shops/$shop/snapshot

  API      $BACKSTOCK_URL/v1/openapi.json
  Metrics  $BACKSTOCK_URL/metrics
  Shopify  $admin_url
  Webhooks http://127.0.0.1:$ingest/webhooks
  Log      $dir/backstock.log

  Ctrl-C stops all of it and leaves nothing behind.
TEXT
    wait "${pids[@]}"
    exit
fi

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "1. Capture: the shop sells and edits for eight seconds"
sleep 8
"$bin/backstock" status

say "2. kill -9 in the middle of it; Shopify goes on, and sends again what was not answered 200"
kill -9 "$serve_pid"
# The shell would report the death that was just caused.
exec 3>&2 2>/dev/null
wait "$serve_pid" || true
exec 2>&3 3>&-
serve
pids[1]=$serve_pid
sleep 6

say "3. The shop closes; everything still under way arrives"
curl -fsS -X POST "$admin_url/_sim/traffic?rate=0" >/dev/null
curl -fsS -X POST "$admin_url/_sim/drain"
echo

say "4. What Backstock shows, against what the shop really was at every instant"
python3 tests/demo_compare.py --admin "$admin_url"

say "5. The shop is asked for everything, and compared with history"
"$bin/backstock" reconcile

say "6. Everything is read back and checked, and proved restorable"
"$bin/backstock" verify
"$bin/backstock" prove

# What buyers see: every product's title and prices, and every collection.
shown() {
    for kind in product collection; do curl -fsS "$admin_url/_sim/truth?kind=$kind"; done | python3 -c '
import json, sys
for line in sys.stdin:
    it = json.loads(line)
    it = it.get("state", it)
    variants = it.get("variants") or []
    print(it["title"], [(v["price"], v["compareAtPrice"]) for v in variants] if variants else "")
' | sort
}

say "7. An app is about to be installed; somebody notes that down"
"$bin/backstock" mark "about to install Bulk Price Wizard" --app "Bulk Price Wizard"
shown >"$dir/before"

say "8. The app cuts prices to a tenth and deletes collections"
curl -fsS -X POST "$admin_url/_sim/scenario/bad_app?products=50"
echo
shown >"$dir/broken"
echo "$(diff "$dir/before" "$dir/broken" | grep -c '^[<]') products and collections are not as before"

say "9. The guard sees it, and undoes it by itself"
for _ in $(seq 600); do
    job=$(curl -fsS -H "Authorization: Bearer $token" "$BACKSTOCK_URL/v1/shops/$shop/incidents" |
        python3 -c 'import json, sys
for incident in json.load(sys.stdin)["items"]:
    if incident.get("job"): print(incident["job"]); break')
    [ -n "$job" ] && break
    sleep 0.1
done
[ -n "$job" ] || { echo "error: nothing was undone within a minute" >&2; tail -20 "$dir/backstock.log" >&2; exit 1; }
"$bin/backstock" changes --from "2 minutes ago" --app "Bulk Price Wizard"
"$bin/backstock" job "$job" --watch

say "10. Proof: what buyers see, before the app and now (Shopify's log may name the app up to two minutes later)"
for _ in $(seq 150); do
    shown >"$dir/after"
    cmp -s "$dir/before" "$dir/after" && break
    sleep 1
done
diff "$dir/before" "$dir/after"
echo "$(wc -l <"$dir/after") products and collections, all as before"
