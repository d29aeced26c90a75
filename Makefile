# What a developer and CI run; .ci/run calls these same targets. `make` alone lists them.
#
# `make verify` only reads: it fails where something is to be done, and never does it.

.DEFAULT_GOAL := help
.PHONY: help verify fix fmt clippy docs test deny advisories chart e2e browser examples chaos partitions storm simulate bench image

IMAGE ?= axp:0.1.0
# For example CHAOS_ARGS="--nemesis kill-leader,pause --seed 7"; CHAOS_DURATION=60s shortens a run.
CHAOS_ARGS ?=
BENCH_ARGS ?= submit --clients 64 --duration 30s

help: ## This list.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

verify: fmt clippy docs deny chart test ## Everything that must hold before a commit.

fix: ## Formats, applies what clippy can, and writes the chart's values table.
	cargo fmt --all
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	helm/check --table

fmt: ## Formatting.
	cargo fmt --all --check

clippy: ## Lints, warnings being errors.
	cargo clippy --locked --workspace --all-targets -- -D warnings

docs: ## Documentation comments, and that the pages name what exists.
	.ci/check-docs
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

test: ## Every Rust test, documentation tests included.
	cargo test --locked --workspace

deny: ## Licences, the walls between crates, sources. Needs no network but the package index.
	.ci/cargo-deny --locked check bans licenses sources

advisories: ## Known vulnerabilities; fetches the RustSec database from GitHub.
	.ci/cargo-deny --locked check advisories

chart: ## The Helm chart: lint, schemas, refusals, rules, and what our programs say of its config files.
	cargo build --locked --workspace --bins
	AXP_BIN=$(CURDIR)/target/debug helm/check

e2e: ## The official SDKs, unmodified, against one node and against a cluster.
	e2e/run

examples: ## The programs in examples/, as their READMEs run them.
	e2e/examples

browser: ## Journeys through the pages of human tasks in a headless Chromium, with screenshots.
	e2e/browser

chaos: ## Kills leaders under load and checks what clients were told.
	cargo build --locked --release --workspace --bins
	target/release/axp-chaos run $(CHAOS_ARGS)

partitions: CHAOS_ARGS = --nemesis isolate,one-way,bridge,flapping,lossy --seed 17401051140613951724
partitions: chaos ## The same with a network that breaks; as root, with ip and nft.

storm: CHAOS_ARGS = --nemesis all --overlap --rate 100 --seed 108
storm: chaos ## Everything that can break, two things at a time; as root, with ip, nft, /dev/fuse and libfaketime.

SIM_SEEDS ?= 300
simulate: ## A whole cluster in one thread, from seeds; then bugs that have to be found.
	cargo build --locked --release --workspace --bins
	target/release/axp-sim run --seeds $(SIM_SEEDS)
	for bug in lying-sync forgotten-votes torn-batches; do \
	  target/release/axp-sim run --seeds 100 --twice-every 0 --bug $$bug || exit 1; \
	done

bench: ## Loads three nodes and a gateway on this machine (docs/benchmarks.md).
	e2e/bench-cluster $(BENCH_ARGS)

image: ## The container image with all three programs.
	docker build --tag $(IMAGE) .
