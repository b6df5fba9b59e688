# Everything a developer runs. Each target makes its own environment in .venv first.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run check test test-debian12 system-test pictures deb man faults clean

run: .venv/ready        ## try it: a daemon and its console here, one line to type in a second terminal
	$(BIN)/python tests/demo.py

check: .venv/ready      ## linters and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: .venv/ready       ## all tests
	$(BIN)/pytest

test-debian12:          ## all tests with the oldest versions that have to do: Debian 12's
	$(PYTHON) -m venv .venv-debian12
	.venv-debian12/bin/pip install --quiet --constraint tests/debian12.txt --editable '.[dev]'
	.venv-debian12/bin/pytest

system-test: .venv/ready ## units and packages on real systemds in containers; as root, a few minutes
	$(BIN)/pytest tests/system -m system -rs

pictures: .venv/ready   ## the README's picture of both terminals, from a real talk
	$(BIN)/python -m tests.pictures

deb:                    ## the Debian packages, in build/deb; says what it lacks
	packaging/make-deb

man:                    ## how the man pages read: make man PAGE=pychat.1
	man --local-file packaging/man/$(or $(PAGE),pychatd.8)

faults: .venv/ready     ## long fault injection, about ten minutes; as root also hosts and disks
	$(BIN)/python -m tests.faults.run --long
	$(BIN)/pytest tests/faults -m slow

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-debian12 build dist *.egg-info
