# Every task of this repository by one name; `make help` lists them.
#
# `make run` and `make test` are the two that a newcomer needs. Debian packages that the tests lean on are listed in
# .ci/run, which prepares a fresh machine and then calls `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# mold links in a fraction of the time and lld comes second. All targets share these flags: Cargo rebuilds everything
# when they differ from one call to the next.
LINKER := $(firstword $(foreach l,mold lld,$(if $(shell command -v $(l)),$(l))))
ifneq ($(LINKER),)
export RUSTFLAGS := $(strip $(RUSTFLAGS) -C link-arg=-fuse-ld=$(LINKER))
endif

# nextest runs test binaries side by side and names slow ones; plain `cargo test` does as well.
ifneq ($(shell command -v cargo-nextest),)
RUN_TESTS := cargo nextest run
else
RUN_TESTS := cargo test --lib --bins --tests
endif

RELEASE := target/release
BENCH := $(RELEASE)/ochre-bench

# What is fetched once and kept outside the checkout: the conformance suite, the client libraries of the tests.
export OCHRE_TEST_CACHE ?= $(HOME)/.cache/ochre

# The client libraries that the black-box suite talks through, and queues and limiters that bring scripts; bump on
# purpose only. kombu, below Celery, needs packaging without saying so.
PYTHON_CLIENTS := redis==8.1.0 celery==5.7.0 packaging==26.3 rq==3.0.0
# Of node-redis the last series that runs on the Node.js 18 of Debian 12.
NODE_CLIENTS := ioredis@5.9.2 redis@5.9.0 bullmq@6.7.0 rate-limiter-flexible@11.4.0 bottleneck@2.19.5
CLIENTS := $(OCHRE_TEST_CACHE)/clients-$(firstword $(shell echo "$(PYTHON_CLIENTS) $(NODE_CLIENTS)" | cksum))
# How the tests find them.
export OCHRE_TEST_PYTHON := $(CLIENTS)/venv/bin/python
export OCHRE_TEST_NODE_MODULES := $(CLIENTS)/node_modules

# make conformance UNITS="unit/type/incr unit/multi"; SERVER= another binary; JOBS= units at a time
UNITS ?=
SERVER ?= $(RELEASE)/ochre-server
JOBS ?= 2
# make bench ARGS="--quick get"
ARGS ?=
# make fuzz FUZZ_SECONDS=600
FUZZ_SECONDS ?= 30
# make differential DIFFERENTIAL_STEPS=20000
DIFFERENTIAL_STEPS ?= 200000

.PHONY: help run release test test-parts fmt clippy unit clients conformance conformance-all certs
.PHONY: fuzz-builds bench bench-memory bench-snapshot bench-expiry big-collections bench-fragmentation bench-hitrate bench-micro bench-instructions fuzz fuzz-long miri sanitize differential soak clean-cache

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## --- the server ---------------------------------------------------------------------------------------------

# With certificates in certs/ (make certs) the server also takes TLS, from clients with or without a certificate.
TLS_ARGS = $(if $(wildcard certs/server.crt),--tls-port 6380 --tls-cert-file certs/server.crt \
	--tls-key-file certs/server.key --tls-ca-cert-file certs/ca.crt --tls-auth-clients optional)

run: release ## Build and start the server on 127.0.0.1:6379 (and TLS on 6380 after `make certs`)
	exec $(RELEASE)/ochre-server config/ochre.conf $(TLS_ARGS) $(ARGS)

release: ## Build the two daemons and the benchmark, optimised
	cargo build --release --bins

certs: ## Make a private CA, a server and a client certificate in certs/
	certs/make-certs.sh

## --- tests --------------------------------------------------------------------------------------------------

# .ci/run takes these one by one, to time them.
TEST_PARTS := fmt clippy fuzz-builds clients certs unit release conformance

test: $(TEST_PARTS) ## Everything that must pass before a change goes in

test-parts:
	@echo $(TEST_PARTS)

fmt: ## Is the code formatted?
	cargo fmt --all --check

clippy: ## Lints, with warnings as errors
	cargo clippy --workspace --all-targets -- -D warnings

# Nothing else would notice when a change leaves them behind.
fuzz-builds: ## Do the fuzz targets compile?
	for manifest in $$(git ls-files '*fuzz/Cargo.toml'); do \
		cargo check --quiet --manifest-path "$$manifest" --bins --target-dir target/fuzz || exit 1; \
	done

# The black-box suite starts the daemons that this builds.
unit: certs clients ## Unit, property, black-box and differential tests
	cargo build --workspace --bins
	$(RUN_TESTS) --workspace
	cargo test --workspace --doc

clients: $(CLIENTS)/complete ## Fetch client libraries and queues of Python and Node.js for the tests, outside the checkout

$(CLIENTS)/complete:
	rm -rf "$(CLIENTS)" && mkdir -p "$(CLIENTS)"
	python3 -m venv "$(CLIENTS)/venv"
	"$(CLIENTS)/venv/bin/pip" install --quiet --disable-pip-version-check $(PYTHON_CLIENTS)
	npm install --silent --no-audit --no-fund --prefix "$(CLIENTS)" $(NODE_CLIENTS)
	touch $@

# With another SERVER there is nothing of ours to build.
conformance: $(if $(findstring $(RELEASE),$(SERVER)),release) ## Redis 7.0's own test suite (UNITS="unit/multi …" picks)
	tests/conformance/run.py --server "$(SERVER)" --jobs $(JOBS) $(UNITS) $(ARGS)

conformance-all: release ## Every unit of that suite, listed in expected.toml or not
	tests/conformance/run.py --server "$(SERVER)" --jobs $(JOBS) --all $(ARGS)

## --- figures ------------------------------------------------------------------------------------------------

bench: release ## Speed and CPU per request of every type, beside Redis and a floor (ARGS="--quick get")
	$(BENCH) speed $(ARGS)

bench-memory: release ## Bytes per key, element of a collection and idle connection, beside Redis
	$(BENCH) memory $(ARGS)

bench-snapshot: release ## BGSAVE of five million keys under writes: is the file exact, how long is a turn?
	$(BENCH) snapshot $(ARGS)

bench-expiry: release ## A million of 50 million keys that expire in one second: when are they gone?
	$(BENCH) expiry $(ARGS)

big-collections: release ## Ten million elements in one key: is what is short on paper short?
	$(BENCH) big $(ARGS)

bench-fragmentation: release ## How dense memory stays through deletions and other sizes, beside Redis
	$(BENCH) fragmentation $(ARGS)

bench-hitrate: release ## How often a cache at half the data has what is asked for, beside Redis
	$(BENCH) hitrate $(ARGS)

bench-micro: ## Micro-benchmarks of parser, table and reply writer
	cargo bench --workspace --benches $(ARGS)

bench-instructions: release ## Instructions per GET and SET under callgrind, beside Redis
	$(BENCH) instructions $(ARGS)

## --- long searches for trouble ------------------------------------------------------------------------------

# Every fuzz/ crate in the tree; each of its targets gets FUZZ_SECONDS. New inputs go to corpus/, which git ignores;
# seeds/ is kept with the code. The host's triple is named because cargo-fuzz would take its own.
# Without a nightly toolchain, the stable one is told to take the fuzzer's flags.
FUZZ_CARGO = $$(cargo +nightly --version >/dev/null 2>&1 && echo cargo +nightly || echo env RUSTC_BOOTSTRAP=1 cargo)

fuzz: ## Each fuzz target for half a minute (FUZZ_SECONDS=…); needs cargo-fuzz
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }
	@host=$$(rustc -vV | sed -n 's/^host: //p'); found=no; \
	for manifest in $$(git ls-files '*fuzz/Cargo.toml'); do \
		dir=$$(dirname "$$manifest"); \
		for target in $$($(FUZZ_CARGO) fuzz list --fuzz-dir "$$dir"); do \
			found=yes; echo "== $$dir $$target for $(FUZZ_SECONDS) s"; \
			mkdir -p "$$dir/corpus/$$target"; \
			seeds=$$(ls -d "$$dir/seeds/$$target" 2>/dev/null || true); \
			RUSTFLAGS= $(FUZZ_CARGO) fuzz run --target "$$host" --fuzz-dir "$$dir" "$$target" \
				"$$dir/corpus/$$target" $$seeds -- -max_total_time=$(FUZZ_SECONDS); \
		done; \
	done; [[ $$found == yes ]] || { echo "no fuzz target found" >&2; exit 1; }

fuzz-long: ## Each fuzz target for an hour
	$(MAKE) fuzz FUZZ_SECONDS=3600

miri: ## The store's tests under miri (nightly): every unsafe block is checked
	RUSTFLAGS= MIRIFLAGS="-Zmiri-disable-isolation" cargo +nightly miri test -p ochre-store $(ARGS)

# Less than miri sees (no uninitialised reads, no broken rules of borrowing), but without a nightly toolchain, and with all
# cases of the property tests.
sanitize: ## The store's tests under AddressSanitizer: freed twice, used after that, out of bounds, leaked
	@host=$$(rustc -vV | sed -n 's/^host: //p'); \
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test -p ochre-store --lib --target "$$host" \
		--target-dir target/sanitize $(ARGS)

# Forty minutes for all groups, twice that on a machine with other work.
differential: ## 200,000 random commands per group and setting beside redis-server (DIFFERENTIAL_STEPS=…)
	cargo build --workspace --bins
	OCHRE_TEST_STEPS=$(DIFFERENTIAL_STEPS) cargo test -p ochre-tests --test differential --test differential_collections --test differential_scripts

# Property tests with two hundred times their cases, both servers at 8 and 16 million keys, the snapshot ten times over,
# 2,000 clients for ten minutes.
soak: release ## The long forms of properties and figures, for a night
	cargo build --workspace --bins
	ulimit -n "$$(ulimit -H -n)"; SOAK_SECONDS=600 SOAK_CLIENTS=2000 cargo test -p ochre-tests --test soak -- --nocapture
	PROPTEST_CASES=50000 $(RUN_TESTS) --workspace
	$(BENCH) memory --redis-keys 8,16
	for round in 1 2 3 4 5 6 7 8 9 10; do $(BENCH) snapshot --seed $$round; done

clean-cache: ## Remove what was fetched into OCHRE_TEST_CACHE
	rm -rf "$(OCHRE_TEST_CACHE)"/redis-7* "$(OCHRE_TEST_CACHE)"/clients-* "$(OCHRE_TEST_CACHE)"/lock
