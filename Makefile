# make build   both programs into bin/
# make run     a server with a SoftHSM token of its own in .strongroom/, from nothing, in the foreground
# make test    all tests, with the race detector
# make demo    a session with the built programs, start to end
# make bench   the built server under load, beside its floors
# make fuzz    every fuzz target for FUZZTIME
# make lint    formatting, vet, staticcheck, and the rules between the packages
# make clean   remove bin/ (and nothing that holds a key)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

GO       ?= go
FUZZTIME ?= 30s
TESTFLAGS ?=
BENCHFLAGS ?=
LISTEN   ?= 127.0.0.1:5696
HOME_DIR := .strongroom

export GO

.PHONY: build run test demo bench fuzz lint clean help

build:
	@tests/install.sh go
	CGO_ENABLED=1 $(GO) build -trimpath -o bin/ ./cmd/strongroomd
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/strongroom

run:
	@tests/install.sh go gcc softhsm2
	@$(MAKE) --no-print-directory build
	@[ -e $(HOME_DIR)/strongroom.toml ] || bin/strongroomd init $(HOME_DIR) --softhsm --listen $(LISTEN)
	@printf '\nIn another terminal:\n\n  export PATH="%s/bin:$$PATH" STRONGROOM_CONFIG="%s/$(HOME_DIR)/clients/admin.toml"\n\n' "$$PWD" "$$PWD"
	@exec bin/strongroomd serve --config $(HOME_DIR)/strongroom.toml

test:
	@tests/install.sh go gcc softhsm2 opensc openssl python3-pykmip
	CGO_ENABLED=1 tests/gotest.sh -race $(TESTFLAGS)

demo:
	@tests/install.sh go gcc softhsm2 opensc openssl
	@$(MAKE) --no-print-directory build
	tests/demo.sh

bench:
	@tests/install.sh go gcc softhsm2
	$(GO) run ./tests/bench $(BENCHFLAGS)

fuzz:
	@tests/install.sh go gcc softhsm2
	@git grep -hoE --untracked '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | grep -q . || { echo 'no fuzz target found'; exit 1; }
	@git grep -oE --untracked '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | while IFS=: read -r file target; do \
	  echo "$${target#func } in $$(dirname "$$file")"; \
	  $(GO) test "./$$(dirname "$$file")" -run '^$$' -fuzz "^$${target#func }\$$" -fuzztime $(FUZZTIME) </dev/null; \
	done

lint:
	@tests/install.sh go gcc
	@tests/lint.sh

clean:
	rm -rf bin

help:
	@sed -n 's/^# //p' Makefile
