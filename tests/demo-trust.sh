# The second part of demo.sh, which it is read by: what protects the root key, from a master key file to an HSM, to its next key, to
# another token; then every token is lost, and the backup comes back by the recovery shares.

stop
site=trust
bold "Another server: its root key is under a master key file"
run strongroomd init "$dir/trust" --softhsm --listen "127.0.0.1:$port"
export STRONGROOM_CONFIG="$dir/trust/clients/admin.toml" STRONGROOMD_CONFIG="$dir/trust/strongroom.toml"
serve
run strongroom sym keys create --algorithm aes --number-of-bits 256 ledger
run strongroom sym encrypt --key-id ledger --output-file ledger.enc secret.txt
# told runs a command and keeps what it says in a file
told() { local file=$1; shift; shown "$@"; "$@" | tee "$file"; }
opens() { # says whether what was encrypted at the beginning is decrypted now
  rm -f ledger.txt
  run strongroom sym decrypt --key-id ledger --output-file ledger.txt ledger.enc && cmp -s secret.txt ledger.txt
}
# configured puts the [seal] that the server printed into its configuration, as its operator would
configured() {
  sed -n '/^\[seal\]/,$p' "$1" >seal.toml
  awk '/^\[/ { skip = 0 } /^\[seal\]/ { while ((getline line < "seal.toml") > 0) print line; print ""; skip = 1 } !skip' "trust/strongroom.toml" >new.toml
  cat new.toml >trust/strongroom.toml
}
run strongroomd seal status

bold "Into the HSM, while it serves"
told switched.txt strongroomd seal switch --to hsm --slot 4 --key-label strongroom-root --generate
configured switched.txt
run strongroomd seal prune
rm trust/master.key
check "the key that protects the root key never leaves the token" 'strongroomd hsm keys 4 | grep -q "strongroom-root .* yes .* no "'
refused strongroom sym keys destroy --key-id hsm::4::strongroom-root
stop
serve
check "the server starts without the master key file, and opens by the HSM" 'opens'

bold "To the next key"
told switched.txt strongroomd seal rotate --key-label strongroom-root-v2 --generate
configured switched.txt
run strongroomd seal prune
check "data is as it was" 'opens'

bold "To another token, as to another vendor"
SOFTHSM2_CONF="$dir/trust/softhsm/softhsm2.conf" softhsm2-util --init-token --free --label other --pin "$(cat trust/hsm-4.pin)" --so-pin 87654321 >/dev/null
cat >>trust/strongroom.toml <<'END'

  [[hsm.slot]]
  number      = 5
  token_label = "other"
  pin_file    = "hsm-4.pin"
END
run strongroomd config check
stop
serve
told switched.txt strongroomd seal rotate --slot 5 --key-label strongroom-root --generate
configured switched.txt
run strongroomd seal prune
check "data is as it was" 'opens'

bold "Shares of a recovery key, and a backup"
told shares.txt strongroomd seal recovery create --shares 3 --threshold 2
run strongroomd backup create trust.tar
run strongroomd backup verify trust.tar
run strongroomd seal status
check "the backup holds no key in clear" '! grep -aq "PRIVATE KEY" trust.tar'

bold "Every token is lost, and the server with them"
stop
rm -rf trust/softhsm/tokens/* trust/data trust/tls/*.enc trust/tls/server.crt
refused strongroomd restore trust.tar --dir "$dir/again"
head -n 1 shares.txt >few.txt
refused strongroomd restore trust.tar --dir "$dir/again" --recovery-shares few.txt
run strongroomd restore trust.tar --dir "$dir/again" --recovery-shares shares.txt
awk '/^\[/ { skip = 0 } /^\[\[hsm\]\]/ { skip = 1 } /^\[seal\]/ { print "[seal]\nstrategy        = \"software\"\nmaster_key_file = \"\"   # until there is one, the operator unseals\n"; skip = 1 } !skip' again/strongroom.toml >new.toml
cat new.toml >again/strongroom.toml
export STRONGROOMD_CONFIG="$dir/again/strongroom.toml"
run strongroomd config check
site=again
start
for _ in $(seq 100); do [ -S again/data/admin.sock ] && break; sleep 0.1; done
status=0; run strongroomd seal status || status=$?
check "it is up, and sealed" '[ $status = 2 ]'
run strongroomd seal unseal "$(sed -n 1p shares.txt)"
run strongroomd seal unseal "$(sed -n 3p shares.txt)"
told switched.txt strongroomd seal switch --to software --master-key-file "$dir/again/master.key" --generate
sed -i 's#^master_key_file = "".*#master_key_file = "master.key"#' again/strongroom.toml
run strongroomd seal prune
check "what was encrypted at the beginning opens" 'opens'
stop
serve
check "and after a restart, by the new master key file" 'opens'
check "every act is in the audit log, unbroken" 'strongroomd audit verify'
