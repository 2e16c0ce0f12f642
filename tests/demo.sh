#!/usr/bin/env bash
# The whole main job from end to end, against a server and a token of its own in a temporary folder: prints the session as it
# runs it, checks each result, and exits 0 only if every check held.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="${STRONGROOM_BIN:-$PWD/bin}:$PATH"

dir=$(mktemp -d "${TMPDIR:-/tmp}/strongroom-demo.XXXXXX")
server=
cleanup() {
  status=$?
  [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
  [ "$status" = 0 ] || { echo; echo "the demo FAILED; the server's log:"; tail -n 20 "$dir/serve.log" 2>/dev/null || true; }
  rm -rf "$dir"
  exit "$status"
}
trap cleanup EXIT

bold() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
shown() { printf '\033[2m$\033[0m'; printf ' %q' "$@"; printf '\n'; }
run() { shown "$@"; "$@"; }
# refused runs a command that must be refused (exit 1), and shows why it was.
refused() {
  shown "$@"
  local status=0
  "$@" 2>&1 || status=$?
  [ "$status" = 1 ] || { echo "expected to be refused, got exit $status"; exit 1; }
}
check() { if eval "$2"; then echo "  ok: $1"; else echo "  NOT OK: $1"; exit 1; fi; }

port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])' 2>/dev/null || echo 15696)
serve() { # arguments: switches of serve
  start "$@"
  for _ in $(seq 100); do
    strongroom server version >/dev/null 2>&1 && return
    kill -0 "$server" 2>/dev/null || { echo "the server did not start"; exit 1; }
    sleep 0.1
  done
  echo "the server does not answer"; exit 1
}
start() {
  shown strongroomd serve --config "$site/strongroom.toml" "$@"
  strongroomd serve --config "$dir/$site/strongroom.toml" "$@" >>"$dir/serve.log" 2>&1 &
  server=$!
}
stop() { kill "$server"; wait "$server" || true; server=; }
site=site
tool() { SOFTHSM2_CONF="$dir/site/softhsm/softhsm2.conf" pkcs11-tool --module "$module" --login --pin "$(cat "$dir/site/hsm-4.pin")" "$@" 2>/dev/null; }

bold "A server, a token of its own as slot 4, and an administrator"
run strongroomd init "$dir/site" --softhsm --listen "127.0.0.1:$port"
module=$(sed -n 's/^ *library *= *"\(.*\)".*/\1/p' "$dir/site/strongroom.toml" | head -n 1)
export STRONGROOM_CONFIG="$dir/site/clients/admin.toml"
serve
cd "$dir"

bold "Keys in the HSM: RSA-4096 and AES-256"
run strongroom rsa keys create --size_in_bits 4096 --sensitive hsm::4::my_rsa_key
run strongroom sym keys create --algorithm aes --number-of-bits 256 --sensitive hsm::4::my_aes_key
objects=$(tool -O)
check "pkcs11-tool sees the private key" 'grep -q "Private Key Object" <<<"$objects" && grep -q "label: *my_rsa_key$" <<<"$objects"'
check "pkcs11-tool sees the public key" 'grep -q "label: *my_rsa_key_pk$" <<<"$objects"'
check "pkcs11-tool sees the AES key, sensitive and never extractable" 'grep -A6 "Secret Key Object" <<<"$objects" | grep -q "never extractable"'

bold "Database keys wrapped by HSM keys"
run strongroom sym keys create --algorithm aes --number-of-bits 256 --wrapping-key-id hsm::4::my_rsa_key_pk my_sym_key
run strongroom sym keys create --algorithm aes --number-of-bits 256 --wrapping-key-id hsm::4::my_aes_key my_sym_key_2
run strongroom attributes get --key-id my_sym_key

bold "Small data: encrypted in the server"
echo "the launch code is 0000" >secret.txt
run strongroom sym encrypt --key-id my_sym_key secret.txt
check "the file is not the clear one" '! grep -q launch secret.enc'
run strongroom sym decrypt --key-id my_sym_key --output-file secret.recovered.txt secret.enc
check "the recovered file is the secret" 'cmp -s secret.txt secret.recovered.txt'
run strongroom sym encrypt --key-id hsm::4::my_aes_key --data-encryption-algorithm aes-gcm --output-file secret.hsm.enc secret.txt
run strongroom sym decrypt --key-id hsm::4::my_aes_key --output-file secret.recovered.txt secret.hsm.enc
check "with the key in the HSM too" 'cmp -s secret.txt secret.recovered.txt'

bold "Large data: encrypted here, only the data key travels"
head -c 300000000 /dev/urandom >large.bin
run strongroom sym encrypt --key-id my_sym_key_2 --data-encryption-algorithm aes-gcm --key-encryption-algorithm rfc5649 large.bin
run strongroom file inspect large.enc
run strongroom sym decrypt --key-id my_sym_key_2 --output-file large.recovered.bin large.enc
check "the recovered file is the large one" 'cmp -s large.bin large.recovered.bin'
run strongroom sym encrypt --key-id hsm::4::my_aes_key --key-encryption-algorithm rfc5649 --output-file large.hsm.enc large.bin
run strongroom sym decrypt --output-file large.recovered.bin --key-id hsm::4::my_aes_key large.hsm.enc
check "with the HSM key as key encryption key too" 'cmp -s large.bin large.recovered.bin'
rm -f large.*

bold "RSA: the public key leaves, the private key does not"
run strongroom rsa keys export --key-id hsm::4::my_rsa_key_pk --key-format pkcs8-pem pubkey.pem
check "openssl reads it" 'openssl pkey -pubin -in pubkey.pem -noout -text | grep -q "4096 bit"'
shown openssl pkeyutl -encrypt -pubin -inkey pubkey.pem -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -in secret.txt -out secret.openssl.enc
openssl pkeyutl -encrypt -pubin -inkey pubkey.pem -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -in secret.txt -out secret.openssl.enc
run strongroom rsa decrypt --key-id hsm::4::my_rsa_key --encryption-algorithm ckm-rsa-pkcs-oaep --output-file secret.recovered.txt secret.openssl.enc
check "the HSM decrypts what openssl encrypted" 'cmp -s secret.txt secret.recovered.txt'
for algorithm in ckm-rsa-pkcs-oaep ckm-rsa-pkcs; do
  run strongroom rsa encrypt --key-id hsm::4::my_rsa_key_pk --encryption-algorithm $algorithm --output-file secret.rsa.enc secret.txt
  run strongroom rsa decrypt --key-id hsm::4::my_rsa_key --encryption-algorithm $algorithm --output-file secret.recovered.txt secret.rsa.enc
  check "$algorithm there and back" 'cmp -s secret.txt secret.recovered.txt'
done
refused strongroom rsa keys export --key-id hsm::4::my_rsa_key --key-format pkcs8-pem privkey.pem

bold "Curves: the HSM signs, openssl verifies"
run strongroom ec keys create --curve nist-p256 hsm::4::my_ec_key
run strongroom ec sign --key-id hsm::4::my_ec_key secret.txt
run strongroom ec keys export --key-id hsm::4::my_ec_key_pk ec.pem
check "the signature is valid" 'openssl dgst -sha256 -verify ec.pem -signature secret.sig secret.txt >/dev/null'

bold "Keys leave wrapped, and come back unseen"
run strongroom sym keys create --algorithm aes --number-of-bits 256 --sensitive travelling
run strongroom sym keys wrap --key-id travelling --wrap-key-id hsm::4::my_aes_key wrapped.json
run strongroom sym keys unwrap wrapped.json hsm::4::arrived
run strongroom sym encrypt --key-id travelling --output-file secret.travelling secret.txt
run strongroom sym decrypt --key-id hsm::4::arrived --output-file secret.recovered.txt secret.travelling
check "the key in the HSM is the one that left the database" 'cmp -s secret.txt secret.recovered.txt'
run strongroom sym keys destroy --key-id hsm::4::arrived

bold "A password"
run strongroom secret create --type password my_secret
check "it is there" '[ "$(strongroom secret get --secret-id my_secret | wc -c)" = 26 ]'
refused strongroom sym keys export --key-id hsm::4::my_aes_key --key-format raw symkey.raw
check "nothing was written" '[ ! -e privkey.pem ] && [ ! -e symkey.raw ]'
run strongroom sym keys create --algorithm aes --number-of-bits 256 --sensitive=false hsm::4::may_leave
run strongroom sym keys export --key-id hsm::4::may_leave --key-format raw symkey.raw
check "a key made with --sensitive=false may be exported: 32 bytes" '[ "$(wc -c <symkey.raw)" = 32 ]'

bold "A second identity: nothing, then exactly what it is granted, then nothing again"
run strongroomd client add bob --dir "$dir/site"
bob() { shown strongroom --config site/clients/bob.toml "$@"; STRONGROOM_CONFIG="$dir/site/clients/bob.toml" strongroom "$@"; }
bob_refused() { local status=0; bob "$@" >bob.out 2>&1 || status=$?; cat bob.out; [ "$status" = 1 ] || { echo "expected to be refused, got exit $status"; exit 1; }; }
bob_refused sym encrypt --key-id my_sym_key --output-file bob.enc secret.txt
sed 's/my_sym_key/X/g' bob.out >forbidden.out
bob_refused sym encrypt --key-id no_such_key --output-file bob.enc secret.txt
sed 's/no_such_key/X/g' bob.out >absent.out
check "forbidden looks like absent" 'diff <(tail -n 1 forbidden.out) <(tail -n 1 absent.out)'
bob_refused sym keys create hsm::4::bobs_key
bob_refused sym encrypt --key-id hsm::4::my_aes_key --output-file bob.enc secret.txt
run strongroom access grant bob encrypt --key-id my_sym_key
run strongroom access list --key-id my_sym_key
bob sym encrypt --key-id my_sym_key --output-file bob.enc secret.txt
bob_refused sym decrypt --key-id my_sym_key --output-file bob.dec bob.enc
bob_refused sym keys export --key-id my_sym_key --key-format raw bob.key
run strongroom access revoke bob encrypt --key-id my_sym_key
bob_refused sym encrypt --key-id my_sym_key --output-file bob.enc secret.txt

bold "No clear key at rest"
python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(100,132)))' >known.raw
run strongroom sym keys import --key-format raw known.raw known_key --wrapping-key-id hsm::4::my_aes_key
run strongroom sym keys export --key-id known_key --key-format raw known.out
check "the key is there" 'cmp -s known.raw known.out'
check "its bytes are in no file of the data folder" '! grep -rqlaF "$(cat known.raw)" site/data'

bold "All keys wrapped by the HSM: key_encryption_key"
stop
serve --key-encryption-key hsm::4::my_aes_key
run strongroom sym keys create --algorithm aes --number-of-bits 256 my_sym_key_3
shown strongroom attributes get --key-id my_sym_key_3 --json
strongroom attributes get --key-id my_sym_key_3 --json >attributes.json
check "the key says how it is protected" 'grep -q hsm-protected attributes.json'
run strongroom sym encrypt --key-id my_sym_key_3 --output-file secret.enc3 secret.txt
run strongroom sym decrypt --key-id my_sym_key_3 --output-file secret.recovered.txt secret.enc3
check "it works" 'cmp -s secret.txt secret.recovered.txt'
run strongroom sym decrypt --key-id my_sym_key --output-file secret.recovered.txt secret.enc
check "and keys made before still do" 'cmp -s secret.txt secret.recovered.txt'

bold "What is no longer needed is destroyed"
refused strongroom sym keys destroy --key-id my_sym_key
run strongroom sym keys revoke --key-id my_sym_key "no longer needed"
run strongroom sym keys destroy --key-id my_sym_key
refused strongroom sym encrypt --key-id my_sym_key --output-file x.enc secret.txt
run strongroom rsa keys destroy --key-id hsm::4::my_rsa_key
run strongroom rsa keys destroy --key-id hsm::4::my_rsa_key_pk
objects=$(tool -O)
check "pkcs11-tool no longer sees the pair" '! grep -q "label: *my_rsa_key" <<<"$objects"'
check "and still sees the AES key" 'grep -q "label: *my_aes_key$" <<<"$objects"'
check "every decision is in the audit log, unbroken" 'strongroomd audit verify --config site/strongroom.toml'

. "$OLDPWD/tests/demo-trust.sh"

bold "Done: every check held"
