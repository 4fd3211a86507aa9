# Every target works on a fresh machine with Python 3.11 or 3.12 and make: uv and the environment set themselves up.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
READY := .venv/.ready
PYTEST_ARGS ?=

# A foreign virtual environment or uv setting must not move the environment elsewhere. Without compiled files every
# process that the tests start compiles the project anew (2026-11: one of its six seconds).
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test cov lint format benchmark clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## Build .venv exactly as uv.lock says (about 7 GB; again only when the lock changes), find a browser

# Compiling costs about 40 s once; afterwards Prefect and MLflow start twice as fast.
$(READY): pyproject.toml uv.lock
	infra/uv sync --frozen --compile-bytecode
	infra/browser
	@touch $@

demo: $(READY) ## Run every pipeline on its built-in data
	$(BIN)/fieldwork run --all --preset quick

# One thread per worker: threads that wait for a descheduled partner cost more than they give. Three of them for two
# cores, since one of them often waits for a browser or a server. In the order of tests/conftest.py, since files with the
# most tests first would leave the few long ones for the end, the other workers idle beside them.
test: $(READY) ## Run all tests (PYTEST_ARGS="tests/shared -k split" for a part)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

cov: $(READY) ## Run all tests and write the coverage to htmlcov/
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --cov=shared --cov=pipelines --cov=apps --cov-report=term --cov-report=html $(PYTEST_ARGS)

lint: $(READY) ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(READY) ## Run the benchmarks in tests/benchmarks
	@for file in tests/benchmarks/*.py; do \
		[ -e "$$file" ] || { echo "No benchmarks yet."; break; }; \
		echo "== $$file"; \
		$(BIN)/python "$$file" || exit 1; \
	done

clean: ## Remove caches and coverage; .venv, .tools and FIELDWORK_HOME stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage coverage.xml htmlcov dist
	find apps pipelines shared tests -name __pycache__ -type d -prune -exec rm -rf {} +
