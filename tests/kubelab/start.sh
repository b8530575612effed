#!/usr/bin/env bash
# start.sh BIN DIR : start a real control plane on 127.0.0.1 with its state in DIR; returns when the API answers.
# BIN is the multi-call binary of build.sh, with stages.yaml beside it. Ports: API_PORT ETCD_PORT PEER_PORT KWOK_PORT.
# Each server ends by itself after LIMIT_S seconds. Writes DIR/admin.kubeconfig (client certificate), DIR/*.pid, DIR/*.log.
set -euo pipefail
BIN=$(readlink -f "$1"); mkdir -p "$2"; D=$(readlink -f "$2"); STAGES=$(dirname "$BIN")/stages.yaml
: "${API_PORT:?}" "${ETCD_PORT:?}" "${PEER_PORT:?}" "${KWOK_PORT:?}"
cd "$D"; umask 077; mkdir -p pki

# One authority (serving, clients, signing requests), one key for service accounts.
ec() { openssl ecparam -name prime256v1 -genkey -noout -out "$1" 2>/dev/null; }
sign() { # sign NAME SUBJECT EXTENSIONS
  ec "pki/$1.key"; openssl req -new -key "pki/$1.key" -subj "$2" -out "pki/$1.csr" 2>/dev/null
  openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 2 \
    -extfile <(printf '%s\n' "$3") -out "pki/$1.crt" 2>/dev/null; }
ec pki/ca.key; openssl req -x509 -new -key pki/ca.key -subj "/CN=kubelab-ca" -days 2 -out pki/ca.crt \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
names=IP:127.0.0.1,IP:10.96.0.1,DNS:localhost
for name in kubernetes kubernetes.default kubernetes.default.svc kubernetes.default.svc.cluster.local; do names=$names,DNS:$name; done
sign apiserver /CN=kube-apiserver "subjectAltName=$names
extendedKeyUsage=serverAuth"
sign admin "/O=system:masters/CN=admin" "extendedKeyUsage=clientAuth"
openssl genrsa -out pki/sa.key 2048 2>/dev/null; openssl rsa -in pki/sa.key -pubout -out pki/sa.pub 2>/dev/null
b64() { base64 -w0 < "$1"; }
cat > admin.kubeconfig <<K
{"apiVersion":"v1","kind":"Config","current-context":"lab",
 "clusters":[{"name":"lab","cluster":{"server":"https://127.0.0.1:$API_PORT","certificate-authority-data":"$(b64 pki/ca.crt)"}}],
 "contexts":[{"name":"lab","context":{"cluster":"lab","user":"admin"}}],
 "users":[{"name":"admin","user":{"client-certificate-data":"$(b64 pki/admin.crt)","client-key-data":"$(b64 pki/admin.key)"}}]}
K

run() { local name=$1; timeout --foreground -k 5 "${LIMIT_S:-900}" "$BIN" "$@" >"$name.log" 2>&1 </dev/null & echo $! >"$name.pid"; }

run etcd --name default --data-dir "$D/etcd" --log-level warn --unsafe-no-fsync \
  --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
  --listen-peer-urls "http://127.0.0.1:$PEER_PORT" --initial-advertise-peer-urls "http://127.0.0.1:$PEER_PORT" \
  --initial-cluster "default=http://127.0.0.1:$PEER_PORT"

run kube-apiserver --etcd-servers "http://127.0.0.1:$ETCD_PORT" \
  --bind-address 127.0.0.1 --secure-port "$API_PORT" \
  --advertise-address 192.0.2.1 --endpoint-reconciler-type none \
  --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key --client-ca-file pki/ca.crt \
  --authorization-mode Node,RBAC --allow-privileged --service-cluster-ip-range 10.96.0.0/16 \
  --service-account-issuer https://kubernetes.default.svc.cluster.local \
  --service-account-key-file pki/sa.pub --service-account-signing-key-file pki/sa.key

ready() { [ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 5 --noproxy '*' --cacert pki/ca.crt "https://127.0.0.1:$API_PORT/readyz")" = 200 ]; }
for _ in $(seq 900); do
  ready && break
  kill -0 "$(cat kube-apiserver.pid)" || { echo "kube-apiserver ended"; tail -5 kube-apiserver.log; exit 1; }
  sleep 0.1
done
ready || { echo "kube-apiserver is not ready"; tail -5 kube-apiserver.log; exit 1; }

run kube-controller-manager --kubeconfig admin.kubeconfig --leader-elect=false --secure-port 0 --bind-address 127.0.0.1 \
  --service-account-private-key-file pki/sa.key --root-ca-file pki/ca.crt \
  --cluster-signing-cert-file pki/ca.crt --cluster-signing-key-file pki/ca.key
run kube-scheduler --kubeconfig admin.kubeconfig --leader-elect=false --secure-port 0 --bind-address 127.0.0.1
run kwok --config "$STAGES" --kubeconfig admin.kubeconfig --manage-all-nodes=true --node-lease-duration-seconds=40 \
  --server-address "127.0.0.1:$KWOK_PORT"
