# Targets with a text after ## are listed by `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c

GO ?= go
BINARY := bin/privatelink-dns
RELEASE ?= $(shell git describe --tags --always --dirty 2>/dev/null)
# What compares whole processes or puts load on the machine runs after the other tests.
PROCESSES = ./test/explain ./test/observe ./test/differential
PACKAGES = $(shell $(GO) list ./... | grep -vE '/test/(prove|explain|observe|differential)$$')

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## build bin/privatelink-dns
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.release=$(RELEASE)' -o $(BINARY) ./cmd/privatelink-dns

.PHONY: man
man: build ## write the manual pages of all commands to man/
	$(BINARY) man man

.PHONY: run
run: build ## serve Corefile.example on 127.0.0.1:1053, with the simulator behind it
	$(BINARY) serve -c Corefile.example

.PHONY: tools
tools: ## install what the tests need (as root, through apt), or say what is missing
	@test/tools.sh

.PHONY: test
test: tools build lint ## every story, short, with the race detector
	$(GO) test -race -shuffle=on -timeout 9m $(PACKAGES)
	$(GO) test -count=1 -v -run 'TestScenarioTable$$' -timeout 5m ./test/lab | grep -vE '^ *(=== |--- PASS)'
	$(GO) test -count=1 -timeout 5m $(PROCESSES)
	PROVE=short $(GO) test -count=1 -timeout 8m ./test/prove
	$(GO) test -run '^$$' -fuzz '^FuzzAppendReply$$' -fuzztime 10s ./plugin/wire | grep -vE '^(fuzz: elapsed|PASS)'
	test/fuzz.sh 10s ./plugin/cache | grep -vE '^(fuzz: elapsed|PASS)'

.PHONY: lint
lint: ## formatting, vet, and the gates on length, complexity, imports and documentation
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not gofmt-clean:" $$unformatted; exit 1; fi
	$(GO) vet ./...
	$(GO) test -count=1 ./test/gates

.PHONY: bench
bench: ## our server beside others, in one run (BENCH="-rounds 1 -only cached"); writes test/bench/RESULTS.md
	@test/tools.sh
	$(GO) run ./test/bench $(BENCH)

.PHONY: bench-go
bench-go: ## the benchmarks beside the code
	$(GO) test -run '^$$' -bench . -benchmem ./plugin/...

.PHONY: bench-memory
bench-memory: ## resident bytes of a kept answer, with a million of them
	$(GO) run ./test/memory

.PHONY: prove
prove: tools build ## the long proofs: budget, storm, outage, leaks, query log, memory, image; figures as JSON in figures/ (PROVE=short for a minute of them)
	mkdir -p figures
	PROVE=$(or $(PROVE),full) PROVE_FIGURES=$(CURDIR)/figures $(GO) test -count=1 -v -timeout 40m ./test/prove
	DIFFERENTIAL=$(or $(PROVE),full) $(GO) test -count=1 -timeout 40m $(PROCESSES)
	PROVE=$(or $(PROVE),full) PROVE_FIGURES=$(CURDIR)/figures $(GO) test -count=1 -v -run 'TestLargeLog$$' ./plugin/logreport
	test/fuzz.sh 60s ./plugin/wire ./plugin/cache | grep -vE '^(fuzz: elapsed|PASS)'
	$(GO) run ./test/memory
	test/image.sh

.PHONY: soak
soak: tools build ## mixed load, random faults, an attacker and a flood, for SOAK (10m); a table of memory, goroutines and files
	mkdir -p figures
	SOAK=$(or $(SOAK),10m) PROVE_FIGURES=$(CURDIR)/figures $(GO) test -count=1 -v -timeout 24h -run 'TestSoak$$' ./test/prove

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s)
	@test/fuzz.sh $(or $(FUZZTIME),30s)

.PHONY: sbom
sbom: build ## a bill of materials of bin/privatelink-dns, CycloneDX: bin/privatelink-dns.cdx.json
	$(GO) run ./test/supply bill $(BINARY) >$(BINARY).cdx.json

.PHONY: licences
licences: ## write LICENCES.md anew, after a change in go.mod
	$(GO) run ./test/supply licences >LICENCES.md.new
	mv LICENCES.md.new LICENCES.md

.PHONY: reproduce
reproduce: ## build what is committed twice, in different places, and compare
	@test/reproduce.sh

.PHONY: image-check
image-check: ## build the container image with buildah, look at what is in it, and run it (as root)
	@test/image.sh

.PHONY: clean
clean: ## remove what was built
	rm -rf bin man
