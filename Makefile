# Qyran. `make demo` and `make test` each do all their own set-up on a machine that has git, make and
# python3 (3.11 or later) with venv and pip.

PYTHON ?= python3
UV     := .tools/bin/uv
BIN    := .venv/bin
MADE   := .venv/.made
READY  := .venv/.ready
# Many tests wait for servers that they start. A file stays with one of the two: what it sets up serves all of it.
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder
JUDGE  := .tools/stac-validator/.ready
WANTED := $(file <.python-version)
# pyenv's interpreter also where its shims are not on the PATH, as in services and cron.
PYENV  := $(lastword $(sort $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/$(WANTED).*/bin/python$(WANTED))))

# An activated environment elsewhere must not be taken for ours.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo serve test lint install lock format clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

demo: $(READY)  ## a simulated pass near Almaty, from raw delivery to catalogue, measured against the truth
	$(BIN)/qyran demo --home qyran-demo

serve: $(READY)  ## the same, and then the map in the browser: http://127.0.0.1:8480
	$(BIN)/qyran demo --home qyran-demo --serve

test: $(READY) $(JUDGE)  ## every test that can run here
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(MADE)  ## style, types, import rules, and what may not be in the repository
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

install: $(READY)  ## the environment in .venv, and nothing else

$(UV): .ci/bootstrap.txt
	$(PYTHON) -m venv --clear .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/bootstrap.txt
	@touch $@

# The Python of .python-version: pyenv's, the system's, or one that uv fetches; failing that, any newer one here.
$(MADE): requirements.lock pyproject.toml .python-version | $(UV)
	@test -x $(BIN)/python || $(UV) venv --quiet --no-project .venv --python "$(or $(PYENV),$(WANTED))" \
		|| $(UV) venv --quiet --no-project .venv --python '>=$(WANTED)' --no-python-downloads
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline -e .
	@touch $@

$(READY): $(MADE)
	@echo 'compiling the kernels and making an empty database, once'
	@$(BIN)/python -m pipelines.warm
	@touch $@

# The public validator of STAC APIs does not bear other validators beside it.
$(JUDGE): .ci/stac-validator.txt | $(READY)
	$(UV) venv --quiet --no-project --clear .tools/stac-validator --python $(BIN)/python
	$(UV) pip sync --quiet --python .tools/stac-validator/bin/python --require-hashes .ci/stac-validator.txt
	@touch $@

lock: $(MADE)  ## requirements.lock again, after a change of dependencies in pyproject.toml
	.ci/lock requirements.lock

format: $(MADE)  ## what ruff can put right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## everything that the other targets made
	rm -rf .tools .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache qyran-demo
