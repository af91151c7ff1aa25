# `make demo` runs the main job, `make test` the tests; each sets up what it needs.
PYTHON ?= python3
BACKEND ?= tensorflow
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo demo-lightning test test-alongside lint format faults soak bench clean

demo: .venv/.demo-$(BACKEND)
	KERAS_BACKEND=$(BACKEND) $(BIN)/gangplank demo $(if $(KEEP),--keep)

demo-lightning: .venv/.demo-lightning
	$(BIN)/python examples/lightning/train.py $(if $(KEEP),--keep) $(if $(DEVICES),--devices $(DEVICES))

# Once for everything but what does not mind others at its side; then that, and beside it Keras' tests once more on each
# other backend: a process can only have one.
test: .venv/.dev
	tests/install-servers
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest $(ARGS) -m "not alongside"
	$(MAKE) --jobs=2 --output-sync test-alongside test-jax test-torch

test-alongside: .venv/.dev
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest $(ARGS) -m alongside

test-%: .venv/.dev
	KERAS_BACKEND=$* $(BIN)/python -m pytest $(ARGS) tests/with_keras

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The figures of docs/never-hurt.md: two minutes, and ten.
faults: .venv/.dev
	tests/install-servers
	$(BIN)/python benchmarks/faults.py --write

soak: .venv/.dev
	tests/install-servers
	$(BIN)/python benchmarks/soak.py --write

# The figures of docs/performance.md: twenty minutes.
bench: .venv/.dev
	tests/install-servers
	$(BIN)/python benchmarks/bench.py --write

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gangplank needs Python 3.11 or newer, and $(PYTHON) is older: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

.venv/.demo-%: .venv/.made pyproject.toml constraints.txt
	@echo "Installing Keras and $* into .venv: some minutes, the first time"
	$(PIP) --editable '.[$*,demo]'
	touch $@

.venv/.dev: .venv/.made pyproject.toml constraints.txt
	@echo "Installing Keras, its three backends and the test tools into .venv: some minutes, the first time"
	$(PIP) --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .servers build dist
