# Each target sets up what it needs. `make` alone lists them: the text after a target's `##` is its line there.
PYTHON ?= python3
BACKEND ?= tensorflow
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint $(CONSTRAINTS)

BACKENDS := tensorflow jax torch
$(if $(filter $(BACKEND),$(BACKENDS)),,$(error BACKEND=$(BACKEND): it is one of $(BACKENDS)))
KERAS := $(BACKENDS:%=test-keras-%)
ALL := $(VENV)/.with-test $(BACKENDS:%=$(VENV)/.with-%,demo,test) $(VENV)/.with-lightning,demo,test \
	$(VENV)/.with-trl $(VENV)/.with-xgboost-cpu $(VENV)/.with-serving $(VENV)/.with-schemas
.PHONY: help demo demo-lightning demo-transformers stack stack-stop check test test-core test-faults \
	test-monitoring test-soak test-keras $(KERAS) test-lightning test-transformers test-xgboost test-predict test-torch test-jax test-wheels test-servers \
	test-lowest test-pythons tested coverage servers lint format pre-commit faults soak fleet pictures bench clean

help: ## list the targets
	@awk -F ':.* ## ' '/^[a-z].* ## / { printf "%-18s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.with-$(BACKEND),demo ## train on handwritten digits and show what arrives; BACKEND=jax or torch, KEEP=1
	KERAS_BACKEND=$(BACKEND) $(BIN)/gangplank demo $(if $(KEEP),--keep)

demo-lightning: $(VENV)/.with-lightning,demo ## the same with Lightning; DEVICES=2 for two processes
	$(BIN)/python examples/lightning/train.py $(if $(KEEP),--keep) $(if $(DEVICES),--devices $(DEVICES))

demo-transformers: $(VENV)/.with-transformers,demo ## the same with Transformers: a very small language model
	$(BIN)/python examples/transformers/train.py $(if $(KEEP),--keep)

# Without Docker, the servers of the tests are used where PATH has none.
stack: $(VENV)/.with-cli ## Prometheus, Alertmanager and Grafana with the rules and dashboards: examples/stack
	. examples/ours.sh; compose_answers || tests/install-servers stack
	PATH="$(abspath $(BIN)):$$PATH:$(CURDIR)/.servers/usr/bin" examples/stack/start.sh

stack-stop: ## stop them, and delete what they have stored
	examples/stack/stop.sh

# The inner loop. It leaves out the tests of the command, which start many processes, and tests/faults, which wait for
# timeouts. Tests that need a server are skipped unless `make servers` has been run.
check: lint ## lint, and the tests of the core and of its structure: the inner loop, under a minute
	$(BIN)/python -m pytest --quiet --numprocesses=4 tests/core tests/test_structure.py

# All tests: first those that need no framework, while none is installed, and those that time hooks, with nothing else
# beside them; then the rest, two targets at a time, the longest first.
test: ## all tests; they install each framework
	$(MAKE) --jobs=1 test-core test-faults test-soak $(ALL)
	$(MAKE) --jobs=2 --output-sync $(KERAS) test-lightning test-transformers test-servers test-monitoring \
		test-predict test-xgboost test-wheels test-torch test-jax

# Each of these is a separate process: TensorFlow and torch crash each other in one. Without ARGS, it writes a record of
# the tested versions, for `make tested`. In CI, a test that fails is run once more, and the summary names it: much here
# waits for servers and threads, and a busy machine stops them for seconds.
pytest = $(if $(ARGS),,RECORD=build/tested/$(notdir $(VENV))-$1.json) $(BIN)/python -m pytest $(if $(CI),--reruns=1 -rR) $(ARGS) $2

test-core: $(VENV)/.with-test servers ## all that needs no framework, without what is timed
	$(call pytest,core,--numprocesses=4 tests --ignore-glob='tests/with_*' $(ALONE:%=--ignore=%) \
		--ignore=tests/faults/test_soak.py --ignore=tests/monitoring)

# Tests that time hooks, or that put a load on the machine.
ALONE := tests/faults/gateway tests/faults/test_process.py tests/faults/test_threads.py tests/faults/test_interrupted.py
test-faults: $(VENV)/.with-test servers ## faults that must not hurt a training run: what is timed, with nothing beside it
	$(call pytest,faults,$(ALONE))

test-monitoring: $(VENV)/.with-schemas servers ## the rules for Prometheus, the dashboards, and the stack's files
	$(call pytest,monitoring,--numprocesses=2 tests/monitoring)

test-soak: $(VENV)/.with-test servers ## a minute of a gateway that fails at random, for one training and for many
	$(call pytest,soak,--numprocesses=2 tests/faults/test_soak.py)

test-keras: test-keras-$(BACKEND) ## the Keras exporter; BACKEND=jax or torch

$(KERAS): test-keras-%: $(VENV)/.with-%,demo,test servers
	KERAS_BACKEND=$* $(call pytest,keras-$*,tests/with_keras)

test-lightning: $(VENV)/.with-lightning,demo,test servers ## the Lightning exporter
	$(call pytest,lightning,tests/with_lightning)

test-transformers: $(VENV)/.with-trl servers ## the Transformers exporter
	$(call pytest,transformers,tests/with_transformers)

test-xgboost: $(VENV)/.with-xgboost-cpu servers ## the XGBoost exporter
	$(call pytest,xgboost,tests/with_xgboost)

test-predict: export KERAS_BACKEND := jax
test-predict: $(VENV)/.with-serving servers ## a served model, and detectors of drift
	$(call pytest,predict,tests/with_predict)

test-torch: $(VENV)/.with-torch,demo,test servers ## the core with torch, without Keras
	$(call pytest,torch,tests/with_torch)

test-jax: $(VENV)/.with-jax,demo,test servers ## the core with JAX, without Keras
	$(call pytest,jax,tests/with_jax)

test-wheels: $(VENV)/.with-lightning,demo,test servers ## the built wheel, and the example of an adapter
	$(call pytest,wheels,tests/with_wheels)

# The tests that talk to servers, with newer servers than Debian 12's. tests/testing/gateway always uses both; the files
# that are left out talk to none of them.
NEWER := tests/core/sinks tests/core/delivery tests/core/recording/test_recorder.py tests/core/test_run.py \
	tests/core/test_strict.py tests/cli tests/docs/test_sinks.py tests/faults/credentials tests/test_examples.py \
	tests/test_stack_example.py $(addprefix --ignore=tests/cli/test_,hostile_servers.py output.py plugins_verb.py \
	strange_pages.py)
test-servers: export SERVERS := new
test-servers: $(VENV)/.with-jax,demo,test $(VENV)/.with-lightning,demo,test servers ## with Prometheus 3 and its generation
	$(call pytest,servers,--numprocesses=2 $(NEWER))
	KERAS_BACKEND=jax $(call pytest,servers-keras,tests/with_keras/test_end_to_end.py)
	$(call pytest,servers-lightning,tests/with_lightning/test_end_to_end.py)

# Exactly the lowest versions that pyproject.toml declares. Installed one after the other, tested two at a time.
LOWEST := PYTHON=python3.11 VENV=$(VENV)-lowest CONSTRAINTS=constraints-lowest.txt
test-lowest: ## with the lowest versions that pyproject.toml declares
	$(MAKE) --jobs=1 test-core test-faults \
		$(VENV)-lowest/.with-jax,demo,test $(VENV)-lowest/.with-lightning,demo,test \
		$(VENV)-lowest/.with-xgboost-cpu $(LOWEST)
	$(MAKE) --jobs=2 --output-sync test-keras-jax test-lightning test-xgboost $(LOWEST)

# The core on each newer Python that is installed, and Keras on the newest.
test-pythons: ## the core with each newer Python that is installed
	for python in $$(tests/pythons); do $(MAKE) test-core PYTHON=$$python VENV=$(VENV)-$${python##*/} || exit; done
	python=$$(tests/pythons | tail -n 1); \
		[ -z "$$python" ] || $(MAKE) test-keras-jax PYTHON=$$python VENV=$(VENV)-$${python##*/}

tested: ## write docs/tested.md from what the tests have left
	PYTHONPATH=tests $(BIN)/python -m support.tested

# Branch coverage of the core, with a minimum (pyproject.toml). This is a separate run, since tracing makes everything
# slower: it leaves out the tests that time the core or trace it themselves, and one with a path that breaks coverage;
# they run elsewhere. Of the code for frameworks, it covers that for JAX, which is the smallest.
coverage: $(VENV)/.with-jax,demo,test servers ## the branch coverage of the core, which fails below its minimum
	rm -rf build/coverage
	$(BIN)/coverage run -m pytest --quiet --numprocesses=4 tests/core tests/faults $(ALONE:%=--ignore=%) \
		--ignore=tests/faults/test_soak.py \
		--deselect=tests/core/page/test_text.py::test_other_threads_run_meanwhile \
		--deselect='tests/faults/plugins/test_loading.py::test_packages_that_cannot_be_listed_end_no_training[an odd path]'
	$(BIN)/coverage run -m pytest --quiet tests/with_jax
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

servers: ## unpack the servers that the tests talk to into .servers, from Debian's packages
	tests/install-servers

# pyright brings its own JavaScript, and Node comes from a wheel: only the package index is needed. Without the
# variable, pyright asks that index for a newer version of itself.
lint: export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
lint: $(VENV)/.with-lint,test ## style, and types: mypy for all, pyright for the public names
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.with-lint,test ## fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pre-commit: $(VENV)/.with-lint,test ## have git run ruff and mypy before each commit
	$(BIN)/pre-commit install

faults: $(VENV)/.with-test servers ## write the figures of docs/never-hurt.md: three minutes
	$(BIN)/python benchmarks/faults.py --write
	$(BIN)/python benchmarks/attacks.py --write

soak: $(VENV)/.with-test servers ## write the soak tests of docs/never-hurt.md: ten minutes each
	$(BIN)/python benchmarks/soak.py --write
	$(BIN)/python benchmarks/soak_runs.py --write

fleet: $(VENV)/.with-test servers ## write the figures of docs/dashboards.md, of 1,000 runs: ten minutes
	$(BIN)/python benchmarks/fleet.py --write

# These need Debian's chromium, and for the page of Prometheus the libraries that Debian's prometheus depends on.
pictures: $(VENV)/.with-jax,demo,test servers ## take the pictures of the documentation, docs/pictures: three minutes
	KERAS_BACKEND=jax $(BIN)/python benchmarks/pictures.py

bench: $(ALL) $(VENV)/.with-bench servers ## write the figures of docs/performance.md: twenty minutes
	$(BIN)/python benchmarks/bench.py --write

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gangplank needs Python 3.11 or newer, and $(PYTHON) is older: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

# Gangplank with these extras; the first time, installing a framework takes minutes.
$(VENV)/.with-%: $(VENV)/.made pyproject.toml $(CONSTRAINTS)
	@echo "Installing gangplank[$*] into $(VENV)"
	$(PIP) --editable '.[$*]'
	touch $@

# Transformers with TRL, and a search for hyperparameters.
$(VENV)/.with-trl: $(VENV)/.with-transformers,demo,test
	$(PIP) trl optuna
	touch $@

# XGBoost without the CUDA libraries that the extra `xgboost` brings on Linux; scikit-learn comes with `demo`.
$(VENV)/.with-xgboost-cpu: $(VENV)/.with-demo,test
	$(PIP) xgboost-cpu
	touch $@

# What the examples of a served model and of drift need.
$(VENV)/.with-serving: $(VENV)/.with-jax,demo,test
	$(PIP) fastapi uvicorn gunicorn river
	touch $@

# The schemas of Compose, Kubernetes, Prometheus' operator and Grafana.
$(VENV)/.with-schemas: $(VENV)/.with-test
	$(PIP) check-jsonschema kubernetes-validate cloudcoil.models.prometheus_operator grafana-foundation-sdk
	touch $@

clean: ## remove what make has made
	rm -rf .venv .venv-* .servers build dist
