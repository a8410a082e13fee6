# Set-up needs Python 3.11 to 3.13, make and nothing else: every target that needs packages makes .venv by itself, and
# makes it anew only when a lock changes. Training has an environment of its own, .venv-training.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup serve test test-training test-clients examples check format coverage audit bench train-env model lock bundle check-bundle clean suitable-python

VENV := .venv
BIN := $(VENV)/bin
TRAINING := .venv-training
AUDIT := .venv-audit
CLIENTS := .venv-clients
LOCKS ?= requirements-audit requirements requirements-dev requirements-clients training/requirements training/requirements-gpu training/requirements-ray
PROCESSOR := $(if $(GPU),gpu,cpu)
TOGETHER := -n 2 --dist loadfile
SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	if $$name -c '$(SUITABLE)' >/dev/null 2>&1; then echo $$name; break; fi; done)
INSTALL := -m pip --disable-pip-version-check --quiet install --require-hashes --no-deps -r
BENCHMARKS = $(sort $(basename $(notdir $(shell grep -l '__name__ == "__main__"' benchmarks/*.py))))

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/dev.stamp ## Make .venv with everything for tests, checks and benchmarks

serve: $(VENV)/serve.stamp ## Run the service on PORT (default 8000), as in production; reads .env where it is there
	@if [[ -f .env ]]; then while IFS='=' read -r name value || [[ -n $$name ]]; do \
		if [[ $$name =~ ^[A-Z][A-Z0-9_]*$$ && -z $${!name:-} ]]; then export "$$name=$${value%$$'\r'}"; fi; \
	done < .env; fi; \
	exec $(BIN)/gunicorn -c gunicorn.conf.py application:application

test: $(VENV)/dev.stamp ## Run the whole test suite in two processes (ARGS="-k name" to choose)
	$(BIN)/python -m pytest $(TOGETHER) $(ARGS)

test-training: $(TRAINING)/$(PROCESSOR).stamp ## Run the tests of training with TensorFlow, which make test skips
	$(TRAINING)/bin/python -m pytest tests/training $(ARGS)

test-clients: $(VENV)/dev.stamp $(CLIENTS)/stamp tests/clients/node_modules/stamp ## Generate clients in Python and TypeScript, try them and the snippets of /docs (needs Node and Java)
	$(BIN)/python -m pytest tests/clients $(ARGS)

examples: $(VENV)/dev.stamp ## Write the answers anew that the OpenAPI shows as examples
	$(BIN)/python -m tests.web.real_answers

check: audit $(VENV)/dev.stamp ## Check format, lint and types, ask for known weaknesses (online), then run the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(TOGETHER) $(ARGS)

audit: | suitable-python ## Ask for known weaknesses of the locked packages; says so where nobody can be asked (REQUIRED=1: fails then)
	@timeout 300 $(MAKE) --silent $(AUDIT)/stamp 2>/dev/null || true; \
	python=$(AUDIT)/bin/python; if [[ ! -f $(AUDIT)/stamp ]]; then python=$(PYTHON); fi; \
	$$python .ci/audit.py $(if $(REQUIRED),--required) requirements.txt requirements-dev.txt

format: $(VENV)/dev.stamp ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

coverage: $(VENV)/dev.stamp ## Run the tests and show the branches that no test takes
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered $(ARGS)

bench: $(VENV)/dev.stamp ## Run one benchmark (BENCH=latency) or, without BENCH, all of them
	@missed=; for name in $(or $(BENCH),$(BENCHMARKS)); do echo "== $$name"; \
		$(BIN)/python -m benchmarks.$$name $(ARGS) || missed="$$missed $$name"; done; \
	if [[ -n $$missed ]]; then echo "below their targets, or not run:$$missed" >&2; exit 1; fi

train-env: $(TRAINING)/$(PROCESSOR).stamp $(if $(RAY),$(TRAINING)/ray.stamp) ## Make .venv-training with everything for training (GPU=1 adds CUDA's libraries, RAY=1 Ray)

model: $(TRAINING)/$(PROCESSOR).stamp ## Train the ensemble and write models/hare_run_v6_facial (ARGS="--weights none")
	$(TRAINING)/bin/python -m training.train_hare_run training/configs/facial.yaml --out runs/facial --model-dir models/hare_run_v6_facial $(ARGS)

lock: $(AUDIT)/stamp ## Write the locks from the .in files, and the bill of materials (UPGRADE=1: newer versions; LOCKS=requirements-dev: one lock)
	for name in $(LOCKS); do $(AUDIT)/bin/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
		--generate-hashes $(if $(UPGRADE),--upgrade) $$name.in --output-file $$name.txt; done
	$(AUDIT)/bin/python .ci/sbom.py requirements.txt sbom.cdx.json

bundle: | suitable-python ## Make dist/<name>-<version>.zip for Elastic Beanstalk (ARGS=--without-ensemble leaves the model to S3)
	@$(PYTHON) -m deploy.bundle $(ARGS)

check-bundle: $(VENV)/dev.stamp | suitable-python ## Make the bundle, install it afresh and prove it: options, nginx, gunicorn, hooks, container
	rm -rf dist/check
	$(PYTHON) -m deploy.bundle --out dist/check
	$(PYTHON) -m zipfile -e dist/check/*.zip dist/check/unpacked
	$(PYTHON) -m venv dist/check/venv
	dist/check/venv/bin/python -m pip --disable-pip-version-check --quiet install -r dist/check/unpacked/requirements.txt  # as the platform does
	CHECK_BUNDLE=$$(echo dist/check/*.zip) CHECK_PYTHON=dist/check/venv/bin/python $(BIN)/python -m pytest tests/deploy $(ARGS)

clean: ## Remove .venv, .venv-training, .venv-audit, .venv-clients, npm packages, dist, caches and benchmark results
	rm -rf $(VENV) $(TRAINING) $(AUDIT) $(CLIENTS) tests/clients/node_modules dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov benchmarks/results
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

suitable-python:
	@if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c '$(SUITABLE)'; then \
		echo "Python 3.11, 3.12 or 3.13 is needed and was not found; install one, or name it: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; fi

$(VENV)/python.stamp: | suitable-python
	$(PYTHON) -m venv --clear $(VENV)
	touch $@

$(VENV)/serve.stamp: requirements.txt | $(VENV)/python.stamp
	$(BIN)/python $(INSTALL) requirements.txt
	touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/serve.stamp
	$(BIN)/python $(INSTALL) requirements-dev.txt
	touch $@

$(CLIENTS)/stamp: requirements-clients.txt | suitable-python
	$(PYTHON) -m venv --clear $(CLIENTS)
	$(CLIENTS)/bin/python $(INSTALL) requirements-clients.txt
	touch $@

tests/clients/node_modules/stamp: tests/clients/package-lock.json
	npm ci --prefix tests/clients --no-audit --no-fund --silent
	touch $@

$(AUDIT)/stamp: requirements-audit.txt | suitable-python
	$(PYTHON) -m venv --clear $(AUDIT)
	$(AUDIT)/bin/python $(INSTALL) requirements-audit.txt
	touch $@

$(TRAINING)/cpu.stamp: training/requirements.txt | suitable-python
	$(PYTHON) -m venv --clear $(TRAINING)
	$(TRAINING)/bin/python $(INSTALL) training/requirements.txt
	touch $@

$(TRAINING)/gpu.stamp $(TRAINING)/ray.stamp: $(TRAINING)/%.stamp: training/requirements-%.txt $(TRAINING)/cpu.stamp
	$(TRAINING)/bin/python $(INSTALL) training/requirements-$*.txt
	touch $@
