#!/usr/bin/env bash
# Looks for what no compiler refuses: tests/lint.sh. Every finding is a line; any finding ends it with 1.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2

findings=$(mktemp)
trap 'rm -f "$findings"' EXIT

# note RULE: each line of standard input breaks RULE.
note() { sed "s|^|$1: |" >>"$findings"; }

# check RULE COMMAND...: the command breaks RULE where it does not end with 0.
check() {
  local rule=$1 output
  shift
  if ! output=$("$@" 2>&1); then
    { grep -vE '^(#|go: downloading )' <<<"$output" || echo 'no output'; } | note "$rule"
  fi
}

# sources: the Go files that are part of the programs; all: those of the tests as well.
all() { git ls-files --cached --others --exclude-standard '*.go'; }
sources() { all | grep -vE '_test\.go$|^tests/|^kmip/kmiptest/'; }

gofmt=$("$go" env GOROOT)/bin/gofmt
all | xargs "$gofmt" -l | note 'not formatted by gofmt'
check 'go vet' "$go" vet ./...
check 'go vet' "$go" vet -tags crashpoints ./store/crash
check 'staticcheck' "$go" run "$staticcheck" ./...

# One file knows what an HSM key's identifier looks like.
prefix=$(sources | xargs grep -lF '"hsm::' || true)
[ "$(grep -c . <<<"$prefix")" = 1 ] || note '"hsm:: belongs in one file' <<<"$prefix"

# One function, the door, decides who may do what.
allow=$(sources | xargs grep -nF '.Allow(' || true)
[ "$(grep -c . <<<"$allow")" = 1 ] || note '.Allow( is called once, at the door' <<<"$allow"

# Past the header check and Discover Versions, the server does not know the protocol version.
sources | { grep '^kmip/server/' || true; } | { grep -vE '/(message|discover)\.go$' || true; } |
  { xargs -r grep -nF ProtocolVersion || true; } | note 'the protocol version is read in message.go and discover.go only'

{ sources | xargs grep -nE '^func init\(\)' || true; } | note 'no init()'
all | xargs wc -l | awk '$2 != "total" && $1 > 600 { print $2 " (" $1 " lines)" }' | note 'a file to be split'

cat "$findings"
[ ! -s "$findings" ]
