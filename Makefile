# Everything a developer runs. Each target makes its own environment in .venv first.

PYTHON ?= python3
BIN := .venv/bin

# Each of thousands of programs that the tests start would compile pychat again.
unexport PYTHONDONTWRITEBYTECODE

# Tests wait more than they work: twice as many at once as there are processors.
PARALLEL = -n $$((2 * $$(nproc))) --dist worksteal

.PHONY: run check test test-debian12 system-test terminals pictures structure deb dist pyz release man \
	faults simulate planted exhaust mutants mutants-docs bench bench-docs bench-units bench-client bench-siege bench-before bench-quick clean

run: $(or $(wildcard .venv/ready),.venv/run) ## try it: starts a service and its console; prints the command for a second terminal
	$(BIN)/python packaging/tools/demo.py

check: .venv/ready      ## linters, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for platform in darwin freebsd14; do \
		$(BIN)/mypy --platform $$platform --cache-dir .mypy_cache/$$platform pychat_client pychatd || exit; done
	$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports --no-logo

test: .venv/ready       ## all tests
	$(BIN)/pytest $(PARALLEL)

test-debian12:          ## all tests with the oldest versions that have to do: Debian 12's
	$(PYTHON) -m venv .venv-debian12
	.venv-debian12/bin/pip install --quiet --constraint tests/debian12.txt --editable '.[dev]'
	.venv-debian12/bin/pytest $(PARALLEL)

system-test: .venv/ready ## units and packages on real systemds in containers; as root, a few minutes
	$(BIN)/pytest tests/system -m system -rs

terminals: .venv/ready  ## resizing in the terminal emulators of X that are installed, without a display; some minutes
	$(BIN)/pytest tests/terminals -m terminals -rs

pictures: .venv/ready   ## draw the pictures of the pages from real conversations
	PYTHONPATH=. $(BIN)/python packaging/tools/pictures.py

structure: .venv/ready  ## figures of the code's structure: imports, circles, the largest classes, lines
	$(BIN)/python packaging/tools/structure.py

deb:                    ## the Debian packages, in build/deb; says what it lacks
	packaging/make-deb

dist: .venv/ready       ## the source archive, the wheel and pychat.pyz of the last commit, in dist/; always the same bytes
	packaging/make-dist

pyz: .venv/ready        ## the client in one file, for any Python 3.11 or newer: build/pychat.pyz
	$(BIN)/python packaging/tools/pyz.py build/pychat.pyz

release:                ## checks, builds into dist/ and tags: make release VERSION=X.Y.Z (RELEASING.md)
	packaging/release $(VERSION)

man:                    ## how the man pages read: make man PAGE=pychat.1
	man --local-file packaging/man/$(or $(PAGE),pychatd.8)

faults: .venv/ready     ## long fault injection, a quarter of an hour or more; as root also hosts and disks
	$(BIN)/python -m tests.faults.run --long
	$(BIN)/pytest tests/faults -m slow

simulate: .venv/ready   ## random runs of everything on virtual time: make simulate MINUTES=5 SEED=7
	$(BIN)/python -m tests.simulation.run --minutes $(or $(MINUTES),1) $(if $(SEED),--seed $(SEED))

planted: .venv/ready    ## faults that the simulator has to find, and how long it takes; half a minute
	$(BIN)/python -m tests.simulation.planted

exhaust: .venv/ready    ## all that can happen to 3 + 3 messages, to the end; or make exhaust WORDS=2 CUTS=1 CRASHES=1
	$(BIN)/python -m tests.simulation.search $(if $(WORDS),--words $(WORDS)) $(if $(CUTS),--cuts $(CUTS)) \
		$(if $(CRASHES),--crashes $(CRASHES)) $(if $(QUITS),--quits $(QUITS)) \
		$(if $(CONSOLES),--consoles $(CONSOLES)) $(if $(SIGNS),--signs $(SIGNS)) $(if $(TURNS),--turns $(TURNS))

mutants: .venv/ready    ## faults in the rules that the fast tests have to notice: make mutants MINUTES=5 MODULE=outbox
	$(BIN)/python -m tests.mutants.run $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
		$(if $(MODULE),--module $(MODULE)) $(if $(LISTED),--listed) $(if $(WORK),--work $(WORK))

mutants-docs: .venv/ready ## writes the score of each module that `make mutants` has kept into docs/development.md
	$(BIN)/python -m tests.mutants.score

bench: .venv/ready      ## what it costs, beside what one would pick instead; a quarter of an hour, on a quiet machine
	$(BIN)/python -m tests.bench.run
	$(BIN)/python -m tests.bench.live
	$(BIN)/python -m tests.bench.screens
	$(BIN)/python -m tests.bench.strangers

bench-docs: .venv/ready ## keeps the figures of the last `make bench`, and writes them into docs/performance.md
	$(BIN)/python -m tests.bench.report

bench-units: .venv/ready ## idle socket units on a real systemd in a container; as root
	$(BIN)/python -m tests.bench.units

bench-client: .venv/ready ## what the session file costs pychat: make bench-client OLD=DIR, a checkout to compare with
	$(BIN)/python -m tests.bench.client $(if $(OLD),--old $(OLD))

bench-siege: .venv/ready ## what thousands of strangers cost a talk: make bench-siege OLD=DIR, a checkout to compare with
	$(BIN)/python -m tests.bench.siege $(if $(OLD),--old $(OLD))

bench-before: .venv/ready ## what other checkouts need, and this one: make bench-before OLD="DIR1 DIR2"; ten minutes
	$(BIN)/python -m tests.bench.before $(OLD)

bench-quick: .venv/ready ## under a minute: beside a bare relay, and the kept figures
	$(BIN)/python -m tests.bench.run --quick

# What the programs need, and what a developer needs besides.
.venv/run: EXTRA = daemon
.venv/ready: EXTRA = dev
.venv/run .venv/ready: pyproject.toml
	@$(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "make: this needs Python 3.11 or newer with venv: on Debian, as root," \
		"'apt-get update && apt-get install python3-venv' installs both" >&2; exit 3; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[$(EXTRA)]'
	touch $@

clean:
	rm -rf .venv .venv-debian12 build dist *.egg-info
