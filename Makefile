# Two commands matter: `make run` starts the gateway on loopback, `make test` proves it.
# Everything is installed into .venv from the lock files, every download checked by its hash.
# A stamp file stands for each finished installation, so that a second run starts at once.

VENV   := .venv
PY     := $(VENV)/bin/python
CONFIG ?= config/callgate.yaml
PYTEST ?=
# Tests wait for PBXs and browsers more than they compute: two at a time, each file in one process.
JOBS   ?= 2

SHELL := /bin/sh
.SHELLFLAGS := -euc
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help run test check lint asterisk browser oracle lock clean bench soak

# The first Python 3.11 or newer that can make an environment. A name on PATH proves nothing (a
# version manager's shim may fail when it is run), so each candidate is asked. Debian ships venv
# without ensurepip; that is the one system package that people miss. PYTHON names the only candidate.
define FIND_PYTHON
found=; bare=; \
if [ -n "$(PYTHON)" ] && ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
  echo "PYTHON=$(PYTHON) is no Python 3.11 or newer." >&2; exit 1; \
fi; \
for name in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python); do \
  "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
  if "$$name" -c 'import ensurepip, venv' 2>/dev/null; then found=$$name; break; fi; \
  bare=$${bare:-$$name}; \
done; \
if [ -z "$$found" ] && [ -n "$$bare" ]; then \
  echo "$$bare cannot make environments: the system package python3-venv is missing." >&2; \
  echo "On Debian and Ubuntu:  sudo apt install python3-venv   then run make again." >&2; \
  exit 1; \
elif [ -z "$$found" ]; then \
  echo "Callgate needs Python 3.11 or newer, and none was found." >&2; \
  echo "On Debian and Ubuntu:  sudo apt install python3 python3-venv   or set PYTHON=/path/to/python3." >&2; \
  exit 1; \
fi
endef

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: $(VENV)/.run ## start the gateway on loopback with config/callgate.yaml
	@exec $(VENV)/bin/callgate --config $(CONFIG) serve

# Where the user of the gateway may not write beside it; it starts in two thirds of the time then.
.PHONY: compiled
compiled: $(VENV)/.run ## compile the program, for a service that starts faster
	@$(PY) -m compileall -q gateway

test: $(VENV)/.dev asterisk browser oracle ## every check and every test, on a real Asterisk where one can be had
	@$(MAKE) --no-print-directory lint
	@$(PY) -m pytest -n $(JOBS) --dist loadfile $(PYTEST)

check: $(VENV)/.dev lint ## style, types, layers and unit tests, in under a minute
	@CALLGATE_EXAMPLES=0.25 $(PY) -m pytest -q -n auto --dist worksteal tests/meta/test_layers.py tests/meta/test_files.py tests/unit

lint: $(VENV)/.dev ## style and types
	@$(VENV)/bin/ruff check gateway tests
	@$(VENV)/bin/ruff format --check gateway tests
	@$(VENV)/bin/mypy gateway tests

# The tests would set Asterisk up themselves; here it is seen to happen. 69: there is no Debian
# mirror to take it from. Then its tests skip and say so, except under CI=true, where they fail.
asterisk:
	@echo "Asterisk for the tests:"
	@tests/asterisk/setup.sh || { [ $$? = 69 ] && [ "$${CI:-}" != true ]; }

# Chromium likewise, for the tests of the pages: found, or unpacked from Debian's packages.
browser:
	@echo "Chromium for the tests:"
	@tests/browser/setup.sh || { [ $$? = 69 ] && [ "$${CI:-}" != true ]; }

# FreeSWITCH's own client library, as a second opinion. Where it cannot be built, its tests say why.
oracle: $(VENV)/.dev
	@echo "python-ESL for the tests:"
	@tests/esl_oracle/setup.sh $(PY) || true

lock: $(VENV)/.dev ## resolve the dependencies of pyproject.toml anew into the lock files
	@$(COMPILE) --extra fast --extra ami -o requirements.lock pyproject.toml
	@$(COMPILE) --extra fast --extra ami --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml

# No index, host or local path may be written into a lock file.
COMPILE = CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/bin/pip-compile --quiet --upgrade \
  --generate-hashes --allow-unsafe --strip-extras --all-build-deps --resolver=backtracking \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

clean: ## remove the environment, caches and build products (state/ is kept)
	@rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage dist build
	@find gateway tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@$(FIND_PYTHON); \
	echo "Making $(VENV) with $$($$found -V)"; \
	"$$found" -m venv --clear $(VENV)

# The project itself is installed last, as an editable package built by the locked hatchling.
define INSTALL
@echo "Installing from $(1)"
@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)
@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
@touch $@
endef

$(VENV)/.run: requirements.lock pyproject.toml | $(PY)
	$(call INSTALL,requirements.lock)

$(VENV)/.dev: requirements-dev.lock requirements.lock pyproject.toml | $(PY)
	$(call INSTALL,requirements-dev.lock)
	@touch $(VENV)/.run

# The peers of the benchmarks live in an environment of their own.
bench/.venv/.done: bench/requirements.txt $(PY)
	@$(PY) -m venv --clear bench/.venv
	@bench/.venv/bin/pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	@touch $@

# QUICK=1 takes under two minutes instead of under fifteen; PROGRAMS="esl http" names some of them.
bench: $(VENV)/.dev bench/.venv/.done ## what a call costs, as ratios against peers in the same run
	@$(PY) -m bench.run $(if $(QUICK),--quick) $(PROGRAMS)

bench-check: $(VENV)/.dev ## fail when a ratio that was measured last missed its target
	@$(PY) -m bench.run --check

bench-growth: $(VENV)/.dev bench/.venv/.done ## how cost grows with entries and connections: charts
	@$(PY) -m bench.growth $(if $(QUICK),--quick)
	@bench/.venv/bin/python -P bench/charts.py

# What looks at our dependencies has an environment of its own. Neither is a part of make test.
.PHONY: audit sbom
.cache/audit/.done: deploy/audit/requirements.txt | $(PY)
	@$(PY) -m venv --clear .cache/audit
	@.cache/audit/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

audit: .cache/audit/.done ## ask PyPI whether a locked dependency is known to be vulnerable
	@deploy/audit/audit.sh .cache/audit/bin/pip-audit requirements.lock

sbom: .cache/audit/.done ## write what we depend on to dist/sbom.json (CycloneDX)
	@mkdir -p dist
	@PYTHONWARNINGS=ignore .cache/audit/bin/cyclonedx-py requirements --output-reproducible \
	  --pyproject pyproject.toml --of JSON -o dist/sbom.json requirements.lock
	@echo dist/sbom.json

# Each part has the bound of every test; the whole has this one.
soak: $(VENV)/.dev asterisk ## the long forms of the tests of faults, in under an hour
	@timeout 3600 $(PY) -m pytest -m soak -n $(JOBS) --dist worksteal tests/faults $(PYTEST)

# Fuzzing has an environment of its own too. An input that breaks a promise ends it with an error.
.PHONY: fuzz
SECONDS ?= 60
TARGETS ?= agi esl policy settings numbers http web smuggled
.cache/fuzz/.done: tests/fuzz/requirements.txt requirements.lock | $(PY)
	@$(PY) -m venv --clear .cache/fuzz
	@.cache/fuzz/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock -r $<
	@touch $@

fuzz: .cache/fuzz/.done ## fuzz the parsers, led by coverage: SECONDS=60 for each of TARGETS
	@for target in $(TARGETS); do echo "$$target:"; \
	  .cache/fuzz/bin/python -m tests.fuzz.run $$target -max_total_time=$(SECONDS) -max_len=8192 \
	    -timeout=20 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1; done
