# `make help` lists what there is. Each target makes and repairs .venv by itself.
.DEFAULT_GOAL := help
.PHONY: app train test lint format bench screenshots space clean help setup setup-train setup-dev
PYTHON_IN_VENV := .venv/bin/python
export PYTHON HOST PORT

app: setup  ## serve the app on 127.0.0.1:8501 (PORT=, HOST= change that)
	@exec scripts/serve.sh

train: setup-train  ## fine-tune the embedded model for a few steps (RECIPE=training/recipes/….toml names another recipe)
	$(PYTHON_IN_VENV) -m training.finetune $(or $(RECIPE),training/recipes/demo.toml)

test: setup-dev  ## unit, app and browser tests
	$(PYTHON_IN_VENV) -m pytest -n 2 tests/unit tests/app
	$(PYTHON_IN_VENV) -m pytest tests/browser  # these have the machine to themselves: they watch a page keep up

lint: setup-dev  ## formatting, style and types
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m mypy

format: setup-dev  ## format the code and mend what can be mended
	$(PYTHON_IN_VENV) -m ruff check --fix .
	$(PYTHON_IN_VENV) -m ruff format .

bench: setup-dev  ## speed and memory of engine and training on this machine (MODEL=model.gguf measures that one too)
	$(PYTHON_IN_VENV) -m benchmarks $(if $(MODEL),--model '$(MODEL)')

screenshots: setup-dev  ## the README's pictures, taken from the running app
	$(PYTHON_IN_VENV) -m scripts.screenshots

space: setup  ## put the app on a Space of the Hugging Face hub (SPACE=you/arena; STORAGE=, OWNERS=, SECRETS=, PRIVATE=1)
	@$(PYTHON_IN_VENV) -m scripts.space $(or $(SPACE),$(error Name the Space: make space SPACE=you/arena)) \
	    $(if $(STORAGE),--storage '$(STORAGE)') $(if $(OWNERS),--owners '$(OWNERS)') \
	    $(foreach name,$(SECRETS),--secret $(name)) $(if $(filter-out 0,$(PRIVATE)),--private)

clean:  ## remove .venv and caches; models and results stay
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup:
	@scripts/setup.sh app

setup-train:
	@scripts/setup.sh train

setup-dev:
	@scripts/setup.sh dev
