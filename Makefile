# Each command sets up what it needs, shows its progress, is cheap to repeat, and says what failed and how to mend it.
# All of them share one build profile (dev: optimised dependencies, optimised code, line numbers in backtraces).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: ## install the system packages and the Python peers of the tests (root or sudo)
	@tools/setup.sh system peers

demo: ## build, generate a scene, run the cell on it; leaves out/demo.rrd, a recorded bag and a JSON log
	@tools/setup.sh system
	@tools/demo.sh

test: ## everything CI runs: format, lints, tests, peers, the r2r carrier's types
	@tools/test.sh

lint: ## format and clippy only
	@tools/setup.sh system
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

bench: ## the parts (criterion) and the whole line, as tables and as out/parts.json, out/bench.json
	@tools/setup.sh system
	@tools/bench.sh

clean: ## remove what the commands above made
	rm -rf out .venv target
