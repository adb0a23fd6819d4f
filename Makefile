# These targets need only Python 3.11 or newer: each sets up its own environment in .venv.

PYTHON ?= python3
VENV ?= .venv
RUN ?= runs/ventral-shapes
BIN := $(VENV)/bin
# If the run exists, repeat it (finished) or resume it (interrupted).
AGAIN := $(if $(wildcard $(RUN)/summary.json),--overwrite,$(if $(wildcard $(RUN)/settings.json),--resume))

# Keep bytecode in the environment, which is this project's own: without it each command compiles the sources of torch again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lowest package lint types docs

demo: $(VENV)/.ready  ## check, draw, compile and train the ventral stream on the built-in images
	$(BIN)/cortexgraph check specs/ventral.yaml
	$(BIN)/cortexgraph train specs/ventral.yaml --data shapes --out $(RUN) $(AGAIN)
	$(BIN)/cortexgraph eval $(RUN)

test: $(VENV)/.ready-dev  ## the test suite
	$(BIN)/python -m pytest $(ARGS)

lowest:  ## the test suite on the lowest versions that pyproject.toml declares, in an environment of its own
	$(MAKE) test VENV=$(VENV)-lowest RESOLUTION=--resolution=lowest-direct

package: $(VENV)/.ready-dev  ## wheel and sdist in dist/; the wheel alone trains a network in an environment of its own
	rm -rf dist
	$(BIN)/python -m hatchling build
	$(BIN)/python -m pytest -m "slow or not slow" tests/test_packages.py

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.ready-dev
	$(BIN)/mypy

docs: $(VENV)/.ready-site  ## the documentation site, in build/site; the tutorial is executed
	$(BIN)/python docs/make_site.py

# in a variable, because `call` would split it at its commas
DEMO := .[train,record,onnx,attribution]

# uv resolves and installs many times faster than pip; pip does where uv cannot be had.
define install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv && \
		$(BIN)/uv pip install --quiet $(RESOLUTION) --python $(BIN)/python --editable $(1) || \
		$(if $(RESOLUTION),false,$(BIN)/python -m pip install --disable-pip-version-check --editable $(1))
	touch $@
endef

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml | $(VENV)/bin/python
	$(call install,"$(DEMO)")

$(VENV)/.ready-dev: pyproject.toml | $(VENV)/bin/python
	$(call install,".[dev]")
	touch $(VENV)/.ready

$(VENV)/.ready-site: pyproject.toml | $(VENV)/bin/python
	$(call install,".[site]")
