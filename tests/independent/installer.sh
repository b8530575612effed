#!/bin/sh
# Plays Gitpod's installer: `validate config --config FILE` and `render --namespace NAME --config FILE`, which prints the
# ten deployments and the proxy's service.
set -eu
verb=$1
while [ $# -gt 0 ]; do
  case "$1" in
    --config) config=$2 ;;
    --namespace) namespace=$2 ;;
  esac
  shift
done
domain=$(sed -n 's/^domain: *//p' "$config")
[ -n "$domain" ] || { echo "the config names no domain" >&2; exit 1; }
grep -q 'name: storage-s3' "$config" || { echo "the config names no storage" >&2; exit 1; }
[ "$verb" = render ] || exit 0

for name in blobserve content-service dashboard ide-proxy image-builder-mk3 proxy server ws-manager ws-manager-bridge ws-proxy; do
  cat <<Y
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: $name, namespace: $namespace, labels: {app: gitpod, component: $name}}
spec:
  replicas: 1
  selector: {matchLabels: {app: gitpod, component: $name}}
  template:
    metadata: {labels: {app: gitpod, component: $name}, annotations: {domain: $domain}}
    spec:
      nodeSelector: {gitpod.io/workload_meta: "true"}
      containers: [{name: main, image: "gitpod.test/$name:1"}]
Y
done
cat <<Y
---
apiVersion: v1
kind: Service
metadata: {name: proxy, namespace: $namespace, labels: {app: gitpod, component: proxy}}
spec:
  type: LoadBalancer
  selector: {app: gitpod, component: proxy}
  ports: [{name: http, port: 80}, {name: https, port: 443}, {name: ssh, port: 22}]
Y
