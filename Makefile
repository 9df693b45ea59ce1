# `make` lists the targets.
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

# The stamp file makes later runs free. Packages are compiled now, so that servers started by tests
# do not compile them again.
.venv/.installed: requirements.lock $(PROJECTS:%=%/pyproject.toml) pyproject.toml | $(UV)
	@$(BIN)/python -c "" 2>/dev/null || $(MAKE) --no-print-directory new-venv
	@echo "Installing the locked Python packages into .venv"
	@$(UV) pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	@$(UV) pip install --quiet --no-deps $(PROJECTS:%=--editable %)
	@touch $@

.PHONY: new-venv
new-venv: check-python
	@$(UV) venv --quiet --clear --python $(PYTHON) .venv

# Where there is no compiler this writes nothing but the stamp, and Pillow resizes.
RESAMPLE := model-server/model_server/vision/libresample.so
.venv/.native: $(wildcard model-server/native/*) .venv/.installed
	@$(BIN)/python model-server/native/build.py $(RESAMPLE)
	@touch $@

.PHONY: setup
setup: .venv/.installed .venv/.native ## Install uv and the locked Python packages into .venv, compile what is in C

LOCK := $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

# ai-edge-litert needs tqdm only to compile models for NPUs.
NOT_IN_IMAGE := --no-emit-package tqdm

.PHONY: lock
lock: | $(UV) ## Update requirements.lock and the images' lock files
	$(LOCK) --output-file requirements.lock $(PROJECTS:%=%/pyproject.toml) pyproject.toml --extra tensorflow --extra dev $(LOCKFLAGS)
	$(LOCK) --output-file operator/requirements.lock --constraints requirements.lock operator/pyproject.toml
	$(LOCK) --output-file model-server/requirements.lock $(NOT_IN_IMAGE) --constraints requirements.lock model-server/pyproject.toml
	$(LOCK) --output-file model-server/requirements-tensorflow.lock $(NOT_IN_IMAGE) --constraints requirements.lock --extra tensorflow model-server/pyproject.toml
	$(LOCK) --output-file model-server/native/requirements.lock model-server/native/requirements.in

.PHONY: lint
lint: setup ## Check format, lint, types and import layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy $(PACKAGES) tests
	$(BIN)/lint-imports

.PHONY: format
format: setup ## Format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# ---- cluster: yours with CONTEXT=name, else kind where Docker and kind are installed, else local

CLUSTER := $(BIN)/local-cluster
CLUSTER_FLAGS := $(if $(CONTEXT),--context $(CONTEXT))
PUSH := $(if $(REGISTRY),--push $(REGISTRY))
# Points kubectl at the cluster that cluster-up started or found.
USE_CLUSTER := eval "$$($(CLUSTER) env)" &&

.PHONY: cluster-up cluster-status cluster-down
cluster-up: setup ## Start a Kubernetes cluster (builds it the first time, up to 15 minutes)
	@$(CLUSTER) up $(CLUSTER_FLAGS)

cluster-status: setup ## Show the state of the cluster
	@$(CLUSTER) status

cluster-down: setup ## Stop and delete the cluster
	@$(CLUSTER) down

.PHONY: images
images: setup ## Build the images that changed and load them into the cluster
	@$(CLUSTER) images $(PUSH)

.PHONY: install-operator
install-operator: cluster-up
	@$(CLUSTER) images --variant litert $(PUSH)
	@$(USE_CLUSTER) $(BIN)/python deploy/deploy.py --set FOLLOW_DEFAULT_IMAGE=true $(addprefix --set ,$(SETTINGS))

.PHONY: deploy
deploy: install-operator ## Build the images; install or upgrade the CRD and the operator
	@$(CLUSTER) images --variant tensorflow $(PUSH)

# The tensorflow image takes minutes, so the demo builds it last and in the background.
.PHONY: demo
demo: install-operator ## Serve a model and detect objects in a picture (MODEL=, FORMAT=, IMAGE=)
	@$(USE_CLUSTER) $(BIN)/python deploy/demo.py $(if $(IMAGE),--image "$(IMAGE)") \
		$(if $(MODEL),--model "$(MODEL)") $(if $(FORMAT),--format "$(FORMAT)") \
		$(if $(REGISTRY),--registry "$(REGISTRY)")

# ---- tests

.PHONY: unit
unit: setup ## Run the unit tests: no cluster, no TensorFlow, seconds
	$(BIN)/python -m pytest tests/unit

.PHONY: test
test: lint ## Run everything: lint, unit, contract, functional and end-to-end tests
	@$(MAKE) --no-print-directory deploy SETTINGS=ALLOWED_ADDRESSES=10.0.0.0/8
	$(BIN)/python -m pytest -n 2 --dist loadgroup

.PHONY: zoo
zoo: setup ## Compare models in the forms people bring with plain scripts (ZOO=toys for one shelf)
	@cd tests && ../$(BIN)/python -m zoo $(ZOO)

# ---- robustness: minutes each; `make test` runs a small part of it

.PHONY: fuzz soak hostile chaos
fuzz: setup ## Send a server 20,000 damaged uploads and 2,000 damaged bodies
	@cd tests && ../$(BIN)/python -m pressure.fuzz $(FUZZ)

soak: setup ## Send a server 100,000 valid requests; memory must not grow
	@cd tests && ../$(BIN)/python -m pressure.soak $(SOAK)

hostile: setup ## Attack a server for minutes; probes are answered within a second throughout
	@cd tests && ../$(BIN)/python -m pressure.hostile $(HOSTILE)

chaos: setup ## Crash the operator at every write, lose every event, fail over, draw 1,000 transitions
	$(BIN)/python -m pytest tests/chaos --chaos whole $(CHAOS)

# ---- benchmarks: need a quiet machine; not part of `make test`

.PHONY: bench bench-quick
bench: setup ## Benchmark against other servers (an hour on two cores; RESUME=1 continues a run)
	@cd tests && ../$(BIN)/python -m bench $(if $(RESUME),--resume)

bench-quick: setup ## Benchmark this project and the baselines only (under five minutes)
	@cd tests && ../$(BIN)/python -m bench --quick
