# What there is to do. Every target installs what it needs first (scripts/setup) and leaves no process behind.

.PHONY: run test lint bench load load-full mutants fuzz docs surfpool canary release profile

run: ## Sample origins and the gateway on conf/quickstart.yaml; Ctrl-C ends all.
	@scripts/run

test: ## All tests.
	@scripts/test

lint: ## Format, clippy, rustdoc, and the checks of xtask.
	@scripts/setup
	@cargo xtask ci

bench: ## Criterion for the crates that have benches, the rig for the process: of what is shipped for the bars. Two hours.
	@scripts/bench

load: ## All scenes of the load tool, small: ten minutes beside the build.
	@scripts/load

load-full: ## All scenes in full: hours.
	@scripts/load full

mutants: ## Gives the gateway faults on purpose, and looks whether each is found by its scene.
	@scripts/mutants

fuzz: ## Every fuzz target for 30 seconds; SECONDS=600 for longer.
	@scripts/setup
	@scripts/fuzz $(or $(SECONDS),30)

surfpool: ## The tests of Solana clients, against a simulator that takes long to build: a thousand packages.
	@scripts/surfpool

canary: ## Judges HEAD against BASE=REVISION: both are built, run in turns and compared. Reports in target/judge.
	@scripts/setup canary
	@scripts/canary "$(BASE)"

release: ## A stripped binary, and an archive with what runs it, in target/dist.
	@scripts/release

profile: ## What `make release` is optimised by, made anew: deploy/profile. Half an hour.
	@scripts/profile

docs: ## API documentation of all crates, in target/doc.
	@scripts/setup
	@cargo doc --workspace --no-deps
