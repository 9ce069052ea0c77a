# Every target installs what it needs; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
CLUSTER ?= default
K8S_VERSION ?= v1.36.3
TEST_CLUSTER ?= test
FUZZ_SECONDS ?= 60
CHAOS_SECONDS ?= 600
export K8S_VERSION

BIN := .venv/bin
READY := .venv/.ready

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  CLUSTER=name (default: $(CLUSTER); current: the kubeconfig in force), K8S_VERSION=$(K8S_VERSION)"

venv: $(READY) ## Install the pinned dependencies into .venv
$(READY): requirements/development.lock pyproject.toml hack/venv
	@hack/venv $(PYTHON)
	@touch $@

## What is checked ---------------------------------------------------------------------------------------------------

check: $(READY) ## Lint, types, layers, CRDs in sync, the chart and its manifests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy operator/carillon tests
	cd hack/cluster && ../../$(BIN)/mypy --config-file ../../pyproject.toml localcluster
	$(BIN)/lint-imports
	$(BIN)/python -m carillon.api.crd --check
	hack/sync-chart-crds --check
	$$(hack/cluster/which helm) lint --strict charts/carillon
	$(BIN)/python hack/validate-manifests
	$(BIN)/python hack/validate-manifests examples/*.yaml examples/events/*.yaml

crds: $(READY) ## Generate crds/ and the chart's copy from the pydantic models
	$(BIN)/python -m carillon.api.crd
	hack/sync-chart-crds

job-template-schema: $(READY) ## Extract the Job template's schema from Kubernetes' OpenAPI document
	$(BIN)/python hack/jobtemplate/extract.py

lock: $(READY) ## Pin the dependencies anew (versions and hashes)
	hack/lock

## What is tested ----------------------------------------------------------------------------------------------------

test: $(READY) ## All tests: units, then a real API server, then real pods
	@hack/test $(TEST_CLUSTER)

test-unit: $(READY) ## The tests that need no cluster
	$(BIN)/pytest tests/unit tests/archive

test-faults: $(READY) ## A fault at each write and each await of every story, stale views, absurd edits; killed operators, with pods
	@hack/test-faults $(TEST_CLUSTER)-faults

chaos: $(READY) ## Every fault on a real cluster for CHAOS_SECONDS in all (600): a table of what became of each due time
	@CHAOS_SECONDS=$(CHAOS_SECONDS) $(BIN)/python -m tests.chaos

fuzz: $(READY) ## Fuzz the parsers of schedules for FUZZ_SECONDS (60); what it finds is kept in build/fuzz
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[fuzz]'
	@mkdir -p build/fuzz/corpus
	$(BIN)/python -m tests.fuzz.schedule -max_total_time=$(FUZZ_SECONDS) -max_len=1300 -dict=tests/fuzz/schedule.dict \
	    -artifact_prefix=build/fuzz/ build/fuzz/corpus

bench-schedule: $(READY) ## Due times per second, against croniter and cronsim
	$(BIN)/python -m tests.bench.schedule

bench-calendars: $(READY) ## What a Calendar costs that 10,000 ScheduledJobs name, and how late others are meanwhile
	$(BIN)/python -m tests.bench.calendars

bench-size: $(READY) ## 1,000 and 10,000 ScheduledJobs (--counts for more): memory, CPU at rest, start, take-over; writes per execution
	$(BIN)/python -m tests.bench.size

bench-fair: $(READY) ## What 10,000 ScheduledJobs of one namespace cost another: runs, Run Now and edits, beside quiet
	$(BIN)/python -m tests.bench.fair

soak: $(READY) ## 200,000 watch events through the operator: memory before and after; fails when it grows
	$(BIN)/python -m tests.bench.soak

bench-latency: $(READY) ## Seconds from due time to Job created, one job at a time
	$(BIN)/python -m tests.bench.latency

bench: $(READY) ## BURST=1000,5000 due in one minute, SUSTAINED=250,500,... due in each of MINUTES=10, beside native CronJobs
	$(BIN)/python -m tests.bench

bench-sustained: $(READY) ## SUSTAINED=250,500,... definitions due every minute for MINUTES=10, beside native CronJobs
	$(BIN)/python -m tests.bench.sustained

bench-burst: $(READY) ## BURST=1000,5000 definitions due in one minute: how late their Jobs are, beside native CronJobs
	$(BIN)/python -m tests.bench.burst

bench-events: $(READY) ## 5,000 events in 10 s on one trigger: runs, memory, and what other triggers notice
	$(BIN)/python -m tests.bench.events

bench-archive: $(READY) ## Runs per second into the archive, and bytes per run, on PostgreSQL and SQLite
	$(BIN)/python -m tests.bench.archive

## A real cluster ----------------------------------------------------------------------------------------------------

cluster: ## Bring up a real cluster on this machine
	@hack/cluster/up --name $(CLUSTER)

cluster-down: ## End it, and leave nothing behind
	@hack/cluster/down --name $(CLUSTER)

image: $(READY) ## Build the operator's image (carillon.tar) from the Dockerfile
	@hack/cluster/build-image --output carillon.tar

demo: $(READY) ## A cluster, the chart, the examples: watch them run for a minute
	@hack/demo --cluster $(CLUSTER)

.PHONY: help venv check crds job-template-schema lock test test-unit test-faults chaos fuzz bench bench-schedule bench-calendars bench-events bench-archive bench-burst bench-sustained bench-size bench-fair bench-latency soak cluster cluster-down image demo
