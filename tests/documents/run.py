"""Runs every command line in a fenced block of the documents, in the order in which they stand there,
against a running demo: BACKSTOCK_URL, BACKSTOCK_TOKEN, ADMIN_URL, and BIN, where the binaries are.

What a line leaves for its reader to fill in is filled in. What cannot be run here is named below, with
the reason. A line that is neither is a failure: nobody would notice when it no longer works.
"""

import datetime
import json
import os
import pathlib
import pty
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "docs/restore.md",
    "docs/faq.md",
    "docs/security.md",
    "docs/export.md",
    "k8s/README.md",
    "k8s/RUNBOOK.md",
    "tests/shopify/README.md",
]
URL, TOKEN, ADMIN = (os.environ[name] for name in ("BACKSTOCK_URL", "BACKSTOCK_TOKEN", "ADMIN_URL"))
BIN = (ROOT / os.environ["BIN"]).resolve()
SHOP = "acme.myshopify.com"
# The app that the simulated shop has for what documents tell of one.
APP = "Bulk Price Wizard"

# What wants a machine that is not here; the files that such a line names are looked for all the same.
ELSEWHERE = {"docker": "a registry of images", "kubectl": "a cluster", "for": "a cluster"}


def ask(url, body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def api(path):
    return ask(f"{URL}/v1/shops/{SHOP}/{path}", authorization=f"Bearer {TOKEN}")


def shopify(query, **variables):
    body = {"query": query, "variables": variables}
    answer = ask(f"{ADMIN}/admin/api/2026-10/graphql.json", body, **{"x-shopify-access-token": "shpat_demo"})
    assert "errors" not in answer, answer
    return answer["data"]


def until(what, holds):
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    sys.exit(f"error: {what} within a minute")


def prepared(scratch):
    """A shop that stands still, known whole, in which one price was changed; what fills gaps, of which
    files lie in `scratch`."""
    for path in ("traffic?rate=0", "drain"):
        urllib.request.urlopen(urllib.request.Request(f"{ADMIN}/_sim/{path}", method="POST")).read()
    pulled = lambda: [kind["pull"] for kind in api("status")["kinds"] if kind.get("pull")]
    until("not all of the shop was read", lambda: len(pulled()) > 5 and all(p["state"] != "running" for p in pulled()))
    product = shopify("{ products(first: 1) { nodes { id variants(first: 1) { nodes { id price } } } } }")["products"]["nodes"][0]
    variant = product["variants"]["nodes"][0]
    before = datetime.datetime.now(datetime.UTC)
    time.sleep(1.1)  # A document's own time has whole seconds.
    edit = "mutation($id: ID!, $variants: [ProductVariantsBulkInput!]!) { productVariantsBulkUpdate(productId: $id, variants: $variants) { userErrors { message } } }"
    shopify(edit, id=product["id"], variants=[{"id": variant["id"], "price": "0.99"}])
    number = product["id"].rsplit("/", 1)[1]
    until("the change did not arrive", lambda: "0.99" in json.dumps(api(f"resources/product/{number}")["state"]["variants"]))
    customer = api("resources?kind=customer&limit=1")["items"][0]["id"]
    return {
        "http://127.0.0.1:8080": URL,
        "your-shop.myshopify.com": SHOP,
        "bst_…": TOKEN,
        "Bulk Editor": APP,
        '"yesterday 14:00"': before.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "9007199254740993": number,
        "7713840332914": customer,
        # There is one shop only.
        "acme-staging": "acme",
        **{name: f"{scratch}/{name}" for name in ("acme.tar.zst", "answer.ndjson", "read.py")},
    }


def installed():
    """The app that somebody noted down does what it does, too little of it to be undone by itself."""
    urllib.request.urlopen(urllib.request.Request(f"{ADMIN}/_sim/scenario/bad_app?products=2", method="POST")).read()
    by = urllib.parse.quote(APP)
    until("nothing is known of the app", lambda: api(f"change-sets?app={by}")["items"])


def lines(text):
    """The command lines of the blocks without a language; what is indented is what they print."""
    fence, block = None, []
    for line in text.splitlines():
        bare = line.strip()
        if not bare.startswith("```"):
            if fence is not None:
                block.append(line.removeprefix(fence[0]))
        elif fence is None:
            fence, block = (line[: len(line) - len(line.lstrip())], bare[3:]), []
        else:
            body = "\n".join(block) + "\n"
            # A drawing is none; a loop counts as its first line.
            if not fence[1] and "▶" not in body:
                body = re.sub(r"\\\n\s*", "", body)
                body = re.sub(r"^(for .*)\n(?:.*\n)*?done$", r"\1", body, flags=re.MULTILINE)
                yield from (line for line in body.splitlines() if line and not line.startswith(" "))
            fence = None


def run(line, environment):
    """Runs a line as its reader would, who says yes when asked. Answers how it ended, and what it said."""
    said = bytearray()

    def heard(fd):
        piece = os.read(fd, 65536)
        said.extend(piece)
        if b"[y/N]" in piece:
            os.write(fd, b"y\n")
        return piece

    stdout = os.dup(1)
    os.environ.update(environment)
    with open(os.devnull, "w") as quiet:
        os.dup2(quiet.fileno(), 1)
        ended = pty.spawn(["bash", "-c", line], heard, lambda fd: b"")
        os.dup2(stdout, 1)
    os.close(stdout)
    return os.waitstatus_to_exitcode(ended), said.decode(errors="replace")


def simulator(words):
    """Starts the simulator as it is said, on a port that is free, until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    at = words.index("--listen") + 1
    words = [*words[:at], address, *words[at + 1:], "--schemas", str(BIN.parent / "shopify")]
    child = subprocess.Popen([BIN / "shopify", *words[words.index("--") + 1:]], stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            assert child.poll() is None, f"the simulator ended with {child.returncode}"
            try:
                return ask(f"http://{address}/_sim/deliveries")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        raise AssertionError("the simulator does not answer")
    finally:
        child.kill()
        child.wait()


def tried(line, filled):
    """Tries one line. Answers in which way."""
    words = shlex.split(line, comments=True)
    if words[0] in ELSEWHERE:
        for word in words:
            path = word.removesuffix("…")
            assert not path.startswith("k8s/") or (ROOT / path).exists(), f"there is no {path}"
        return f"not run, for want of {ELSEWHERE[words[0]]}"
    if words[0] == "make":
        subprocess.run(["make", "--dry-run", words[1]], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return "make knows how"
    if words[:2] == ["cargo", "run"] and "shopify" in words:
        simulator(words)
        return "answered"
    if words[0] == "zstd" and not shutil.which("zstd"):
        return "not run, for want of zstd"
    if words[0] not in ("backstock", "curl", "export", "tests/shopify/schema.sh", "zstd"):
        raise AssertionError("nobody has said how this is tried: see tests/documents/run.py")
    for gap, filling in filled.items():
        line = line.replace(gap, filling)
    by_app = f"change-sets?app={urllib.parse.quote(APP)}"
    for gap, of in (("PLAN", "plans?limit=1"), ("JOB", "jobs?limit=1"), ("CHANGE-SET", by_app)):
        if re.search(rf"\b{gap}\b", line):
            line = re.sub(rf"\b{gap}\b", api(of)["items"][0]["id"], line)
    if words[0] == "export":
        os.environ.update(pair.split("=", 1) for pair in shlex.split(line)[1:])
        return "set"
    began = time.monotonic()
    line = line if words[0] != "curl" else line.replace("curl ", "curl --fail --silent --show-error ", 1)
    code, said = run(line, {"PATH": f"{BIN}:{os.environ['PATH']}", "BACKSTOCK_URL": URL})
    # Traffic goes on in the demo's shop: what it moves between plan and apply is left alone, and said (3).
    moved = words[:2] == ["backstock", "apply"] and code == 3 and "in conflict" in said
    assert code == 0 or moved, f"ended with {code}: {said}"
    assert said.strip(), "it said nothing"
    if words[:2] == ["backstock", "mark"]:
        installed()
    return f"{time.monotonic() - began:.1f} s"


def walked(filled):
    """Tries every line. Answers how many there are, and how many failed."""
    failed, count = 0, 0
    for document in DOCUMENTS:
        text = (ROOT / document).read_text()
        for program in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            pathlib.Path(filled["read.py"]).write_text(program)
        for line in lines(text):
            count += 1
            try:
                print(f"ok    {document}: {line} ({tried(line, filled)})", flush=True)
            except (AssertionError, subprocess.CalledProcessError) as error:
                failed += 1
                print(f"FAIL  {document}: {line}\n      {error}", flush=True)
    return count, failed


def main():
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        count, failed = walked(prepared(scratch))
    assert count > 20, f"only {count} lines were found"
    print(f"{count} command lines of the documents, {failed} failed")
    sys.exit(1 if failed else 0)


main()
