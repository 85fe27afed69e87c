#!/usr/bin/env bash
# Makes the certificates of fixtures/tls anew: an authority, a server certificate for each name that the tests use, and
# one that nobody signed but itself. For tests alone: the keys are public, and the authority's is thrown away. Valid for
# 100 years, whatever the clock of this machine says. Needs openssl.
set -euo pipefail
out="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/fixtures/tls"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/new"
: >"$work/index"
cat >"$work/ca.conf" <<END
[ca]
default_ca = test
[test]
database = $work/index
new_certs_dir = $work/new
default_md = sha256
policy = any
rand_serial = yes
unique_subject = no
[any]
commonName = supplied
END

# certificate FILE COMMON-NAME EXTENSIONS HOW-IT-IS-SIGNED...
certificate() {
  local file=$1 name=$2 extensions=$3
  shift 3
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$out/$file.key" 2>/dev/null
  openssl req -new -key "$out/$file.key" -subj "/CN=$name" -out "$work/csr"
  printf '%s\n' "$extensions" >"$work/extensions"
  openssl ca -batch -notext -config "$work/ca.conf" -startdate 20200101000000Z -enddate 21200101000000Z \
    -in "$work/csr" -extfile "$work/extensions" -out "$out/$file.pem" "$@" 2>/dev/null
}

for_names() { printf 'subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth' "$1"; }

signed() { certificate "$1" "$1" "$(for_names "$2")" -cert "$out/ca.pem" -keyfile "$out/ca.key"; }

authority=$'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash'
certificate ca "roomdag test authority" "$authority" -selfsign -keyfile "$out/ca.key"
signed localhost "DNS:localhost,IP:127.0.0.1,IP:::1"
signed one.example "DNS:one.example"
signed two.example "DNS:two.example"
signed three.example "DNS:three.example"
# A name that others delegate to, and one for any name below a domain.
signed delegated.example "DNS:delegated.example"
signed wild.example "DNS:*.wild.example"
certificate self-signed one.example "$(for_names "DNS:one.example,DNS:localhost,IP:127.0.0.1")" \
  -selfsign -keyfile "$out/self-signed.key"

rm "$out/ca.key"
chmod 644 "$out"/*.key "$out"/*.pem
