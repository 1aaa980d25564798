# Everything is set up inside the checkout (.tools, .venv); the bed's programs are cached outside it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first Python of at least 3.11; `PYTHON=…` chooses another.
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
  $(name) -c 'import sys; print("$(name)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)) none)
UV_VERSION := 0.13.9
UV := .tools/bin/uv
RUN := .venv/bin/python
PYTEST := $(RUN) -m pytest
# End-to-end tests wait most of their time: two beds, one a core, halve it. Files go in order: those
# that need a cluster without an operator come before the end-to-end tests.
BEDS ?= 2
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv

.PHONY: help setup bed demo test test-unit test-kind check bench bench-evidence soak crds dashboards picture clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: .venv/.ready ## Make the virtual environment from uv.lock

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "set-up: Python 3.11 or newer is needed (make PYTHON=…)" >&2; exit 1; }
	@echo "set-up: uv $(UV_VERSION) in .tools" >&2
	@$(PYTHON) -m venv .tools \
	  || { echo "set-up: $(PYTHON) has no venv (Debian: apt install python3-venv)" >&2; exit 1; }
	@.tools/bin/pip --quiet --disable-pip-version-check install uv==$(UV_VERSION)

.venv/.ready: uv.lock pyproject.toml $(UV)
	@echo "set-up: packages of uv.lock in .venv" >&2
	@$(UV) sync --frozen --quiet --python $(PYTHON)
	@touch $@

bed: setup ## Build or find the programs of the test bed (about 20 minutes with empty caches)
	@$(RUN) -m tests.bed.binaries || { go version 2>/dev/null | grep -qE 'go1\.(2[6-9]|[3-9][0-9])' \
	  || echo "bed: Go 1.26 or newer is needed; found: $$(go version 2>/dev/null || echo none)" >&2; \
	  exit 1; }

demo: bed ## Ship a good and a bad version on the real bed, and watch
	@$(RUN) -m tests.demo

test: bed check ## Every test: checks, units, end-to-end on the bed
	@$(PYTEST) -m "not soak" -n $(BEDS) --dist loadfile --no-loadscope-reorder

test-unit: setup ## Tests that need no cluster
	@$(PYTEST) -m "not bed and not soak" -q -n auto

test-kind: setup ## The end-to-end tests on kind (needs a container engine)
	@tests/kind.sh

check: setup ## Format, lint, types, layers, generated files
	@.venv/bin/ruff format --check --quiet . || { echo "run: .venv/bin/ruff format ." >&2; exit 1; }
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@$(PYTEST) -q -m "not bed" tests/api

bench: bed ## Measure what the README claims, as a table
	@$(RUN) -m tests.bench

bench-evidence: setup ## Measure how the evidence fares beside other tools and its targets (10 minutes)
	@$(RUN) -m tests.bench_evidence

soak: bed ## Releases with the default settings (long)
	@$(PYTEST) -m soak

crds: setup ## Write crds/ and docs/configuration.md from the models
	@$(RUN) -m penstock.api.crd crds
	@$(RUN) -m penstock.api.configuration > docs/configuration.md

dashboards: setup ## Write the Grafana dashboards and docs/metrics-of-the-operator.md
	@$(RUN) -m tests.observability

picture: bed ## Draw the pictures of the documents, from real runs
	@$(RUN) -m tests.picture docs/release.png
	@$(RUN) -m tests.picture_evidence docs

clean: ## Remove what set-up and tests made in the checkout
	rm -rf .venv .tools .bed .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
