#!/usr/bin/env bash
# The end-to-end tests on kind, with Istio and Prometheus, and the operator's image in the cluster.
# Written for users with a container engine; where the project is developed there is none, so this
# script has not been run there.
set -euo pipefail
cd "$(dirname "$0")/.."

CLUSTER=${PENSTOCK_KIND_CLUSTER:-penstock}
IMAGE=penstock:0.1.0

missing=()
engine=
for candidate in docker podman; do
  if command -v "$candidate" >/dev/null && "$candidate" info >/dev/null 2>&1; then
    engine=$candidate
    break
  fi
done
[ -n "$engine" ] || missing+=("no container engine answers (docker info, podman info)")
for tool in kind kubectl istioctl helm; do
  command -v "$tool" >/dev/null || missing+=("$tool is not on the path")
done
if [ ${#missing[@]} -gt 0 ]; then
  printf 'test-kind: not run: %s\n' "${missing[@]}" >&2
  exit 3
fi
[ "$engine" = docker ] || export KIND_EXPERIMENTAL_PROVIDER=$engine

KUBECONFIG=$(mktemp)
export KUBECONFIG
trap 'rm -f "$KUBECONFIG"' EXIT

echo "test-kind: cluster $CLUSTER" >&2
kind get clusters | grep -qx "$CLUSTER" || kind create cluster --name "$CLUSTER" --wait 120s
kind get kubeconfig --name "$CLUSTER" >"$KUBECONFIG"

echo "test-kind: Istio" >&2
istioctl install --set profile=default --skip-confirmation

echo "test-kind: Prometheus" >&2
helm upgrade --install prometheus prometheus --repo https://prometheus-community.github.io/helm-charts \
  --namespace istio-system --set server.global.scrape_interval=1s --set alertmanager.enabled=false \
  --set server.fullnameOverride=prometheus --set server.service.servicePort=9090 --wait

echo "test-kind: the operator" >&2
"$engine" build --file Containerfile --tag "$IMAGE" .
kind load docker-image "$IMAGE" --name "$CLUSTER"
kubectl apply --server-side --kustomize manifests/testbed
kubectl --namespace penstock-system rollout status deployment/penstock --timeout 120s

PENSTOCK_TEST_KUBECONFIG=$KUBECONFIG .venv/bin/python -m pytest -m "bed and not soak"
