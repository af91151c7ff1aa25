# `make demo` runs the main job, `make test` the tests; each sets up what it needs.
PYTHON ?= python3
BACKEND ?= tensorflow
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint $(CONSTRAINTS)

BACKENDS := tensorflow jax torch
$(if $(filter $(BACKEND),$(BACKENDS)),,$(error BACKEND=$(BACKEND): it is one of $(BACKENDS)))
KERAS := $(BACKENDS:%=test-keras-%)
ALL := $(VENV)/.with-test $(BACKENDS:%=$(VENV)/.with-%,demo,test) $(VENV)/.with-lightning,demo,test
.PHONY: demo demo-lightning test test-core test-faults test-soak test-keras $(KERAS) test-lightning test-torch test-jax \
	test-wheels test-servers test-lowest test-pythons tested servers lint format faults soak bench clean

demo: $(VENV)/.with-$(BACKEND),demo
	KERAS_BACKEND=$(BACKEND) $(BIN)/gangplank demo $(if $(KEEP),--keep)

demo-lightning: $(VENV)/.with-lightning,demo
	$(BIN)/python examples/lightning/train.py $(if $(KEEP),--keep) $(if $(DEVICES),--devices $(DEVICES))

# All tests: first those that mind others at their side, and of these what needs no framework, while none is installed;
# then the rest, two at a time.
test:
	$(MAKE) --jobs=1 test-core test-faults $(ALL) test-lightning
	$(MAKE) --jobs=2 --output-sync test-soak test-wheels $(KERAS) test-torch test-jax test-servers

# Each of these is a process of its own: TensorFlow and torch crash each other in one. Without ARGS it leaves a
# record of what it was tested with, for `make tested`.
pytest = $(if $(ARGS),,RECORD=build/tested/$(notdir $(VENV))-$1.json) $(BIN)/python -m pytest $(ARGS) $2

test-core: $(VENV)/.with-test servers
	$(call pytest,core,--numprocesses=4 tests --ignore-glob='tests/with_*' --ignore=tests/faults)

test-faults: $(VENV)/.with-test servers
	$(call pytest,faults,tests/faults --ignore=tests/faults/test_soak.py)

test-soak: $(VENV)/.with-test servers
	$(call pytest,soak,tests/faults/test_soak.py)

test-keras: test-keras-$(BACKEND)

$(KERAS): test-keras-%: $(VENV)/.with-%,demo,test servers
	KERAS_BACKEND=$* $(call pytest,keras-$*,tests/with_keras)

test-lightning: $(VENV)/.with-lightning,demo,test servers
	$(call pytest,lightning,tests/with_lightning)

test-torch: $(VENV)/.with-torch,demo,test servers
	$(call pytest,torch,tests/with_torch)

test-jax: $(VENV)/.with-jax,demo,test servers
	$(call pytest,jax,tests/with_jax)

test-wheels: $(VENV)/.with-lightning,demo,test servers
	$(call pytest,wheels,tests/with_wheels)

# What talks to servers, with a newer generation than Debian 12's; test_gateway.py always has both.
NEWER := tests/sinks tests/cli tests/core/test_run.py tests/core/test_auth.py tests/faults/test_credentials.py \
	tests/test_examples.py
test-servers: export SERVERS := new
test-servers: $(VENV)/.with-jax,demo,test $(VENV)/.with-lightning,demo,test servers
	$(call pytest,servers,$(NEWER))
	KERAS_BACKEND=jax $(call pytest,servers-keras,tests/with_keras/test_end_to_end.py)
	$(call pytest,servers-lightning,tests/with_lightning/test_end_to_end.py)

# Exactly the lowest versions that pyproject.toml declares.
test-lowest:
	$(MAKE) --jobs=1 test-core test-faults test-keras-jax test-lightning \
		PYTHON=python3.11 VENV=$(VENV)-lowest CONSTRAINTS=constraints-lowest.txt

# The core on each newer Python that is installed, and Keras on the newest.
test-pythons:
	for python in $$(tests/pythons); do $(MAKE) test-core PYTHON=$$python VENV=$(VENV)-$${python##*/} || exit; done
	python=$$(tests/pythons | tail -n 1); \
		[ -z "$$python" ] || $(MAKE) test-keras-jax PYTHON=$$python VENV=$(VENV)-$${python##*/}

tested:
	$(BIN)/python tests/tested.py

servers:
	tests/install-servers

lint: $(VENV)/.with-lint,test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.with-lint,test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The figures of docs/never-hurt.md: two minutes, and ten.
faults soak: $(VENV)/.with-test servers
	$(BIN)/python benchmarks/$@.py --write

# The figures of docs/performance.md: twenty minutes.
bench: $(ALL) $(VENV)/.with-bench servers
	$(BIN)/python benchmarks/bench.py --write

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gangplank needs Python 3.11 or newer, and $(PYTHON) is older: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

# Gangplank with these extras; the first time, a framework takes minutes.
$(VENV)/.with-%: $(VENV)/.made pyproject.toml $(CONSTRAINTS)
	@echo "Installing gangplank[$*] into $(VENV)"
	$(PIP) --editable '.[$*]'
	touch $@

clean:
	rm -rf .venv .venv-* .servers build dist
