# Everything runs in .venv, which `setup` makes from requirements.lock; it is quick when nothing changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTO := protos/heartbench/mesh/v1/mesh.proto
STAMP := $(VENV)/.installed
LOWEST := .venv-lowest

# Tests start some hundred processes: without compiled files each of them would compile what it imports.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup run test lint bench smoke notebooks interop protos pages lock lowest clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) scripts/check_python.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --require-hashes -r requirements.lock
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true # on all cores; some packages have templates of modules
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@echo "compiling the simulator's loops, once"
	@$(BIN)/python scripts/warm.py >/dev/null
	@touch $@

# The main job: a real hub and real nodes, checked against itself; a day of the same fleet; the threshold to set.
run: setup
	$(BIN)/heartbench run wireguard-5g-fast --engine live --duration 30s
	$(BIN)/heartbench run wireguard-5g --engine virtual --duration 24h
	$(BIN)/heartbench tune --max-false-stale 4/node-day --max-detection 2m
	$(BIN)/heartbench report

# The whole suite: on all cores, a file in one process, where its tests share fixtures; then what needs a quiet machine.
# PYTEST="tests/hub -k pause": some tests, in one process.
ifeq ($(origin PYTEST), undefined)
test: setup
	$(BIN)/python -m pytest -m "not alone" --numprocesses auto --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest -m alone
else
test: setup
	$(BIN)/python -m pytest $(PYTEST)
endif

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/protos.py --check $(PROTO)

# All comparisons, some ten minutes: results/latest/README.md says what they found. SUITES="history scaling" for some.
bench: setup
	$(BIN)/python -m heartbench.benchmarks.suites $(SUITES)

# Every benchmark once: does it run? Nothing is measured.
smoke: setup
	$(BIN)/python -m pytest benchmarks --numprocesses auto

# The notebooks, run from top to bottom: results/notebooks/*.html to read, *.ipynb to go on with.
notebooks: setup
	mkdir -p results/notebooks
	cd results/notebooks && for each in $(CURDIR)/notebooks/*.py; do \
	    name=$$(basename $$each .py) && \
	    $(CURDIR)/$(BIN)/jupytext --quiet --to ipynb --execute --output $$name.ipynb $$each && \
	    $(CURDIR)/$(BIN)/jupyter-nbconvert --log-level ERROR --to html $$name.ipynb || exit 1; \
	done

# What the node in JavaScript needs (tests/interop), which is tested if it is there. Needs Node.js and the network.
interop:
	npm install --prefix tests/interop --no-package-lock --ignore-scripts --no-audit --no-fund

protos: setup
	$(BIN)/python scripts/protos.py $(PROTO)

# What docs/ says of the hub's settings and metrics, and of scenarios and profiles, from where they are defined.
pages: setup
	$(BIN)/python scripts/configuration.py
	$(BIN)/python scripts/dashboard.py
	$(BIN)/python scripts/scenarios.py

lock: setup
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet -o requirements.lock

# The tests with the oldest dependencies that pyproject.toml allows. Old packages warn of the newer ones that they use.
lowest: setup
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --resolution lowest-direct --python $(LOWEST) \
	    --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet -o $(LOWEST)/requirements.txt
	$(BIN)/uv pip sync --python $(LOWEST) --quiet $(LOWEST)/requirements.txt
	$(BIN)/uv pip install --python $(LOWEST) --quiet --no-deps --no-build-isolation -e .
	$(LOWEST)/bin/python -m pytest -W ignore::DeprecationWarning $(PYTEST)

clean:
	rm -rf $(VENV) $(LOWEST) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks results/runs results/latest
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
