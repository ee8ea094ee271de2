# What is built stays outside the checkout, so that it survives a fresh clone.
export WELLO_CACHE ?= $(HOME)/.cache/wello
export CARGO_TARGET_DIR ?= $(WELLO_CACHE)/target

TOOLS := $(WELLO_CACHE)/tools
DENY := $(TOOLS)/bin/cargo-deny
DENY_VERSION := 0.20.2

.PHONY: help run web test lint format bench docs fuzz

help: ## List what can be made
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

run: web ## Build the server with its web client and start it on config.toml
	cargo build --release --locked --package wello
	exec $(CARGO_TARGET_DIR)/release/wello serve --config config.toml

web: ## Build the web client into web/dist, from where the server takes it
	@scripts/web build

test: ## Install what the tests need and run all of them
	@scripts/test

lint: $(DENY) ## Check formatting, lints, dependencies and their licences
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	scripts/web check
	$(DENY) --log-level error check --hide-inclusion-graph bans licenses sources

format: ## Format the code
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml

bench: ## Measure the server beside its peers
	bench/run --figures pairs-archive,pairs-routing,latency,login-sha1,login-sha256,idle

# The table says what fails, so a failure is no reason to stop.
docs: ## Write docs/xeps.md and docs/conformance.md anew
	UPDATE_DOCS=1 cargo test --quiet --locked --package wello-modules --test documentation
	cargo build --locked --package wello
	-cargo run --locked --package wello-conformance -- \
	  --server wello:$(CARGO_TARGET_DIR)/debug/wello --render docs/conformance.md

fuzz: ## Feed every parser with mutated input for 20 seconds each
	@fuzz/run 20

# Run once and never on a hot path: not worth the minutes that optimising takes.
$(DENY):
	CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 \
	  CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256 \
	  cargo install cargo-deny --version $(DENY_VERSION) --locked --no-default-features --root $(TOOLS)
