# Two commands are enough: `make run` and `make test`. Everything they make is in .venv and var.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export STKWEB_DATA_DIR ?= $(CURDIR)/var

.PHONY: setup setup-dev run test lint lock messages clean

setup: $(VENV)/.base var/.ready

setup-dev: $(VENV)/.dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "stkweb needs Python 3.11: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: requirements/base.lock | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/base.lock
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	@touch $@

# Migrations and static files; again whenever one of them is newer.
var/.ready: $(VENV)/.base $(shell find chat stkweb templates -name '*.py' -path '*migrations*' -o -path '*/static/*' -type f -o -name '*.po' -type f)
	$(BIN)/python manage.py setup
	@touch $@

run: setup
	$(BIN)/python manage.py serve

# One worker more than cores: a good part of the tests' time is waiting for streams and browsers.
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)

# What failed beside the others runs once more alone, and the run says which: on two cores a browser may starve
# for seconds. What fails twice has failed.
test: setup-dev
	@$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 5 $(ARGS) || { [ $$? = 1 ] && \
	printf '\n==> These failed beside the others. Once more, alone, up to the first that fails again:\n' && \
	$(BIN)/python -m pytest -v --tb=long --maxfail=1 --last-failed --last-failed-no-failures none $(ARGS) && \
	printf '==> Each of them passed alone.\n'; }

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# Resolves pyproject.toml anew. No index address is written.
lock: setup-dev
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --python-version 3.11 pyproject.toml -o requirements/base.lock
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --python-version 3.11 --extra dev -c requirements/base.lock pyproject.toml -o requirements/dev.lock

# Extracts every text and compiles the translations; needs the GNU gettext tools. Then translate what is new in
# chat/locale/*/LC_MESSAGES/django.po and run it once more.
messages: setup-dev
	$(BIN)/python manage.py makemessages --locale pt_BR --no-location --no-obsolete --ignore 'var/*' --ignore 'tests/*' --ignore 'benchmarks/*' --ignore 'scripts/*' --ignore 'vendor/*'
	$(BIN)/python -c "import pathlib, re; [path.write_text(re.sub(r'\"POT-Creation-Date:.*\n', '', path.read_text())) for path in pathlib.Path('chat/locale').rglob('*.po')]"
	$(BIN)/python manage.py compilemessages --ignore '.venv' --ignore 'var'

clean:
	rm -rf $(VENV) var
