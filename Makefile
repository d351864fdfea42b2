# Two commands: `make demo` shows the whole way on this machine, `make test` proves it. Each works alone, first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := 0.13.9
# Thousands of processes load the same modules; where an environment forbids to write them down, each would compile them.
COMPILE := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0

.DEFAULT_GOAL := help
.PHONY: help demo test sweep bench docs lint lock browser clients servers stores go-servers packages clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | column -t -s "$$(printf '\t')"

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'provision needs Python 3.11 or newer: install it, or name it with `make PYTHON=/path/to/python3.11`.'; exit 3; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo 'Python cannot make a virtual environment: on Debian or Ubuntu, `apt-get install python3-venv`.'; exit 3; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@$(BIN)/uv pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@$(COMPILE) -x 'msgraph/generated/' $(VENV)/lib
	@touch $@

lock:  ## the locked dependencies anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --no-header --extra dev --extra sandbox pyproject.toml -o requirements.lock

demo: $(VENV)/.ready  ## a local tenant, the real `pulumi up`, mail by Graph, and SMTP diagnosed and mended
	@$(BIN)/python scripts/demo.py

test: $(VENV)/.ready  ## all tests
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line packages go-servers
	@$(COMPILE) provision stacks bench tests
	@$(BIN)/python -m pytest -n auto --dist loadfile

sweep: $(VENV)/.ready  ## kill sweeps: SIGKILL at every request, then one more run; and a sender during 200 rotations
	@$(BIN)/python bench/sweep.py
	@$(BIN)/python bench/gapless.py --kind stack --rotations 10
	@$(BIN)/python bench/gapless.py

matrix: $(VENV)/.ready  ## every combination of the layers of SMTP, by real sessions: is the diagnosis right, and the fix?
	@$(BIN)/python bench/matrix.py

bench: $(VENV)/.ready  ## comparisons, one line each: NAME ratio X goal Y
	@$(BIN)/python bench/bench.py
	@$(BIN)/python bench/store.py
	@$(BIN)/python bench/audit.py
	@$(BIN)/python bench/onboarding.py

docs: $(VENV)/.ready  ## the pages that are made from data
	@$(BIN)/python scripts/make-docs.py

lint: $(VENV)/.ready  ## ruff and mypy
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

browser:  ## the browser and its driver that the tests use (Debian packages)
	@sh scripts/install-browser
	@sh scripts/install-checkers

clients: $(VENV)/.ready  ## clients that the tests use: the Azure CLI in an environment of its own, curl, swaks, msmtp
	@sh scripts/install-clients $(BIN)/uv
	@sh scripts/install-smtp-clients

servers: stores go-servers  ## the servers that the tests start: a database, a blob store, a keyring, a Vault, a Kubernetes API

stores:
	@sh scripts/install-postgres
	@sh scripts/install-azurite
	@sh scripts/install-keyring
	@sh scripts/install-systemd

go-servers:
	@sh scripts/install-go-server vault
	@sh scripts/install-go-server kubernetes

packages:  # one after another, because apt lets in one at a time; beside them `make test` builds with Go
	@MAKEFLAGS= $(MAKE) --no-print-directory browser clients stores

clean:  ## remove what was made here; the engine's cache stays
	rm -rf $(VENV) build *.egg-info
