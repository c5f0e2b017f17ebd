# Everything a fresh machine with Python 3.11+, make and pip needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Several worker processes share the cores; one thread each, so that they do not fight over them.
export OMP_NUM_THREADS := 1

.PHONY: help install demo test test-slow test-s3 chaos soak fuzz lint format bench clean
help:            ## list the targets
	@grep -E '^[a-z0-9-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

# torch first and by itself: asked for exactly, an index that has a CPU build of it gives that one.
TORCH := $(shell grep '^torch==' constraints.txt)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "installing pinned packages into $(VENV) (about 2 GB, a minute or two)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) $(TORCH)
	@$(INSTALL) -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing what the tests need"
	@$(INSTALL) -c constraints.txt -e '.[dev]'
	@touch $@

install: $(VENV)/.installed ## create .venv with pinned packages

demo: install ## run configs/quickstart.yaml: table, verdicts, report
	@$(BIN)/mad-ray run configs/quickstart.yaml

# Two processes share what starts none of its own; Ray's tests start many, and run one by one.
# A worker that dies ends the first part at once and names its test: with a new one in its place pytest-xdist may wait for ever.
test: $(VENV)/.installed-dev ## run all tests but the slow ones
	$(BIN)/python -m pytest -m "not ray and not slow" -n 2 --dist loadfile --max-worker-restart=0
	$(BIN)/python -m pytest -m "ray and not slow" --durations=12

test-slow: $(VENV)/.installed-dev ## run the tests that take minutes each
	$(BIN)/python -m pytest -m slow --timeout=3600

test-s3: $(VENV)/.installed-dev ## the store and study tests on a real S3 server: MAD_RAY_S3_URL=s3://bucket/prefix
	@test -n "$$MAD_RAY_S3_URL" || { echo "set MAD_RAY_S3_URL=s3://bucket/prefix (and the AWS settings)"; exit 2; }
	$(BIN)/python -m pytest tests/contracts tests/ledger tests/onray/test_same_results_processes.py

# Results are kept line by line; with ADD=1 kinds may be run one after another, and the table is made of all of them.
KINDS ?= gaussian,ddpm,lab,workers,nodes
RESULTS ?= runs/chaos.jsonl
MINUTES ?= 30
chaos: $(VENV)/.installed-dev ## kill everything, some 450 times, and print what came of it
	$(BIN)/python -m tests.chaos --kinds $(KINDS) --results $(RESULTS) $(if $(ADD),--add) --page

soak: $(VENV)/.installed-dev ## a study under faults for MINUTES=30; memory and file descriptors must stay flat
	$(BIN)/python -m tests.chaos.soak --minutes $(MINUTES)

fuzz: $(VENV)/.installed-dev ## 10,000 mutated configs: each is planned or refused by one line
	MAD_RAY_FUZZ=10000 $(BIN)/python -m pytest tests/config/test_fuzz.py -s --timeout=7200

lint: $(VENV)/.installed-dev ## format check, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## format and mend the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev ## print the benchmarks' ratios
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/ddpm.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/gaussian.py
	$(BIN)/python benchmarks/gmm.py
	$(BIN)/python benchmarks/boundary.py
	$(BIN)/python benchmarks/families.py
	$(BIN)/python benchmarks/samplers.py
	$(BIN)/python benchmarks/status.py
	$(BIN)/python benchmarks/interventions.py

clean: ## remove the environment and what runs left
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
