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
.PHONY: new-event new-migration packages hooks help venv demo up down test test-faults simulate lint format bench lock clean images test-containers

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

up: $(VENV)/.run ## Start Kafka, Postgres and the four services; Ctrl-C stops them
	@$(BIN)/pawl up $(ARGS)

down: $(VENV)/.run ## Stop what `make up` started in this directory
	@$(BIN)/pawl down $(ARGS)

# The first part takes all cores, each with servers of its own where a test needs any; the second has one Kafka, one
# Postgres and four services, and disturbs them.
ALONE := tests/scenarios tests/reliability tests/integration/replay
test: lint ## Lint, types, contracts between packages, then every test that needs no Docker
	$(BIN)/python -m pytest -m "not containers and not faults" -n auto --maxprocesses 4 --dist loadfile \
	  $(addprefix --ignore ,$(ALONE)) $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m "not containers and not faults" --durations 15 $(ALONE) $(PYTEST_ARGS)

test-faults: $(VENV)/.dev ## All of the faults, the long ones too: outages of minutes, halted processes, dead connections
	$(BIN)/python -m pytest tests/reliability $(PYTEST_ARGS)

images: $(VENV)/.run ## Make the container images where no image registry can be reached (Debian, root)
	@deploy/images/build.sh $(ARGS)

test-containers: $(VENV)/.dev ## The images, docker-compose.yml, and the scenarios and faults on containers
	@tests/containers/run.sh $(PYTEST_ARGS)

simulate: $(VENV)/.dev ## Seeded histories of everything without a server: make simulate SEEDS=10000 FIRST=1
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --first $(FIRST) $(ARGS)

lint: $(VENV)/.dev ## Style, types and import rules only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

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
