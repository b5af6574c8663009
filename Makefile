# StreamSwarm. `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SYSTEM_PACKAGES := influxdb influxdb-client postgresql chromium prometheus victoria-metrics iproute2 \
  nftables fping iputils-ping iperf3 prometheus-blackbox-exporter ethtool smartmontools systemd sip-tester kamailio
LINTED := agent benchmarks cli collector controlplane core grafana mlservice tests tools

.DEFAULT_GOAL := help
.PHONY: help up test differential bench-store bench-agent bench-api bench-ml bench-ml-models bench-accuracy chaos \
  soak lint format generate dashboards dashboards-preview secrets lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

up: $(VENV)/.runtime ## Run the whole system on this machine until Ctrl-C
	@exec $(BIN)/streamswarm up $(UP)

test: export PYTHONDONTWRITEBYTECODE := # hundreds of processes would compile the same modules
test: $(VENV)/.dev $(VENV)/.system-packages ## Set up whatever the tests need, lint, and run them all
	@MAKE="$(MAKE)" VENV=$(VENV) tools/test.sh $(PYTEST)
	@cat $(VENV)/.system-packages

bench-accuracy: $(VENV)/.dev $(VENV)/.system-packages ## Probes beside captures and their peers in the network lab; about an hour
	@for one in lab_accuracy $(basename $(notdir $(wildcard benchmarks/accuracy_*.py))) tcp_bottleneck; do \
	  echo "## $$one"; $(BIN)/python -m benchmarks.$$one || exit 1; done

bench-ml: $(VENV)/.dev ## Detectors on made-up incidents and their speed; on NAB too with NAB=path of a checkout
	$(BIN)/python -m benchmarks.incidents
	$(BIN)/python -m benchmarks.ml_speed
	@if [ -n "$(NAB)" ]; then $(BIN)/python -m benchmarks.nab "$(NAB)"; else \
	  echo "NAB is left out: make bench-ml NAB=path of a checkout of numenta/NAB"; fi

lint: $(VENV)/.dev ## Check style, types and generated files
	$(BIN)/ruff format --check --quiet $(LINTED)
	$(BIN)/ruff check --quiet $(LINTED)
	$(BIN)/mypy
	@$(BIN)/python -m streamswarm_core.catalogue.reference | diff -u docs/measurements.md - \
	  || { echo "docs/measurements.md is not what the catalogue says: run make generate"; exit 1; }
	@$(BIN)/python -m streamswarm_cli.settings_reference | diff -u docs/settings.md - \
	  || { echo "docs/settings.md is not what the settings' classes say: run make generate"; exit 1; }
	@$(BIN)/python -m streamswarm_grafana.generate --check

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format $(LINTED)
	$(BIN)/ruff check --fix $(LINTED)

differential: $(VENV)/.dev $(VENV)/.system-packages ## Hold 2,500 generated queries against a real InfluxDB
	STREAMSWARM_DIFFERENTIAL_CASES=2500 $(BIN)/pytest -q tests/integration/test_influxql_differential.py

bench-store: $(VENV)/.dev $(VENV)/.system-packages ## Collector and InfluxDB side by side: ingest, disk, panel queries
	$(BIN)/python -m benchmarks.store

chaos: $(VENV)/.dev ## Kill and stop services of a running system at random, and look for runs that are lost
	$(BIN)/python -m benchmarks.chaos $(BENCH)

soak: $(VENV)/.dev ## Let a whole system run for an hour, BENCH="--minutes 600" for a night, and look for what grows
	$(BIN)/python -m benchmarks.soak $(BENCH)

bench-api: $(VENV)/.dev $(VENV)/.system-packages ## 2,000 agents' polls and heartbeats at the control plane, on PostgreSQL and SQLite
	$(BIN)/python -m benchmarks.api $(BENCH)

bench-agent: $(VENV)/.dev $(VENV)/.system-packages ## Agent, fping, blackbox_exporter and ping side by side: CPU for each echo
	$(BIN)/python -m benchmarks.agent $(BENCH)

bench-ml-models: $(VENV)/.dev ## Models beside trivial baselines: NAB=FOLDER for forecasts, BENCH=--quick for less
	$(BIN)/python -m benchmarks.ml_models $(if $(NAB),--nab $(NAB)) $(BENCH)

generate: $(VENV)/.dev ## Make again what is made from the code
	$(BIN)/python -m streamswarm_core.catalogue.reference > docs/measurements.md
	$(BIN)/python -m streamswarm_cli.settings_reference > docs/settings.md
	@for one in agent collector controlplane ml; do \
	  $(BIN)/streamswarm unit $$one --packaged > provisioning/systemd/streamswarm-$$one.service; done

secrets: ## Make the secrets of docker-compose.yml, and .env
	@$(PYTHON) tools/make_secrets.py

dashboards: $(VENV)/.dev ## Make Grafana's dashboards and the alert rules again
	$(BIN)/python -m streamswarm_grafana.generate

dashboards-preview: $(VENV)/.dev $(VENV)/.system-packages ## Draw the dashboards from their queries' answers
	$(BIN)/python -m tests.integration.preview_dashboards $(BOARDS)

lock: ## Pin the newest dependencies that pyproject.toml allows (needs uv)
	tools/lock.sh

clean: ## Remove the virtual environment and caches; data stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: StreamSwarm needs Python 3.11 or later; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "making $(VENV) …"
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "error: the venv module is missing; on Debian and Ubuntu: sudo apt install python3-venv"; rm -rf $(VENV); exit 2; }

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	@test -e $(VENV)/.dev || { echo "installing the pinned dependencies …"; \
	  $(BIN)/python -m pip install --require-hashes --progress-bar on --disable-pip-version-check -r requirements.lock; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing the pinned dependencies and the test tools …"
	@$(BIN)/python -m pip install --quiet --require-hashes --disable-pip-version-check -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.system-packages: tools/install-system.sh Makefile | $(VENV)/bin/python
	@tools/install-system.sh $(SYSTEM_PACKAGES) | tee $@.new
	@grep '^left out' $@.new > $@ || true
	@rm -f $@.new
