# Every door of the project. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CACHE := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/inference-operator
PYTHON ?= python3
UV := $(CACHE)/tools/bin/uv
UV_VERSION := 0.13.9
BIN := .venv/bin
# Each is a Python distribution of its own.
PROJECTS := operator model-server model-server/client deploy/local-cluster
PACKAGES := operator/inference_operator model-server/model_server model-server/client/inference_client deploy/local-cluster/local_cluster

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Runs before anything is installed, and says what is wrong with PYTHON and what to do.
.PHONY: check-python
check-python:
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON) here. Install Python and" \
		"its venv module (Debian and Ubuntu: apt install python3 python3-venv), or name an" \
		"installed one: make setup PYTHON=path/to/python" >&2; exit 1; }
	@$(PYTHON) deploy/check_python.py

$(UV):
	@$(MAKE) --no-print-directory check-python
	@echo "Installing uv $(UV_VERSION) into $(CACHE)/tools"
	@$(PYTHON) -m venv --clear $(CACHE)/tools
	@$(CACHE)/tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# The stamp makes a second run free; it is older than any change of what is installed. Compiled at
# once: every server that a test starts would otherwise compile Flask and the rest anew.
.venv/.installed: requirements.lock $(PROJECTS:%=%/pyproject.toml) pyproject.toml | $(UV)
	@$(BIN)/python -c "" 2>/dev/null || $(MAKE) --no-print-directory new-venv
	@echo "Installing the locked Python packages into .venv"
	@$(UV) pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	@$(UV) pip install --quiet --no-deps $(PROJECTS:%=--editable %)
	@touch $@

.PHONY: new-venv
new-venv: check-python
	@$(UV) venv --quiet --clear --python $(PYTHON) .venv

.PHONY: setup
setup: .venv/.installed ## Install uv and the locked Python packages into .venv

LOCK := $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

# ai-edge-litert needs tqdm only to compile models for NPUs.
NOT_IN_IMAGE := --no-emit-package tqdm

.PHONY: lock
lock: | $(UV) ## Resolve the dependencies again: requirements.lock and what the images install
	$(LOCK) --output-file requirements.lock $(PROJECTS:%=%/pyproject.toml) pyproject.toml --extra tensorflow --extra dev $(LOCKFLAGS)
	$(LOCK) --output-file operator/requirements.lock --constraints requirements.lock operator/pyproject.toml
	$(LOCK) --output-file model-server/requirements.lock $(NOT_IN_IMAGE) --constraints requirements.lock model-server/pyproject.toml
	$(LOCK) --output-file model-server/requirements-tensorflow.lock $(NOT_IN_IMAGE) --constraints requirements.lock --extra tensorflow model-server/pyproject.toml

.PHONY: lint
lint: setup ## Check format, lint, types and layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy $(PACKAGES) tests
	$(BIN)/lint-imports

.PHONY: format
format: setup ## Format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# ---- the cluster: the user's (CONTEXT=...), kind where there is Docker, else our own local one

CLUSTER := $(BIN)/local-cluster
CLUSTER_FLAGS := $(if $(CONTEXT),--context $(CONTEXT))
# Points kubectl at the cluster that cluster-up made or found.
USE_CLUSTER := eval "$$($(CLUSTER) env)" &&

.PHONY: cluster-up cluster-status cluster-down
cluster-up: setup ## Start a Kubernetes cluster (first time: builds it, up to 15 minutes)
	@$(CLUSTER) up $(CLUSTER_FLAGS)

cluster-status: setup ## Say what of the cluster runs
	@$(CLUSTER) status

cluster-down: setup ## Stop the cluster and leave nothing of it behind
	@$(CLUSTER) down

.PHONY: images
images: setup ## Build the images that changed and load them into the cluster
	@$(CLUSTER) images $(if $(REGISTRY),--push $(REGISTRY))

.PHONY: deploy
deploy: cluster-up ## Build what changed; install or upgrade CRD and operator
	@$(CLUSTER) images --variant litert $(if $(REGISTRY),--push $(REGISTRY))
	@$(USE_CLUSTER) $(BIN)/python deploy/deploy.py --set FOLLOW_DEFAULT_IMAGE=true $(addprefix --set ,$(SETTINGS))

.PHONY: demo
demo: deploy ## The main job: apply an InferenceService, send a picture, see the boxes
	@$(USE_CLUSTER) $(BIN)/python deploy/demo.py $(if $(IMAGE),--image "$(IMAGE)") $(if $(MODEL),--model "$(MODEL)")

# ---- tests

.PHONY: unit
unit: setup ## Unit tests: no cluster, no TensorFlow, seconds
	$(BIN)/python -m pytest tests/unit

.PHONY: test
test: lint ## Everything: lint, then unit, contract, functional and e2e tests
	@$(MAKE) --no-print-directory deploy SETTINGS=ALLOWED_ADDRESSES=10.0.0.0/8
	@$(CLUSTER) images --variant tensorflow
	$(BIN)/python -m pytest -n 2 --dist loadgroup

.PHONY: zoo
zoo: setup ## Models in every form people bring, against plain scripts (ZOO=toys for one shelf)
	@cd tests && ../$(BIN)/python -m zoo $(ZOO)

# ---- what knocks servers over: minutes each; a bounded part is in `make test`

.PHONY: fuzz soak
fuzz: setup ## 20,000 damaged uploads and 2,000 damaged bodies against a real server
	@cd tests && ../$(BIN)/python -m pressure.fuzz $(FUZZ)

soak: setup ## 100,000 ordinary requests; memory must not grow
	@cd tests && ../$(BIN)/python -m pressure.soak $(SOAK)

# ---- figures: on a quiet machine; neither is part of `make test`

.PHONY: bench bench-quick
bench: setup ## Everything measured side by side with the peers (an hour on two cores; RESUME=1 goes on with one that was cut off)
	@cd tests && ../$(BIN)/python -m bench $(if $(RESUME),--resume)

bench-quick: setup ## Ours and the limits only (under five minutes)
	@cd tests && ../$(BIN)/python -m bench --quick
