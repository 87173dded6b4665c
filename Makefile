# Two commands: `make demo` adapts the tiny model to a plastid genome and writes a report, `make test` checks everything.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint benchmarks clean

demo: $(VENV)/installed
	$(BIN)/python -m workflow.run

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmarks: $(VENV)/installed
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/prepare.py
	$(BIN)/python benchmarks/toolchains.py
	$(BIN)/python benchmarks/evaluate.py
	$(BIN)/python benchmarks/baselines.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/sharding.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/registry.py
	$(BIN)/python benchmarks/overhead.py

# torch by its exact pin and first: a range would take the newest build and gigabytes of CUDA packages.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[local,sweep,classification,tracking,notebooks,dev]'
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info
