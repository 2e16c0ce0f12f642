#!/usr/bin/env bash
# Runs the Go tests and counts them: tests/gotest.sh [FLAG...]
#
# Prints a line per package, everything that a failing package printed, and `N passed, N failed, N skipped`. Ends with 1
# when a test failed, when none ran, or when a package that has tests did not report.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}

expected=$("$go" list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | grep -c . || true)

# The package that takes longest begins first.
"$go" test -v "$@" ./tests ./... | awk -v expected="$expected" '
  # go test prints the packages one after another: what one has printed is kept until its last line tells how it ended.
  # What the compiler says goes past all this, to standard error.
  { kept[++n] = $0 }
  /^ *--- PASS: / { passed++ }
  /^ *--- SKIP: / { skipped++; print $0 ":" (n > 1 && kept[n - 1] ~ /^ +[^ -]/ ? kept[n - 1] : "") }
  /^ *--- FAIL: / { failed++; here++ }
  /^ok  / { reported++; print; n = here = 0; next }
  /^FAIL\t/ {
    reported++
    if (!here) failed++ # a package that did not build, or ended before its tests did
    for (i = 1; i <= n; i++) if (kept[i] !~ /^(=== (RUN|PAUSE|CONT|NAME)| *--- (PASS|SKIP))/) print kept[i]
    n = here = 0
  }
  /\[no test files\]$/ { n = 0 }
  END {
    for (i = 1; i <= n; i++) if (kept[i] != "FAIL") print kept[i]
    if (reported < expected) { printf "%d packages have tests, %d reported\n", expected, reported; missing = 1 }
    if (!passed) print "no test passed"
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit (failed || missing || !passed) ? 1 : 0
  }'
