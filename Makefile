# `make run` and `make test` do all the set-up they need. Everything is installed into .venv, from hash-locked files.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
RUN     = PYTHONPATH=$(CURDIR) $(BIN)/python -m gateway

.PHONY: run test lint format lock bench clean
.DEFAULT_GOAL := run

run: $(VENV)/.run
	@$(RUN) demo --data var/demo

test: $(VENV)/.dev
	@sh .ci/test $(BIN)

lint: $(VENV)/.dev
	@$(BIN)/ruff check --quiet --no-cache gateway tests
	@$(BIN)/ruff format --check --quiet gateway tests || { echo 'Run `make format`.'; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@PYTHONPATH=$(CURDIR) $(BIN)/python tests/lint_translations.py

format: $(VENV)/.dev
	@$(BIN)/ruff check --quiet --fix gateway tests
	@$(BIN)/ruff format --quiet gateway tests

bench: $(VENV)/.dev
	@$(BIN)/python -m tests.bench

lock: $(VENV)/.dev
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate $(LOCK) pyproject.toml -o requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate $(LOCK) --group dev -c requirements.txt pyproject.toml -o requirements-dev.txt

clean:
	rm -rf $(VENV) var dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/pyvenv.cfg:
	@sh .ci/venv $(PYTHON) $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/pyvenv.cfg
	@echo 'Installing what the box needs …'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@echo 'Installing what the tests need …'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements-dev.txt
	@touch $@
