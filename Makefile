# The course's commands. Each sets up what it needs, in .venv, the first time; plain `make` lists them.
# ARGS are passed on:  make lab ARGS="--no-browser --port=8899"    make test ARGS="-k verify"
VENV := .venv
OLDEST := .venv-oldest
PY := $(VENV)/bin/python
NB ?= $(sort $(wildcard notebooks/*.ipynb))
RUN_NOTEBOOK := $(PY) -m nbconvert --to notebook --execute --inplace --ExecutePreprocessor.kernel_name=python3 \
  --ExecutePreprocessor.timeout=600 --ExecutePreprocessor.store_widget_state=False \
  --ExecutePreprocessor.record_timing=False --CoalesceStreamsPreprocessor.enabled=True \
  --NotebookExporter.preprocessors=nbconvert.preprocessors.CoalesceStreamsPreprocessor

# How long PyTorch's threads spin before they sleep while they wait for each other: a little. On a quiet machine that is
# nearly as fast as to spin on, and beside a busy program it stays usable (benchmarks/threads.py)
export GOMP_SPINCOUNT ?= 1000

# Tests run in processes side by side, each with one thread: two threads do not do twice the work of one
PARALLEL = OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses=4 --dist loadfile --no-loadscope-reorder

.PHONY: help lab test check test-oldest seeds mutation notebooks book handout lint benchmark

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

# in this environment JupyterLab asks nobody for news or updates, and so does not ask the reader whether it may
lab: $(VENV)/ready  ## open the course in JupyterLab
	@echo "Starting JupyterLab on notebooks/: it prints its address; stop it with Ctrl-C."
	@mkdir -p $(VENV)/share/jupyter/lab/settings
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' \
	  > $(VENV)/share/jupyter/lab/settings/overrides.json
	@root=; if [ "$$(id -u)" = 0 ]; then root=--allow-root; fi; \
	exec $(PY) -m jupyterlab --ServerApp.root_dir=notebooks --LabApp.default_url=/lab/tree/01_ae.ipynb \
	  --LabApp.news_url=None $$root $(ARGS)

test: $(VENV)/ready-dev $(VENV)/math/ready  ## run every test, the notebooks included
	@echo "Running the tests and every notebook, cell by cell (some minutes)."
	@$(PARALLEL) --durations=25 $(ARGS)

check: lint  ## lint, types and the fast tests: two minutes
	@echo "Running the fast tests; make test runs all of them, and the notebooks."
	@$(PARALLEL) tests -m "not slow" -q $(ARGS)

test-oldest: $(OLDEST)/ready  ## run the fast tests with the oldest versions that pyproject.toml allows
	@echo "Running the fast tests with the oldest versions."
	@$(OLDEST)/bin/python -m pytest tests -m "not slow" -q -W ignore::DeprecationWarning $(ARGS)

seeds: $(VENV)/ready-dev  ## run each notebook with three other sets of seeds (NB=notebooks/01_ae.ipynb for one)
	@echo "Running each notebook three times, with 100, 200 and 300 added to its seeds (a quarter of an hour)."
	@$(PY) tests/running.py $(NB)

mutation: $(VENV)/ready-dev  ## change the code in 150 places, one at a time: does a test notice? (an hour)
	@$(PY) tests/mutation.py $(ARGS)

notebooks: $(VENV)/ready-dev  ## run the notebooks anew and save their outputs (NB=notebooks/01_ae.ipynb for one)
	@if [ -z "$(NB)" ]; then echo "There is no notebook in notebooks/."; exit 1; fi
	@for nb in $(NB); do \
	  echo "Running $$nb in a fresh kernel; it is saved only if every cell succeeds."; \
	  JUPYTER_PATH= $(RUN_NOTEBOOK) "$$nb" || exit 1; \
	done

book: $(VENV)/ready-book $(VENV)/math/ready  ## run the notebooks and make pages of them, in book/_build/html
	@if [ ! -d $(VENV)/math/node_modules/katex ]; then \
	  echo "The book's formulas are rendered by KaTeX, which needs Node.js and npm: install them, and run make book again."; \
	  exit 1; fi
	@echo "Running the notebooks that have changed (all of them: some minutes), then writing the pages."
	@$(PY) book/build.py

handout: $(VENV)/ready  ## write the notebooks without solutions and outputs into handout/, for a class
	@$(PY) docs/handout.py

lint: $(VENV)/ready-dev  ## check the style of all Python and the types of the core
	@echo "Checking all Python files and notebooks with ruff, and the core with mypy."
	@$(PY) -m ruff check . && $(PY) -m ruff format --check --quiet . && $(PY) -m mypy

benchmark: $(VENV)/ready-bench  ## measure everything in benchmarks/, in one table and as JSON (half an hour)
	@$(PY) benchmarks/report.py $(ARGS)

# --- the set-up: each step leaves a file in .venv, and is done again when pyproject.toml changes ---

$(VENV)/made:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Creating $(VENV) with $$($$python --version)."; \
	    $$python -m venv $(VENV) && touch $@; exit; \
	  fi; \
	done; \
	echo "aetutor needs Python 3.11 or newer, and none was found: install one, or name it: make lab PYTHON=PATH"; exit 1

COURSE := [lab,draw]
# $(call install,[extra]): this package, editable; by uv, which is fast, or by pip where uv cannot be had
define install
	@echo "Installing aetutor$(1) and what it needs into $(VENV) (the first time some minutes: PyTorch is large)."
	@if $(PY) -m pip install --quiet --disable-pip-version-check uv; \
	then $(PY) -m uv pip install --python $(PY) -e ".$(1)"; \
	else echo "uv cannot be installed here: using pip, which takes longer."; $(PY) -m pip install -e ".$(1)"; fi
	@touch $@
endef

$(VENV)/ready: pyproject.toml $(VENV)/made
	$(call install,$(COURSE))

$(VENV)/ready-dev: pyproject.toml $(VENV)/made
	$(call install,[dev])
	@touch $(VENV)/ready

$(VENV)/ready-book: pyproject.toml $(VENV)/made
	$(call install,[book])
	@touch $(VENV)/ready

$(OLDEST)/ready: pyproject.toml $(VENV)/ready-dev
	@echo "Installing the oldest versions that pyproject.toml allows into $(OLDEST) (PyTorch is large)."
	@$(PY) -m venv $(OLDEST)
	@$(PY) -m uv pip install --python $(OLDEST)/bin/python --resolution lowest-direct -e ".[dev]"
	@touch $@

$(VENV)/ready-bench: pyproject.toml $(VENV)/made
	$(call install,[bench])
	@touch $(VENV)/ready

$(VENV)/math/ready: tests/math/package.json $(VENV)/made
	@mkdir -p $(VENV)/math && cp tests/math/package.json $(VENV)/math/
	@if ! command -v npm >/dev/null; then echo "There is no npm here: the tests of formulas and of the book will be skipped."; \
	else echo "Installing KaTeX and MathJax into $(VENV)/math, for the book and the test that formulas render."; \
	  cd $(VENV)/math && { npm install --silent --no-audit --no-fund --no-package-lock && touch ready || \
	  echo "That failed: the tests of formulas and of the book will be skipped."; }; fi
