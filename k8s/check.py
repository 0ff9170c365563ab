"""What no schema says of the manifests, the alert rules and how pods are found.

Usage: check.py DIR RENDERED...   (DIR takes what is tried, RENDERED are overlays as kustomize made them)
"""

import json
import pathlib
import re
import subprocess
import sys

import yaml

HERE = pathlib.Path(__file__).parent
MONITORING = HERE / "monitoring"
ROLES = {"ingest", "journal", "journal-b", "compactor", "restorer", "backstock"}
faults = []


def documents(path):
    return [document for document in yaml.safe_load_all(pathlib.Path(path).read_text()) if document]


def keys_apart(path, what):
    """The API server refuses a key that stands both in matchLabelKeys and in the selector beside it."""
    if isinstance(what, list):
        for one in what:
            keys_apart(path, one)
    elif isinstance(what, dict):
        if "matchLabelKeys" in what:
            selector = what.get("labelSelector") or {}
            keys = set(selector.get("matchLabels") or {})
            keys |= {expression["key"] for expression in selector.get("matchExpressions") or []}
            for key in keys & set(what["matchLabelKeys"]):
                faults.append(f"{path}: {key} is in matchLabelKeys and in the selector")
        for one in what.values():
            keys_apart(path, one)


def synced(path):
    """What serves the stream syncs its store before each start, also where only the container starts anew."""
    for document in documents(path):
        for container in document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            line = " ".join(container.get("command", []) + container.get("args", []))
            before, server, _ = line.partition("nats-server")
            if server and "sync -f /data &&" not in before:
                faults.append(f"{path}: {container['name']} starts without a sync: {line}")


def targets(path):
    """What service discovery finds of the pods: a target for each port, with the labels that it has."""
    for document in documents(path):
        template = document.get("spec", {}).get("template")
        if not template:
            continue
        meta = template["metadata"]
        name = meta["labels"]["app.kubernetes.io/name"]
        labels = {"pod_name": f"{name}-0", "pod_phase": "Running", "pod_label_app_kubernetes_io_name": name}
        for key, value in meta.get("annotations", {}).items():
            labels["pod_annotation_" + re.sub(r"\W", "_", key.replace(".", "_"))] = value
        for container in template["spec"]["containers"]:
            for port in container.get("ports", []):
                number = str(port["containerPort"])
                told = {**labels, "pod_container_port_number": number}
                told = {f"__meta_kubernetes_{key}": value for key, value in told.items()}
                yield {"targets": [f"{name}:{number}"], "labels": told}


def scraped(directory, path):
    """Every role is one target, under its name, and nothing else is one."""
    config = yaml.safe_load((MONITORING / "scrape.yaml").read_text())
    scrape = config["scrape_configs"][0]
    # Debian's Prometheus knows no Kubernetes: what that would find is written out.
    found = scrape.pop("kubernetes_sd_configs")
    if found != [{"role": "pod", "namespaces": {"names": ["backstock"]}}]:
        faults.append(f"scrape.yaml looks for something else: {found}")
    pods = list(targets(path))
    scrape["static_configs"] = pods
    tried = directory / "scrape.yaml"
    tried.write_text(yaml.safe_dump(config))
    subprocess.run(["promtool", "check", "config", tried], check=True, stdout=subprocess.DEVNULL)
    command = ["promtool", "check", "service-discovery", "--timeout=1s", tried, "backstock"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept = [one["labels"] for one in json.loads(answer) if one["labels"]]
    jobs = sorted((labels["job"], labels["instance"]) for labels in kept)
    names = {pod["labels"]["__meta_kubernetes_pod_label_app_kubernetes_io_name"] for pod in pods} & ROLES
    job = lambda name: "backstock" if name == "backstock" else f"backstock-{name.removesuffix('-b')}"
    expected = sorted((job(name), f"{name}-0") for name in names)
    if not expected or jobs != expected:
        faults.append(f"scrape.yaml finds {jobs} in {path}, not {expected}")


def alerts():
    """Every alert is tried, and names a section of the runbook, which has all that whoever is woken needs."""
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    rules = [rule for group in rules for rule in group["rules"]]
    runbook = re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", (HERE / "RUNBOOK.md").read_text(), re.MULTILINE)
    sections = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-"): text for heading, text in runbook}
    files = MONITORING.glob("*.test.yaml")
    tests = [test for file in files for test in yaml.safe_load(file.read_text())["tests"]]
    tried = [one for test in tests for one in test["alert_rule_test"]]
    fires = {one["alertname"] for one in tried if one["exp_alerts"]}
    rests = {one["alertname"] for one in tried if not one["exp_alerts"]}
    for rule in rules:
        name, url = rule["alert"], rule["annotations"].get("runbook_url", "")
        section = sections.get(url.partition("#")[2])
        if section is None:
            faults.append(f"{name}: RUNBOOK.md has no section for {url!r}")
        for part in ("For merchants", "To confirm", "To do"):
            if section and f"\n**{part}**:" not in section:
                faults.append(f"{name}: its section of RUNBOOK.md has no {part!r}")
        if name not in fires:
            faults.append(f"{name} is never shown to fire")
        if name not in rests:
            faults.append(f"{name} is never shown to stay away")


directory, *rendered = map(pathlib.Path, sys.argv[1:])
for path in rendered:
    keys_apart(path, documents(path))
    synced(path)
    if any(document.get("kind") in ("StatefulSet", "Deployment") for document in documents(path)):
        scraped(directory, path)
alerts()
for fault in faults:
    print(f"error: {fault}", file=sys.stderr)
sys.exit(bool(faults))
