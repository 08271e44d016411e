# Each command sets up what it needs, shows its progress, is cheap to repeat, and says what failed and how to mend it.
# All of them share one build profile (dev: optimised dependencies, optimised code, line numbers in backtraces).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench train train-comparison train-embedding train-items finetune exam real-exam clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: ## install the system packages and the Python peers of the tests (root or sudo)
	@tools/setup.sh system peers

demo: ## build, generate a scene, run the cell on it; leaves out/demo.rrd, a recorded bag and a JSON log
	@tools/setup.sh system
	@tools/demo.sh

test: ## everything CI runs: format, lints, tests, peers, the r2r carrier's types
	@tools/test.sh

lint: ## format and clippy only
	@tools/setup.sh system
	@source tools/lib.sh && cargo fmt --all --check && cargo clippy --workspace --all-targets --locked -- -D warnings

bench: ## the parts (criterion) and the whole line, as tables and as out/parts.json, out/bench.json
	@tools/setup.sh system
	@tools/bench.sh

train: ## the damage network from nothing (training/README.md); SAMPLES=3000000 is a night on two cores
	@tools/train.sh

train-comparison: ## the network that judges an item beside its reference, from nothing; an hour and a half on two cores
	@tools/train.sh comparison

train-embedding: ## the network by whose vectors products are told apart, from nothing; an hour on two cores
	@tools/train.sh embedding

train-items: ## the network that finds items without depth, from nothing; an hour on two cores
	@tools/train.sh items

finetune: ## the damage network on your own captures: DATASET=path FORMAT=kaputt|booth
	@tools/train.sh finetune "$(DATASET)" "$(FORMAT)"

exam: ## the frozen booth exam with the built-in model; ITEMS=800 captures a booth is all of it
	@tools/train.sh exam --items $(or $(ITEMS),800)

real-exam: ## damage and shams put into real captures that never trained, the shortcut audit, and the model's figures
	@tools/train.sh real-exam

clean: ## remove what the commands above made
	rm -rf out .venv .venv-train target
