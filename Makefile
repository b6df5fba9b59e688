# Everything a developer runs. Each target makes its own environment in .venv first.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run check test faults clean

run: .venv/ready        ## try it: a daemon and its console here, one line to type in a second terminal
	$(BIN)/python tests/demo.py

check: .venv/ready      ## linters and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: .venv/ready       ## all tests
	$(BIN)/pytest

faults: .venv/ready     ## long fault injection, about ten minutes; as root also hosts and disks
	$(BIN)/python -m tests.faults.run --long
	$(BIN)/pytest tests/faults -m slow

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
