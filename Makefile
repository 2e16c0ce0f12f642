# make build   both programs into bin/
# make run     a server with a SoftHSM token of its own in .strongroom/, from nothing, in the foreground; the first time
#              LISTEN=host:port says where it listens from then on
# make test    all tests, with the race detector
# make demo    a session with the built programs, start to end
# make bench   the built server under load, beside its floors
# make pgo     the profile that the server is built with, anew, from the benchmark of its hot path
# make fuzz    every fuzz target for FUZZTIME, one after the other, with FUZZPARALLEL workers; FUZZ="FuzzAnswer.*" runs those alone
# make lint    formatting, vet, staticcheck, and the rules between the packages
# make clean   remove bin/ (and nothing that holds a key)

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

GO       ?= go
FUZZTIME ?= 30s
FUZZPARALLEL ?= # workers of one target; empty: as many as there are processors
FUZZ     ?= .*
TESTFLAGS ?= # of go test
# Without what the race detector looks for in SQLite itself, which is C translated to Go and made tests of the database ten times as slow
RACE     := -race '-gcflags=modernc.org/...=-race=false -d=checkptr=0'
BENCHFLAGS ?=
LISTEN   ?= 127.0.0.1:5696
SITE     := .strongroom

export GO

.PHONY: build run test demo bench pgo fuzz lint clean help

build:
	@tests/install.sh go
	CGO_ENABLED=1 $(GO) build -trimpath -o bin/ ./cmd/strongroomd
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/strongroom

run:
	@tests/install.sh go gcc softhsm2
	@$(MAKE) --no-print-directory build
	@[ -e $(SITE)/strongroom.toml ] || bin/strongroomd init $(SITE) --softhsm --listen $(LISTEN) >/dev/null
	@printf '\nIn another terminal:\n\n  export PATH="%s/bin:$$PATH" STRONGROOM_CONFIG="%s/$(SITE)/clients/admin.toml"\n\n' "$$PWD" "$$PWD"
	@exec bin/strongroomd serve --config $(SITE)/strongroom.toml

test:
	@tests/install.sh go gcc softhsm2 opensc openssl python3-pykmip libnss3-tools
	CGO_ENABLED=1 tests/gotest.sh $(RACE) $(TESTFLAGS)

demo:
	@tests/install.sh go gcc softhsm2 opensc openssl
	@$(MAKE) --no-print-directory build
	tests/demo.sh

bench:
	@tests/install.sh go gcc softhsm2
	$(GO) run ./tests/bench $(BENCHFLAGS)

pgo:
	@tests/install.sh go gcc
	$(GO) test -trimpath ./kmip/server -run '^$$' -bench 'Network/encrypt' -benchtime 10s -cpuprofile cmd/strongroomd/default.pgo -o bin/server.test
	rm bin/server.test

fuzz:
	@tests/install.sh go gcc softhsm2
	@found=; while IFS=: read -r file target; do \
	  target=$${target#func }; [[ $$target =~ ^($(FUZZ))$$ ]] || continue; \
	  found=1; echo "$$target in $$(dirname "$$file")"; \
	  $(GO) test "./$$(dirname "$$file")" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $(addprefix -parallel ,$(FUZZPARALLEL)) </dev/null; \
	done < <(git grep -oE --untracked '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go'); \
	[ "$$found" ] || { echo 'no fuzz target found'; exit 1; }

lint:
	@tests/install.sh go gcc
	@tests/lint.sh

clean:
	rm -rf bin

help:
	@sed -n 's/^# //p' Makefile
