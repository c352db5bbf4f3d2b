.DEFAULT_GOAL := help

# Versions that the build pins; go.mod and test/claude/package.json hold the rest.
GOLANGCI_LINT := v2.15.0

FUZZTIME  ?= 30s # for each fuzz test
BENCHTIME ?= 1s  # for each benchmark
TESTFLAGS ?=     # more flags for go test, such as -v or -run
ARGS      ?=     # arguments for demo and run, such as --exit

LINTER := .cache/bin/golangci-lint-$(GOLANGCI_LINT)
CLI    := test/claude/node_modules/.bin/claude
BOLT   := test/bolt/node_modules/@slack/bolt

# Directories whose test files hold a pattern.
dirs = $(sort $(dir $(shell grep -rlE --include='*_test.go' --exclude-dir=node_modules $(1) .)))

.PHONY: help
help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-18s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build the four programs into bin/; needs a C compiler for SQLite
	CGO_ENABLED=1 go build -trimpath -o bin/ ./cmd/...

.PHONY: demo
demo: build ## Show the whole thing with a sample cluster; needs nothing configured
	bin/watchkeeper demo $(ARGS)

.PHONY: run
run: build ## Go on duty: watchkeeper up, with watchkeeper.yaml of this directory
	bin/watchkeeper up $(ARGS)

.PHONY: check
check: lint test ## Everything that must hold before a commit
	go mod tidy -diff

.PHONY: lint
lint: $(LINTER) ## Check format, code and the runbook
	$(LINTER) run
	go run ./cmd/watchkeeper lint

.PHONY: fmt
fmt: $(LINTER) ## Format the code
	$(LINTER) fmt

.PHONY: test
test: ## Run all tests that need no network, under the race detector
	go test -race $(TESTFLAGS) ./...

.PHONY: fuzz
fuzz: ## Fuzz every parser of outside input for FUZZTIME each
	@set -e; for dir in $(call dirs,'^func Fuzz'); do \
		for name in $$(grep -hoE '^func Fuzz\w+' $$dir*_test.go | cut -d' ' -f2); do \
			echo "== fuzz $$dir $$name"; \
			go test $$dir -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s; \
		done; \
	done

.PHONY: bench
bench: build ## Run the benchmarks, those of the built programs too
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(call dirs,'^func Benchmark')

.PHONY: golden
golden: ## Rewrite the golden files; read the diff before committing
	go test $(call dirs,'flag.Bool."update"') -update

.PHONY: test-claude
test-claude: build $(CLI) ## Test with the real Claude Code CLI and a scripted model; needs npm
	WATCHKEEPER_REQUIRE_CLAUDE=1 go test -count=1 -timeout 20m $(TESTFLAGS) ./test/claude/...

.PHONY: test-slack
test-slack: build $(BOLT) ## Test slack-channel in chaos, and the fake Slack with Slack's own framework; needs npm
	WATCHKEEPER_REQUIRE_BOLT=1 WATCHKEEPER_REQUIRE_CHAOS=1 go test -count=1 -timeout 20m $(TESTFLAGS) ./test/bolt/... ./test/slack/...

.PHONY: test-alertmanager
test-alertmanager: build ## Test with Debian's prometheus-alertmanager, and deploy/ with its prometheus and systemd
	WATCHKEEPER_REQUIRE_ALERTMANAGER=1 go test -count=1 $(TESTFLAGS) ./test/alertmanager/... ./test/deploy/...

.PHONY: test-cluster
test-cluster: build ## Test on a real kube-apiserver, which the first run builds
	WATCHKEEPER_REQUIRE_CLUSTER=1 test/kube/run

.PHONY: vuln
vuln: ## Look for known vulnerabilities; needs the network
	go run golang.org/x/vuln/cmd/govulncheck@latest ./...

$(LINTER):
	GOBIN=$(CURDIR)/.cache/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv .cache/bin/golangci-lint $@

$(CLI): test/claude/package.json
	cd test/claude && npm install --no-audit --no-fund
	touch $@

$(BOLT): test/bolt/package.json
	cd test/bolt && npm install --no-audit --no-fund
	touch $@
