# `make setup` once, then `make lint test`. Nothing here needs more than a Debian machine and its
# package registries; what each target starts or builds is told in tools/ and tools/realcluster/.
PYTHON ?= python3
BIN := .venv/bin
REAL := $(PYTHON) -m tools.realcluster
PYTEST := $(BIN)/pytest --durations=10
# Side by side, on two cores, tests can starve each other of time.  So what failed is run again, one
# after the other, and must pass then; its first failure stands above, to be looked into.
SIDE_BY_SIDE = { $(PYTEST) -m $(2) $(1) || { [ $$? = 1 ] && \
	echo "== again, alone: what failed side by side" && \
	$(PYTEST) -m $(2) --last-failed --last-failed-no-failures none; }; }
# Brings the cluster up and tells the rest of the line where it and kubectl are.
WITH_CLUSTER = $(REAL) up >/dev/null && eval "$$($(REAL) env)" &&

.PHONY: setup gen lock lint test test-cluster test-embedded test-all engine base-images buildx compose \
	real-cluster real-cluster-down bench try example clean

setup: ## The virtual environment, from constraints.txt
	PYTHON=$(PYTHON) tools/setup.sh

gen: ## Generated code of the API
	$(BIN)/python proto/gen.py

lock: ## constraints.txt from pyproject.toml
	$(BIN)/python -m tools.lock

lint:
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python proto/gen.py --check
	$(BIN)/python -m tools.lock --check

test: setup ## Without a cluster; what needs Docker is skipped where there is none
	$(call SIDE_BY_SIDE,-n 2 --dist worksteal,"not cluster")

# Most of their time is waiting.  The tests of a file share things in the cluster, or start all at once.
test-cluster: setup base-images ## Only what needs a cluster
	$(WITH_CLUSTER) $(call SIDE_BY_SIDE,-n 3 --dist loadfile,cluster)

test-embedded: setup base-images ## The catalogue of verdicts, on an embedded cluster
	eval "$$($(REAL) env)"; $(BIN)/tilt-client cluster up --name tests && \
	export KUBECONFIG=$$($(BIN)/tilt-client cluster kubeconfig --name tests) && \
	$(call SIDE_BY_SIDE,,cluster tests/e2e/verdicts); \
	code=$$?; $(BIN)/tilt-client cluster down --name tests; exit $$code

test-all: setup base-images
	$(WITH_CLUSTER) $(PYTEST)

engine: ## Docker Engine and a registry at localhost:5000, where none answer
	$(REAL) engine

base-images: engine ## localhost:5000/base/busybox:1 and localhost:5000/base/python:3
	$(PYTHON) -m tools.base_images

buildx: engine ## The docker command line's buildx plugin, where it is missing
	$(REAL) buildx

compose: engine ## The docker command line's compose plugin, where it is missing
	$(REAL) compose

real-cluster: ## Kubernetes as plain processes; prints the kubeconfig's path
	@$(REAL) up

real-cluster-down: ## End what `engine` and `real-cluster` started
	$(REAL) down

bench: setup base-images ## Medians as JSON; on an otherwise idle machine
	$(WITH_CLUSTER) for file in bench/bench_*.py; do \
		$(BIN)/python -m bench.$$(basename $$file .py) || exit 1; done

try: ## The example app, on an embedded cluster; needs nothing but Python, and ends what it starts
	PYTHON=$(PYTHON) ./try.sh

example: setup base-images ## The example app, on the real cluster; ends with its verdict
	$(WITH_CLUSTER) $(BIN)/tilt-client ci -f examples/shop/Tiltfile

clean: ## Caches of the tools; neither .venv nor what real-cluster keeps
	rm -rf dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
