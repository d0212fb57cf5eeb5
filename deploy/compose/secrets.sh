#!/bin/sh
# Makes what deploy/compose needs and does not have yet, in ./secrets: an authority, a certificate for each broker,
# passwords, the cluster's id, the key of keyed hashes. What is there stays; --renew makes new broker certificates from
# the same authority. Nothing is printed. Keep ./secrets safe and out of any repository: above all hash.key, since all
# state depends on it, and ca.key, which nothing here needs once the certificates are made.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets
days_authority=3650
days_broker=397

secret() { [ -s "$1" ] || openssl rand -hex 24 | tr -d "\n" > "$1"; }

if [ ! -s ca.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days "$days_authority" \
        -subj "/CN=selvedge compose authority" -keyout ca.key -out ca.pem 2>/dev/null
fi
for broker in kafka-1 kafka-2 kafka-3; do
    [ "${1:-}" = --renew ] && rm -f "$broker.pem"
    [ -s "$broker.pem" ] && continue
    printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' "$broker" > "$broker.ext"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -subj "/CN=$broker" \
        -keyout "$broker.key" -out "$broker.csr" 2>/dev/null
    openssl x509 -req -in "$broker.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -days "$days_broker" \
        -extfile "$broker.ext" -out "$broker.crt" 2>/dev/null
    cat "$broker.key" "$broker.crt" > "$broker.pem"
    rm -f "$broker.key" "$broker.csr" "$broker.crt" "$broker.ext"
done
for name in admin interbroker worker producer consumer operator grafana; do
    secret "$name.password"
done
secret hash.key
[ -s cluster.id ] || openssl rand 16 | base64 | tr '+/' '-_' | tr -d '=\n' > cluster.id
# Compose mounts these files as they are, and containers run as other users than this one.
chmod 0711 .
chmod 0444 ./*.pem ./*.password hash.key cluster.id
