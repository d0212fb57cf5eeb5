# Needs make and Python 3.11 or newer. PYTHON=/path/to/python3 chooses another one for .venv.
.DEFAULT_GOAL := help
.PHONY: help demo test check laws simulate mutants bench cost timers lateness deploy undeploy fmt schemas lock clean

BIN := .venv/bin
RUN := .venv/.runtime
DEV := .venv/.dev
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock" pyproject.toml
DEPLOY = $(if $(TARGET),--target $(TARGET)) $(if $(filter-out 0,$(PLAN)),--plan)
NEW := import sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON = $(or $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do "$$p" -c '$(NEW)' 2>/dev/null && echo $$p && break; done),$(error Selvedge needs Python 3.11 or newer and found $(or $(shell python3 --version 2>&1),none); set PYTHON=/path/to/python3))

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## */\t/' | expand -t 12
demo: $(RUN)  ## a sample shop through an embedded broker, live, in under a minute
	@$(BIN)/selvedge demo
test: $(DEV)  ## all tests; those on a real Kafka are skipped where none can be started
	@$(BIN)/python -m pytest -n 4 --dist loadfile $(ARGS)
check: $(DEV)  ## style, types, imports
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-logo
laws: $(DEV)  ## RUNS=10 runs of the random tests with examples that were not tried before
	@for run in $$(seq $(or $(RUNS),10)); do SELVEDGE_TEST_RANDOM=1 $(BIN)/python -m pytest -q -m hypothesis -n 2 $(ARGS) || exit; done
simulate: $(DEV)  ## SEEDS=2000 (or FIRST:LAST) simulated worlds with faults against the oracle, and histories of triggers
	@$(BIN)/python -m tests.simulation.runner simulate "$(SEEDS)"
	@$(BIN)/python -m tests.laws.triggers "$(SEEDS)"
mutants: $(DEV)  ## mistakes planted in the protocol and the rules of triggers, and what finds each
	@$(BIN)/python -m tests.simulation.runner mutants "$(SEEDS)"
	@$(BIN)/python -m tests.laws.trigger_mutants "$(SEEDS)"
bench: $(DEV)  ## throughput against Faust as one would write it, on a real Kafka
	@$(BIN)/python -m benchmarks.bench $(ARGS)
cost: $(DEV)  ## what identity costs: conflicts, hubs and late links; a large component; a large index cluster
	@$(BIN)/python -m benchmarks.identity $(ARGS)
timers: $(DEV)  ## what a million pending deadlines cost while they are waited for, and 10,000 due at once
	@$(BIN)/python -m benchmarks.timers $(ARGS)
lateness: $(DEV)  ## how late triggers fire on a worker under half its load, on a real Kafka
	@$(BIN)/python -m benchmarks.lateness $(ARGS)
audit: $(DEV)  ## known weaknesses, static analysis, licences, list of parts (out/audit)
	@BIN=$(BIN) sh deploy/audit.sh
pin-images:  ## writes the digests of base images into deploy/ (needs Docker and a registry)
	@sh deploy/pin-images.sh
deploy: $(RUN)  ## deploys: TARGET=host|compose|kubernetes (default: what is here), PLAN=1 only tells
	@$(BIN)/selvedge deploy $(DEPLOY) $(ARGS)
undeploy: $(RUN)  ## takes down what deploy made; data stay unless DATA=delete
	@$(BIN)/selvedge undeploy $(DEPLOY) $(if $(filter delete,$(DATA)),--delete-data) $(ARGS)
fmt: $(DEV)  ## formats the code
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .
schemas: $(RUN)  ## writes the AsyncAPI document anew
	@$(BIN)/python -m pipeline.kafka.asyncapi > schemas/asyncapi.json
lock:  ## writes the lock files anew (needs uv)
	@$(LOCK) --group build -o requirements.lock && $(LOCK) --group build --group dev -c requirements.lock -o requirements-dev.lock
	@$(LOCK) --group build --extra otel -c requirements-dev.lock -o requirements-otel.lock
clean:  ## removes everything that was made
	@rm -rf .venv build dist out *.egg-info .hypothesis .*_cache; find . -name __pycache__ -prune -exec rm -rf {} +

$(RUN): requirements.lock pyproject.toml
	@$(PYTHON) -m venv .venv
	@echo 'Installing into .venv ...' && $(PIP) install --require-hashes -r requirements.lock && $(PIP) install --no-build-isolation --no-deps -e .
	@touch $@
$(DEV): requirements-dev.lock $(RUN)
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
