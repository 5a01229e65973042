#!/usr/bin/env bash
# Makes a private CA, a server certificate and a client certificate for trying TLS on this machine.
# Names are those of Redis's utils/gen-test-certs.sh, so that configurations written for it fit.
#
#   certs/make-certs.sh [--force] [DIRECTORY]     (default: the directory of this script)
#
# Existing certificates that are still valid for a day are kept; --force replaces them.
# These keys have no passphrase: they are for development, never for a server that others reach.
set -euo pipefail

force=no
if [[ "${1:-}" == --force ]]; then
    force=yes
    shift
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "${1:-$here}"
cd "${1:-$here}"
umask 077

# Days of validity: the CA outlives what it signs, and no leaf exceeds the 825 days that Apple's TLS accepts.
ca_days=3650
leaf_days=820

valid_for_a_day() {
    local file
    for file in ca.crt server.crt client.crt; do
        openssl x509 -checkend 86400 -noout -in "$file" >/dev/null 2>&1 || return 1
    done
    [[ -s ca.key && -s server.key && -s client.key ]]
}

# leaf NAME SUBJECT EXTENSIONS: an EC key and a certificate signed by the CA
leaf() {
    local name=$1 subject=$2 extensions=$3
    openssl ecparam -name prime256v1 -genkey -noout -out "$name.key"
    openssl req -new -sha256 -key "$name.key" -subj "$subject" -out "$name.csr"
    openssl x509 -req -sha256 -days "$leaf_days" -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial \
        -extfile <(printf '%s\n' "$extensions") -out "$name.crt" 2>/dev/null
    rm -f "$name.csr"
}

if [[ $force == no ]] && valid_for_a_day; then
    echo "certificates in $PWD are still valid"
    exit 0
fi

openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -new -sha256 -key ca.key -days "$ca_days" -subj "/O=Ochre development/CN=Certificate Authority" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" -out ca.crt

leaf server "/O=Ochre development/CN=localhost" "basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"

leaf client "/O=Ochre development/CN=ochre-client" "basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=clientAuth"

openssl verify -CAfile ca.crt server.crt client.crt
