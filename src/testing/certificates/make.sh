#!/usr/bin/env bash
# Makes the certificates of this folder, with OpenSSL 3, and replaces those that are there.
#
# The keys of the two authorities are not kept, so that nobody who comes to trust such a certificate
# by mistake can be shown one for another name. A further certificate therefore means to make all of
# them again. They are valid from 2020 to 2120: the clocks of test machines are not always right.
#
# `openssl req -x509` alone would make an authority of each, which rustls refuses as a server's own.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/openssl.cnf" <<'CONFIG'
[ca]
default_ca = authority
[authority]
database = $ENV::WORK/index.txt
new_certs_dir = $ENV::WORK
rand_serial = yes
default_md = sha256
policy = policy
unique_subject = no
x509_extensions = extensions_of_authority
[policy]
organizationName = supplied
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
[extensions_of_authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
CONFIG
export WORK=$work
: >"$work/index.txt"

valid=(-startdate 20200101000000Z -enddate 21200101000000Z)
organisation="/O=Public test key, never to be trusted"

authority() { # NAME
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/$1.key"
    openssl req -new -config "$work/openssl.cnf" -key "$work/$1.key" -subj "$organisation/CN=$1" \
        -out "$work/$1.csr"
    openssl ca -batch -notext -selfsign -config "$work/openssl.cnf" -keyfile "$work/$1.key" \
        "${valid[@]}" -in "$work/$1.csr" -out "$1.pem" 2>/dev/null
}

certificate() { # NAME AUTHORITY USAGE ALTERNATIVE-NAMES, and its key is NAME-key.pem
    printf '%s\n' "basicConstraints = critical, CA:FALSE" "keyUsage = critical, digitalSignature" \
        "extendedKeyUsage = $3" "subjectAltName = $4" "subjectKeyIdentifier = hash" \
        "authorityKeyIdentifier = keyid" >"$work/extensions"
    openssl req -new -config "$work/openssl.cnf" -key "$1-key.pem" -subj "$organisation/CN=$1" \
        -out "$work/$1.csr"
    openssl ca -batch -notext -config "$work/openssl.cnf" -extfile "$work/extensions" \
        -cert "$2.pem" -keyfile "$work/$2.key" "${valid[@]}" -in "$work/$1.csr" -out "$1.pem" \
        2>/dev/null
}

authority authority
authority foreign-authority

# Signatures of Ed25519 have no random part, so that a handshake follows from a seed.
openssl genpkey -quiet -algorithm ED25519 -out localhost-key.pem
certificate localhost authority serverAuth \
    "DNS:localhost, DNS:example.test, IP:127.0.0.1, IP:::1"

openssl genpkey -quiet -algorithm ED25519 -out client-key.pem
certificate client authority clientAuth "DNS:client.test"

# The three forms in which a key may stand in a file: PKCS #8 above, SEC 1 and PKCS #1 here.
openssl ecparam -genkey -name prime256v1 -out wildcard-key.pem
certificate wildcard authority serverAuth "DNS:*.wild.test"

openssl genrsa -traditional -out rsa-key.pem 2048 2>/dev/null
certificate rsa authority serverAuth "DNS:rsa.test, DNS:localhost, IP:127.0.0.1, IP:::1"

openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out foreign-key.pem
certificate foreign foreign-authority "serverAuth, clientAuth" \
    "DNS:localhost, DNS:example.test, IP:127.0.0.1, IP:::1"
