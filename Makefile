# Sandgate's commands. `make` alone lists them. Every command starts what it needs, so none depends
# on another having been run before.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# An environment may pin an older Go (GOTOOLCHAIN=local); images/toolchain decides.
export GOTOOLCHAIN := $(shell images/toolchain)
export GOFLAGS := $(strip $(filter-out -buildvcs%,$(GOFLAGS)) -buildvcs=false)

VERSION ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
TOOL := go tool -modfile=tools.mod
SCRIPTS := .ci/run .ci/gencheck .ci/leaks images/lib.sh images/setup images/engine images/gvisor images/base images/sandbox images/gateway images/toolchain images/testdeps examples/wasm-tools/build gateway/mcp/clients/setup
# -count=1: Go's cache does not know that an image or an engine changed.
# The race detector costs minutes on the packages that start containers; these hold the concurrency.
RACE := $(patsubst %,./%,$(wildcard sandbox sandbox/guest/channel sandbox/sandboxtest gateway))
OURS := label=sandgate.owner

.PHONY: help setup setup-tests wasm-tools build image run serve test test-conformance test-kernel test-mcp lint gen check breaking bench chaos soak storm clean clean-images

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make this machine ready: Docker engine, gVisor, sandbox image (says little when all is there)
	@images/setup

build: ## put the program into bin/
	@echo "Building bin/sandgate."
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/sandgate ./cmd/sandgate

image: build ## build the gateway's own container image, sandgate/gateway (needs an engine, no registry)
	@images/gateway

run: setup build ## see it work: a gateway of its own (or that of SANDGATE_SERVER), a session, a chart, and everything cleaned up
	@echo "Building examples/quickstart."
	@go run ./examples/quickstart

serve: setup build ## run the gateway until Ctrl-C
	@exec bin/sandgate serve

wasm-tools: ## build the example tools of an operator's own into bin/wasm-tools
	@examples/wasm-tools/build bin/wasm-tools

setup-tests: setup ## setup, and what the tests need besides: PostgreSQL's programs, a Rust compiler for WebAssembly
	@images/testdeps

test: setup-tests ## run every test, with Docker, gVisor and PostgreSQL, and look for what they left behind
	@.ci/leaks before
	go test -count=1 -timeout 30m -skip '^TestOfficialMCPClients$$' ./...
	$(if $(RACE),go test -count=1 -timeout 30m -race $(RACE))
	@$(MAKE) test-conformance
	@$(MAKE) test-kernel
	@$(MAKE) test-mcp
	@.ci/leaks after

# Connect's conformance suite, against the gateway's own server in its test binary. It prints how many
# cases there were and how many passed. Not with the race detector: some cases allow half a second for
# what a busy machine may then take longer for.
test-conformance:
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	  go test -c -o "$$folder/gateway.test" ./gateway; \
	  SANDGATE_CONFORMANCE_SERVER=1 $(TOOL) connectconformance --mode server --parallel 8 \
	    --conf gateway/testdata/conformance.yaml "$$folder/gateway.test"

# The kernel's own suite, as root in the image it runs in. It goes in by stdin: an engine on another
# machine could not mount it.
test-kernel:
	tar -C pyrunner/kernel --exclude __pycache__ -c . | docker run -i --rm --label sandgate.owner=kernel-test --network none \
	  --cap-drop ALL --cap-add SETUID --cap-add SETGID --cap-add KILL --security-opt no-new-privileges \
	  --tmpfs /run/sandgate --tmpfs /tmp:exec --tmpfs /home/user:uid=20001,gid=20001,mode=0755,exec sandgate/sandbox:latest \
	  sh -c 'mkdir /tmp/kernel && cd /tmp/kernel && tar -x --no-same-owner && exec python3 -m unittest discover -s tests'

test-mcp: setup ## try the gateway with the official MCP clients of Python and TypeScript
	@gateway/mcp/clients/setup
	go test -count=1 -timeout 10m -v -run '^TestOfficialMCPClients$$' ./cmd/sandgate

lint: ## vet, golangci-lint, buf, shell syntax
	go vet ./...
	$(TOOL) golangci-lint run
	$(TOOL) buf lint
	$(TOOL) buf format proto --diff --exit-code
	@for script in $(SCRIPTS); do bash -n $$script; done; sh -n images/base.clean
	@if command -v shellcheck >/dev/null; then shellcheck -x $(SCRIPTS); fi

gen: ## write the Go code and descriptors that come from proto/, what tests link of the conformance suite, and the WASM programs
	$(TOOL) buf generate
	$(TOOL) buf generate --template third_party/conformance/buf.gen.yaml
	$(TOOL) buf build --path proto/sandgate/v1 --exclude-imports --as-file-descriptor-set -o proto/descriptors.binpb
	cd fileserver/tools && go run ./build

check: lint ## lint, and: generated code fresh, go.mod tidy, API compatible with main
	@.ci/gencheck
	@cd fileserver/tools && go run ./build -check
	go mod tidy -diff
	@$(MAKE) breaking

# Against main as last committed; a repository whose main has no API yet has nothing to break.
breaking:
	@for main in main origin/main; do \
	  git cat-file -e "$$main:proto/sandgate/v1/tool.proto" 2>/dev/null || continue; \
	  old=$$(mktemp -d); trap 'rm -rf "$$old"' EXIT; \
	  git archive "$$main" buf.yaml proto third_party | tar -x -C "$$old"; \
	  $(TOOL) buf breaking --against "$$old"; \
	  break; \
	done

KILLS ?= 1000
chaos: setup ## kill a gateway KILLS times (1000), at every failpoint and at random, and check every promise
	@go run ./bench/chaos -kills $(KILLS)

CALLS ?= 20000
soak: setup ## make CALLS calls (20000) of every kind, and see whether what the gateway holds stays flat
	@go run ./bench/soak -calls $(CALLS)

SWAPS ?= 1000000
storm: ## exchange directories and links under every file call SWAPS times (1000000)
	@STORM_SWAPS=$(SWAPS) go test -count=1 -timeout 60m -run '^TestStorm$$' -v ./fileserver/store

bench: setup ## measure the budgets of the design against their floors; writes bench/out.json
	@go run ./bench

clean: ## remove bin/ and every container of Sandgate on this engine (images and Go's cache stay)
	@rm -rf bin
	@find pyrunner sdk -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
	@if docker version >/dev/null 2>&1; then docker ps -aq --filter $(OURS) | xargs -r docker rm -f >/dev/null; \
	  else echo "No Docker engine answers, so no container was looked for."; fi
	@echo "Left: the images sandgate/base, sandgate/sandbox and sandgate/gateway ('make clean-images' removes them), Go's build cache, the engine, gVisor."

clean-images: clean ## remove Sandgate's images too; building them again takes minutes
	@docker images -q sandgate/sandbox | sort -u | xargs -r docker rmi -f >/dev/null
	@docker images -q sandgate/gateway | sort -u | xargs -r docker rmi -f >/dev/null
	@docker images -q sandgate/base | sort -u | xargs -r docker rmi -f >/dev/null
