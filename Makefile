# The front door. Each target makes .venv from python3 alone; the work is in Python.
PYTHON ?= python3
BIN := .venv/bin
SDKS := tests/path/sdks/python/requirements tests/path/agents/requirements
PYTHONS := gateway tests bench reference docs/conf.py
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOWEST := tests
# What reaches deepest into a library: its sockets, bytes, schemas, JSON and tables.
REACH := tests/inbound tests/log/test_kafka_record.py tests/log/test_kafka_request.py \
  tests/log/test_sqlite.py tests/workspace tests/outbound/test_send.py \
  tests/outbound/test_client.py tests/outbound/test_routes.py

.PHONY: run check test lowest soak bench docs reference pictures destination dist lock clean

run: .venv/run  ## start the gateway on 127.0.0.1:8080
	@exec $(BIN)/gateway serve

check: .venv/test  ## the fast loop: lint, types, import contracts, tests without services
	$(BIN)/ruff format --check $(PYTHONS)
	$(BIN)/ruff check $(PYTHONS)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell $(PYTHONS) schemas deploy docs *.md
	$(BIN)/python -m pytest -q -n 2 --hypothesis-profile=fast -m "not service and not soak"

test: .venv/test  ## everything, real parts included
	$(BIN)/ruff format --check $(PYTHONS)
	$(BIN)/ruff check $(PYTHONS)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell $(PYTHONS) schemas deploy docs *.md
	$(BIN)/coverage erase
	$(MAKE) lowest LOWEST="$(REACH)"
	$(BIN)/coverage run -m pytest -p tests.measured -m "not soak"

lowest: .venv/lowest/installed  ## the fast tests on the oldest libraries pyproject.toml allows
	PYTHONPATH=$(CURDIR)/.venv/lowest $(BIN)/python -m pytest -q -p no:cacheprovider \
	  -m "not service and not soak" $(LOWEST)

soak: .venv/test  ## long fault rounds and timed promises
	$(BIN)/python -m pytest -m soak -s

bench: .venv/test  ## CPU per event, side by side: make bench BENCH="--bootstrap HOST:PORT"
	$(BIN)/python -m bench $(BENCH)

reference: .venv/run  ## write the pages of docs/reference that are made from the code
	$(BIN)/python -m reference

pictures: .venv/test  ## docs/images: the console as a browser shows it, after minutes of play
	$(BIN)/python -m tests.console.pictures

destination: .venv/run  ## a new type of destination to fill in: make destination NAME=crm
	$(BIN)/python -m reference.scaffold $(NAME)

docs: .venv/docs  ## the site of docs/, in docs/_build: a broken link or anchor fails
	$(BIN)/sphinx-build -n -W --keep-going -q -b html docs docs/_build

dist: .venv/run  ## one wheel, in dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --wheel-dir dist .

.venv/run: requirements/run.txt pyproject.toml | .venv/bin/python
	$(PIP) --require-hashes -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/test: requirements/test.txt .venv/run
	$(PIP) --require-hashes -r requirements/test.txt
	@touch $@

.venv/docs: requirements/docs.txt .venv/run
	$(PIP) --require-hashes -r requirements/docs.txt
	@touch $@

.venv/lowest/installed: requirements/lowest.txt | .venv/test
	rm -rf .venv/lowest
	$(PIP) --require-hashes --target .venv/lowest -r requirements/lowest.txt
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

lock:  ## pin what requirements/*.in name, with hashes and without addresses
	for name in requirements/run requirements/actions requirements/test requirements/docs \
	  $(SDKS); do \
	  uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url --no-emit-find-links --quiet \
	    $$name.in -o $$name.txt; done
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links --quiet \
	  --resolution lowest-direct pyproject.toml -o requirements/lowest.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache docs/_build .coverage* coverage.txt
