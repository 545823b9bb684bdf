# Everything a person types here. `make help` lists it. Each target makes the virtual environment by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --require-virtualenv
PYTEST_ARGS ?=
ARGS ?=
SEEDS ?= 200
FIRST ?= 1

.DEFAULT_GOAL := help
.PHONY: help venv demo pictures up down lint format bench lock clean images simulate new-event new-migration packages hooks \
  test test-unit test-integration test-system test-browser test-faults test-smoke test-containers test-all minutes shots

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Pawl needs Python 3.11 or later, and $(PYTHON) is older or missing: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "This Python cannot make a virtual environment (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }

# The stamps say which lock file is installed; a changed lock installs again.
$(VENV)/.run: requirements.lock pyproject.toml shared/__init__.py | $(BIN)/python
	@echo "Installing what Pawl needs to run (once) ..." >&2
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Installing the tools of development (once) ..." >&2
	@$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

venv: $(VENV)/.dev ## Make the virtual environment with everything in it

demo: $(VENV)/.run ## Start it all and replay a real order history, then show what became of it
	@$(BIN)/pawl demo $(ARGS)

# A new run first, on a quiet machine: make demo ARGS="--record docs/images/demo.json"
pictures: $(VENV)/.run ## Draw README's pictures and docs/replay.md's figures from the recorded run of the demo
	@$(BIN)/python -m devtools.pictures

up: $(VENV)/.run ## Start Kafka, Postgres and the four services; Ctrl-C stops them
	@$(BIN)/pawl up $(ARGS)

down: $(VENV)/.run ## Stop what `make up` started in this directory
	@$(BIN)/pawl down $(ARGS)

# Each step has a bound of its own, and a test that hangs fails by itself long before that. A process of pytest that
# dies fails the run; the others end what they have begun.
STEP := tests/support/step.sh
PYTEST := $(BIN)/python -m pytest
SIDE_BY_SIDE := -n auto --maxprocesses 4 --max-worker-restart 0
# Tests with servers wait a fifth of their time; one process more than there are cores uses it.
WITH_SERVERS := -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --maxprocesses 4 --max-worker-restart 0

test: lint test-unit test-integration test-system test-browser ## What lint looks at, and every test but for long faults and containers

test-unit: $(VENV)/.dev ## The tests that start no server: no Java, no PostgreSQL, a minute
	@$(STEP) "unit tests" 1800 $(PYTEST) -m unit -p tests.support.without_servers $(SIDE_BY_SIDE) $(PYTEST_ARGS)

test-integration: $(VENV)/.dev ## The simulation, and the parts of the system on real servers
	@$(STEP) "simulation and integration" 3600 $(PYTEST) -m "simulation or integration" $(WITH_SERVERS) $(PYTEST_ARGS)

test-system: $(VENV)/.dev ## The four services on real servers: scenarios, crashes, outages, poison
	@$(STEP) "scenarios and quick faults" 3600 $(PYTEST) -m system $(WITH_SERVERS) --durations 10 $(PYTEST_ARGS)

test-browser: $(VENV)/.dev ## People before the console, in Debian's Chromium, which is installed where it is missing (root)
	@tests/browser/chromium.sh
	@$(STEP) "people in a browser" 900 $(PYTEST) -m browser --durations 5 $(PYTEST_ARGS)

test-faults: $(VENV)/.dev ## The long faults: outages of minutes, halted processes, dead connections
	@$(STEP) "long faults side by side" 3600 $(PYTEST) -m "faults and not alone" -v $(WITH_SERVERS) $(PYTEST_ARGS)
	@$(STEP) "long faults that measure" 3600 $(PYTEST) -m "faults and alone" -v $(PYTEST_ARGS)

# All that there is, once, with histories that were never simulated before. The last line is for docs/reliability.md.
BEGAN := $(shell date +%s)
test-all: SEEDS = 2000
test-all: FIRST = $(shell date +%Y%m%d)0000
test-all: test test-faults simulate test-containers ## Everything once, with fresh seeds; needs Docker
	@echo "make test-all passed: commit $$(git describe --always --dirty --abbrev=12 --exclude '*')," \
	  "$$(date +%F), $$((($$(date +%s) - $(BEGAN) + 59) / 60)) minutes"

minutes: $(VENV)/.dev ## Draw docs/images/minutes.svg from the steps that the last .ci/run has measured
	@$(BIN)/python -m tests.support.minutes .ci/steps.jsonl

shots: $(VENV)/.dev ## Draw docs/images/console from a system with an ordinary day in it (Chromium)
	@tests/browser/chromium.sh fonts-noto-cjk fonts-noto-color-emoji
	@$(BIN)/python -m tests.support.shots $(ARGS)

images: $(VENV)/.run ## Make the container images where no image registry can be reached (Debian, root)
	@deploy/images/build.sh $(ARGS)

test-containers: $(VENV)/.dev ## The images, docker-compose.yml, and every scenario and fault on containers
	@tests/containers/run.sh whole $(PYTEST_ARGS)

test-smoke: $(VENV)/.dev ## The images, docker-compose.yml, and a few scenarios and faults on containers
	@tests/containers/run.sh smoke $(PYTEST_ARGS)

simulate: $(VENV)/.dev ## Seeded histories of everything without a server: make simulate SEEDS=10000 FIRST=1
	@$(STEP) "seeded histories" 3600 $(BIN)/python -m tests.simulation --seeds $(SEEDS) --first $(FIRST) $(ARGS)

lint: $(VENV)/.dev ## Style, types, import rules, and migrations that the last release can run beside
	@$(STEP) style 120 $(BIN)/ruff check .
	@$(STEP) format 120 $(BIN)/ruff format --check .
	@$(STEP) types 900 $(BIN)/mypy
	@$(STEP) "import rules" 300 $(BIN)/lint-imports
	@$(STEP) migrations 120 $(BIN)/python -m devtools.expand_first

format: $(VENV)/.dev ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# make new-event NAME=partner.note_added.v1 OWNER=orders FIELDS="note:Text noted_at:Instant?" SAYS="a note on a partner."
new-event: $(VENV)/.dev ## Write the parts of an event type: NAME=thing.happened.v1 OWNER=orders (CONTRIBUTING.md)
	@$(BIN)/python -m devtools.new_event "$(NAME)" $(if $(OWNER),--owner "$(OWNER)") $(if $(WRITER),--writer "$(WRITER)") \
	  $(if $(ABOUT),--about "$(ABOUT)") $(if $(SAYS),--says "$(SAYS)") $(if $(FIELDS),--fields "$(FIELDS)") $(ARGS)

new-migration: $(VENV)/.dev ## Write an empty migration: SERVICE=orders NAME=add_note
	@$(BIN)/python -m devtools.new_migration "$(SERVICE)" "$(NAME)" $(ARGS)

packages: $(VENV)/.dev ## Draw docs/images/packages.svg from the imports
	@$(BIN)/python -m devtools.packages

hooks: $(VENV)/.dev ## Run the lints before each commit (pre-commit)
	@$(BIN)/pre-commit install

bench: $(VENV)/.dev ## Measure it against the usual way; writes benchmarks/results.json
	$(BIN)/python -m benchmarks $(ARGS)

lock: $(VENV)/.dev ## Choose new versions of the dependencies and write the lock files
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --group dev --group bench -o requirements-dev.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links -c requirements-dev.lock -o requirements.lock pyproject.toml

clean: ## Remove the virtual environment and the caches (never the data in .pawl)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
