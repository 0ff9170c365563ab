"""What Schemathesis cannot know of the API from its description."""

import functools
import json
import os
import time
import urllib.request

import schemathesis


@functools.cache
def there():
    """Things that are there, by the parameters that name them: with made-up ones only 404 is seen."""

    def get(path):
        url = f"{os.environ['BACKSTOCK_URL']}/v1/shops/acme/{path}"
        headers = {"authorization": f"Bearer {os.environ['BACKSTOCK_TOKEN']}"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return json.load(answer)["items"]

    for _ in range(600):
        products, sets = get("resources?kind=product&limit=1"), get("change-sets?limit=1")
        if products and sets:
            break
        time.sleep(0.1)
    product = products[0]["id"]
    version = next(v for v in get(f"resources/product/{product}/versions") if not v["unchanged"])
    names = {"kind": "product", "id": product, "seq": version["seq"]}
    return {"/resources/{kind}/{id}": names, "/change-sets/{set}": {"set": sets[0]["id"]}}


@schemathesis.hook
def before_call(context, case, kwargs):
    if not (case.meta and case.meta.generation.mode.is_positive):
        return
    # A cursor is what a page ended with, and no other text is accepted, as its description says. One
    # that was made up is no valid request.
    if isinstance(case.query, dict):
        case.query.pop("cursor", None)
    for part, names in there().items():
        if part in case.path:
            asked = {name: value for name, value in names.items() if name in case.path_parameters}
            case.path_parameters.update(asked, shop="acme")


@schemathesis.serializer("application/zstd")
def zstd(context, value):
    # The bytes of an export, which are none here.
    return value if isinstance(value, bytes) else str(value).encode()
