# Every target prepares .venv when it is missing or older than the pins, and not otherwise.
#
#   make demo [DATASET=hymenoptera] [ONCE=1]    make up    make test    make lint    make setup
#
# PORT=N and DATA_DIR=FOLDER (or TUNEBOARD_PORT and TUNEBOARD_DATA_DIR) say where to serve.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
JOBS ?= 2
DATASET ?= digits
PLACE = $(if $(PORT),--port $(PORT)) $(if $(DATA_DIR),--data-dir '$(DATA_DIR)')

.PHONY: setup demo up test sweep lint bench pins clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Tuneboard needs Python 3.11 or newer; $(PYTHON) was not found. On Debian and Ubuntu: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tuneboard needs Python 3.11 or newer; this is %d.%d. Set PYTHON=python3.12, say." % sys.version_info[:2])'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV) >$(VENV).log 2>&1; } || { cat $(VENV).log >&2; rm -rf $(VENV) $(VENV).log; echo "Could not make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@rm -f $(VENV).log
	@echo "Installing the pinned dependencies into $(VENV); PyTorch is large, so the first time takes minutes…"
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --root-user-action=ignore -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/tuneboard demo --dataset $(DATASET) $(if $(filter-out 0 no false,$(ONCE)),--once) $(PLACE)

up: $(STAMP)
	@$(BIN)/tuneboard up $(PLACE)

# SWEEP=1 adds the sweep below, as CI does.
test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup$(if $(SWEEP), -m "sweep or not sweep") tests

# Every torchvision architecture and twenty families of timm's, frozen in every way.
sweep: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m sweep tests

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m bench

pins: $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check --upgrade -e '.[dev]'
	@{ head -n 1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable; } > constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) .demo
