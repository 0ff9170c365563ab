# Backstock's verbs. `make help` lists them.

SHELL := /bin/bash
CARGO := cargo
# One profile for everything, so that RocksDB is compiled once.
PROFILE := --release --locked
TOOLS := target/tools
export PATH := $(CURDIR)/$(TOOLS):$(PATH)

.PHONY: help demo test lint bench torture build tools pictures

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: build ## a simulated shop with live traffic and Backstock beside it (DEMO_ARGS=--script: without a person)
	@tests/demo.sh $(DEMO_ARGS)

build: tools ## compile everything once
	$(CARGO) build $(PROFILE) --workspace

test: tools ## every test
	$(CARGO) nextest run $(PROFILE) --workspace --test-threads $$(($$(nproc) + 1))
	$(CARGO) test $(PROFILE) --workspace --doc
	tests/page/run.sh
	tests/openapi/run.sh
	tests/documents/run.sh

lint: tools ## formatting, clippy, documentation, manifests and alert rules
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(PROFILE) --workspace --all-targets -- -D warnings
	k8s/check.sh $(TOOLS)/k8s
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc $(PROFILE) --workspace --no-deps --document-private-items

pictures: tools ## the documents' pictures, made anew by the page's own tests
	SHOTS=docs/pictures tests/page/run.sh

bench: tools ## benchmarks, as tables of ratios
	$(CARGO) bench --profile release --locked --workspace

torture: build ## long crash, fault and seed loops
	@tests/torture.sh $(TORTURE_ARGS)

tools: ## install what building and testing need
	@tests/tools.sh $(TOOLS)
