# make acceptance        is the bundled application's release ready? GO, NO-GO or INCONCLUSIVE, with a report
# make acceptance-live   is it well where it is deployed? The same suites against the running service
# make test              the project's own tests, ruff and mypy
# make bench             side by side with what people would use instead
#
# Each makes .venv when it has to. Another Python: make PYTHON=python3.12 ... ; more for pytest: make ARGS="-k structure" ...

PYTHON ?= python3
ARGS ?=
BENCHMARKS ?= benchmarks/
BIN := .venv/bin

# What Python has compiled once it need not compile for each of the processes that a run starts.
unexport PYTHONDONTWRITEBYTECODE
# Times are measured here: two targets at once would disturb each other, whatever -j says.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help acceptance acceptance-live test exhaustive coverage lint bench pins clean python environment-app environment-test environment-bench

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

# The report is made whatever the verdict, but never of an older run; only GO with a report is a success. The run is the one
# that "latest" points to now and did not before: in reports/, or in whatever folder ARGS or PYTEST_ADDOPTS name.
acceptance: JUDGE := $(BIN)/pytest acceptance/
acceptance-live: JUDGE := $(BIN)/python scripts/acceptance_live.py
acceptance acceptance-live: environment-app
	@runs() { for word; do [ ! -d "$${word##*=}/latest" ] || readlink -f -- "$${word##*=}/latest"; done; }; \
	set -- reports $$PYTEST_ADDOPTS $(ARGS); \
	before=$$(runs "$$@"); \
	$(JUDGE) $(ARGS); status=$$?; \
	run=$$(runs "$$@" | grep -vxF -e "$$before" | tail -n 1); \
	if [ -z "$$run" ]; then \
		echo "$(JUDGE) ended with status $$status and left no run to report"; \
		exit 1; \
	fi; \
	echo "making the report ..."; \
	said=$$($(BIN)/gonogo report "$$run"); reported=$$?; \
	if [ $$reported -ne 0 ] && [ $$reported -ne 1 ] && [ $$reported -ne 10 ]; then \
		echo "there is no report; the evidence of the run is in $$run"; \
	fi; \
	printf '%s\n' "$$said" | tail -n 1; \
	echo "pytest:   status $$status (0 GO, 1 NO-GO, 10 INCONCLUSIVE)"; \
	[ $$status -eq 0 ] && [ $$reported -eq 0 ]

# The linters say what they have to say first; all three run, so that one look shows everything.
test: environment-test
	@failed=; \
	$(BIN)/ruff check || failed="$$failed ruff"; \
	$(BIN)/mypy || failed="$$failed mypy"; \
	$(BIN)/pytest tests -m "not exhaustive" -n 2 --dist worksteal --hypothesis-seed=0 $(ARGS) || failed="$$failed pytest"; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

# the tests that take minutes for themselves
exhaustive: environment-test
	@$(BIN)/pytest tests -m exhaustive -q -n 2 --dist worksteal $(ARGS)

# line by line, in every process that the tests start; takes half as long again
coverage: environment-test
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest tests -m "not exhaustive" -q -n 2 --dist worksteal --hypothesis-seed=0 $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

lint: environment-test
	@$(BIN)/ruff check
	@$(BIN)/mypy

bench: environment-bench
	@$(BIN)/pytest $(BENCHMARKS) -o python_files='bench_*.py' -p no:randomly --benchmark-only --benchmark-quiet $(ARGS)

# constraints.txt anew, with the newest versions that fit each other; needs Python 3.11.
# Whatever .venv holds will do: one that fits the pins cannot be had while a new dependency contradicts them.
pins: python
	@[ -x $(BIN)/python ] || $(PYTHON) scripts/environment.py app
	@echo "finding the newest versions that fit each other ..."
	@$(BIN)/python scripts/pins.py > constraints.new || { rm -f constraints.new; exit 1; }
	@mv constraints.new constraints.txt

clean:
	@rm -rf .venv reports/node_modules

environment-app: python
	@$(PYTHON) scripts/environment.py app

# with what the benchmarks import, because mypy looks at them too
environment-test: python
	@$(PYTHON) scripts/environment.py app bench test

environment-bench: python
	@$(PYTHON) scripts/environment.py app bench

python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON): not found; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$$($(PYTHON) --version 2>&1): gonogo needs 3.11 or newer; name another: make PYTHON=python3.12" >&2; exit 1; }
