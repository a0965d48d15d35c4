# Two commands for a fresh machine: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3.11
BIN := .venv/bin
DEMO := model=resnet3x3_4 upsample=subpixel lambda=5,10 experiment=demo

.PHONY: demo test check lock clean

demo: .venv/installed  ## train a narrow sweep on the built-in data and write its report
	$(BIN)/python train.py -m $(DEMO)

test: .venv/installed check  ## lint, types, import direction, then the test suite
	$(BIN)/pytest -q tests/test_imports.py
	$(BIN)/pytest -q -rs -n 2 --dist worksteal

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt $(wildcard lic/entropy/*.c)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

lock: .venv/installed  ## write down the versions that this .venv has
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf .venv
