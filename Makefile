# Strata's commands. `make up` and `make test` need Python 3.11 or newer, and make what else they need.
#   make up ARGS="--port-base 0"     make test ARGS="-k launch"     make PYTHON=python3.12 test

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
LINTED := . scripts/bootstrap scripts/test-packages

# A file keeps to one worker, so that what it starts for all its tests is started once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help up down test test-fast test-slow soak fire fire-one bench bench-full check format proto lock image clean env env-dev test-packages

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: env ## Start a whole Strata here: etcd, a simulated EC2, the daemon, two example stacks
	@exec $(BIN)/strata up $(ARGS)

down: env ## End a `make up ARGS=--detach`
	@exec $(BIN)/strata down $(ARGS)

test: env-dev test-packages ## Run all tests
	$(PYTEST) $(ARGS)

test-fast: env-dev ## Run the tests that take less than ten seconds each
	$(PYTEST) -m "not slow" $(ARGS)

soak: env-dev ## Play chaos in small worlds for SECONDS=3600 from SEED=0 on, and print what it covered
	$(BIN)/python -m tests.chaos --seconds $(or $(SECONDS),3600) --seed $(or $(SEED),0) $(ARGS)

fire: env-dev test-packages ## Kill the leading daemon KILLS=200 times and etcd a quarter as often while layers change
	KILLS=$(or $(KILLS),200) $(BIN)/python -m pytest -s tests/chaos/test_fire.py $(ARGS)

fire-one: env-dev test-packages ## Kill the leading daemon 200 times and etcd 50 times while one layer changes (half an hour)
	STRATA_FIRE_DAEMON=$${STRATA_FIRE_DAEMON:-200} STRATA_FIRE_ETCD=$${STRATA_FIRE_ETCD:-50} \
		$(BIN)/python -m pytest -rA tests/chaos/test_real_processes.py $(ARGS)

test-slow: env-dev test-packages ## Run the others
	$(PYTEST) -m slow $(ARGS)

bench: env-dev test-packages ## Measure it next to a plain boto3 loop (ARGS="--sizes 10x10": quicker)
	$(BIN)/python -m tests.bench $(ARGS)

bench-full: env-dev test-packages ## Likewise, with 100,000 machines
	$(BIN)/python -m tests.bench --sizes 10x10,100x10,1000x10,1000x100 $(ARGS)

check: env-dev ## Lint, formatting, types, import contracts
	$(BIN)/ruff check $(LINTED)
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/lint-imports

format: env-dev ## Format the code, and mend what can be mended by itself
	$(BIN)/ruff check --fix $(LINTED)
	$(BIN)/ruff format $(LINTED)

lock: env-dev ## Resolve the dependencies anew, with hashes
	scripts/lock

proto: ## Generate the etcd messages anew from their .proto
	PYTHON=$(PYTHON) scripts/proto

image: ## Build the container image
	docker build -t strata:dev .

clean: ## Remove all that was made here
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

env:
	@$(PYTHON) scripts/bootstrap local

env-dev:
	@$(PYTHON) scripts/bootstrap dev

test-packages:
	@$(PYTHON) scripts/test-packages
