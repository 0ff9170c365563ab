"""Compares what Backstock shows with what the simulated shop really was, at many instants.

Exits 1 if a delivery that was answered 200 cannot be read back exactly once, or if any resource that
the shop sent differs from the truth at an instant at which it had been heard of.
"""

import argparse
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

FIELDS = {
    "product": ["title", "handle", "status", "descriptionHtml", "vendor", "productType", "tags"],
    "collection": ["title", "handle", "descriptionHtml", "sortOrder"],
    "customer": ["firstName", "lastName", "email", "note"],
    "order": ["name", "displayFinancialStatus", "displayFulfillmentStatus", "note", "tags"],
}


def get(url, token=None):
    request = urllib.request.Request(url)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Backstock:
    def __init__(self):
        self.url = f"{os.environ['BACKSTOCK_URL']}/v1/shops/{os.environ['BACKSTOCK_SHOP']}"
        self.token = os.environ["BACKSTOCK_TOKEN"]

    def list(self, path, **query):
        cursor = None
        while True:
            page = dict(query, limit=1000, **({"cursor": cursor} if cursor else {}))
            status, body = get(f"{self.url}/{path}?{urllib.parse.urlencode(page)}", self.token)
            if status != 200:
                sys.exit(f"error: {path}: {status} {body[:300]!r}")
            body = json.loads(body)
            yield from body["items"]
            cursor = body["next"]
            if not cursor:
                return

    def knows(self, kind, number):
        path = f"resources/{kind}/{urllib.parse.quote(number, safe='')}/versions"
        return get(f"{self.url}/{path}", self.token)[0] == 200

    def snapshot(self, at, kind):
        query = urllib.parse.urlencode({"at": at, "kind": kind})
        status, body = get(f"{self.url}/snapshot?{query}", self.token)
        lines = [json.loads(line) for line in body.splitlines()]
        if status != 200 or not lines or lines[-1].get("end") is not True:
            sys.exit(f"error: snapshot of {kind} at {at}: {status}, cut off")
        return {line["gid"]: line["state"] for line in lines[:-1]}


def end_of_second(at):
    """Shopify dates documents to the second: what was true at its end is what they say."""
    return at[:19] + ".999999Z"


def named(gid):
    """Kind and id of a gid: gid://shopify/InventoryItem/1 is ("inventory_item", "1")."""
    of_type, number = gid.split("/")[3:5]
    return re.sub(r"(?<!^)(?=[A-Z])", "_", of_type).lower(), number.split("?")[0]


def really(field, truth):
    if field == "email":
        return (truth.get("defaultEmailAddress") or {}).get("emailAddress")
    return truth.get(field)


def same(field, ours, truth):
    if field == "tags":
        return sorted(ours or []) == sorted(truth or [])
    return (ours or None) == (truth or None)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--admin", required=True)
    arguments.add_argument("--instants", type=int, default=40)
    options = arguments.parse_args()
    backstock = Backstock()

    _, log = get(f"{options.admin}/_sim/deliveries/log")
    accepted = {}
    for line in log.splitlines():
        delivery = json.loads(line)
        if delivery["outcome"] == "accepted":
            accepted[delivery["webhook_id"]] = delivery

    heard = {}  # gid -> [valid_at]
    versions = {}  # webhook id -> how often
    for attempt in range(100):
        versions.clear()
        listed = list(backstock.list("resources"))
        there = {(resource["kind"], resource["id"]) for resource in listed}
        # What was only ever signalled, and is gone by now, is history of something never seen.
        signalled = {named(delivery["gid"]) for delivery in accepted.values()} - there
        listed += [
            {"kind": kind, "id": number, "gid": None}
            for kind, number in signalled
            if backstock.knows(kind, number)
        ]
        for resource in listed:
            path = f"resources/{resource['kind']}/{urllib.parse.quote(resource['id'], safe='')}/versions"
            for version in backstock.list(path):
                if version["webhook_id"]:
                    versions[version["webhook_id"]] = versions.get(version["webhook_id"], 0) + 1
                if version["facet"] == "core":
                    heard.setdefault(resource["gid"], []).append(version["valid_at"])
        lost = [w for w in accepted if w not in versions]
        if not lost:
            break
        heard.clear()
        time.sleep(0.1)
    twice = [w for w, n in versions.items() if n > 1]

    instants = sorted({end_of_second(t) for times in heard.values() for t in times})
    step = max(1, len(instants) // options.instants)
    compared = wrong = 0
    for at in instants[::step] + instants[-1:]:
        for kind, fields in FIELDS.items():
            ours = backstock.snapshot(at, kind)
            _, body = get(f"{options.admin}/_sim/truth?{urllib.parse.urlencode({'at': at, 'kind': kind})}")
            truth = {line["id"]: line for line in map(json.loads, body.splitlines())}
            for gid, times in heard.items():
                if gid is None or min(times) > at or (gid not in ours and gid not in truth):
                    continue
                compared += 1
                if gid not in ours or gid not in truth:
                    if (gid in ours) != (gid in truth) and gid.split("/")[3].lower() == kind:
                        wrong += 1
                        print(f"at {at}: {gid} is there in only one of both")
                    continue
                for field in fields:
                    if not same(field, ours[gid].get(field), really(field, truth[gid])):
                        wrong += 1
                        print(f"at {at}: {gid} {field}: {ours[gid].get(field)!r}, really {really(field, truth[gid])!r}")

    print(f"{len(accepted)} deliveries answered 200, lost {len(lost)}, visible duplicates {len(twice)}")
    print(f"{compared} states compared at {len(instants[::step]) + 1} instants, wrong {wrong}")
    if lost or twice or wrong or not compared:
        sys.exit(1)


main()
