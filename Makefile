# Every target but dist and clean sets up the environment .venv with the releases in requirements/dev.txt and checks their hashes.
# Only torch has no hash, because its build depends on the machine: pip installs the version in requirements/torch.txt.
# TORCH_INDEX names another PyTorch package index, e.g. https://download.pytorch.org/whl/cpu for a build without CUDA.

PYTHON ?= python3
VENV := .venv
DATA ?= data/medquad
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
PIP_INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-package torch --custom-compile-command 'make lock'
PLATFORMS := x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin

unexport PYTHONDONTWRITEBYTECODE  # if it is set, every process that a test starts compiles all our modules again

.PHONY: lock dist demo demo-federation test unit claims attack faults exhaustive mutants check bench bench-epoch gpu utility docs clean

$(VENV)/installed: pyproject.toml requirements/dev.txt requirements/torch.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --only-binary :all: --no-deps --requirement requirements/dev.txt
	$(PIP) $(PIP_INDEX) --requirement requirements/torch.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	$(BIN)/pip check
	touch $@

lock:  ## update requirements/*.txt after a change of pyproject.toml; UPGRADE=--upgrade takes the newest releases
	test -x $(BIN)/uv || $(MAKE) $(VENV)/installed
	$(LOCK) pyproject.toml $(UPGRADE) --extra dev --group build --output-file requirements/dev.txt
	$(LOCK) --group build --constraint requirements/dev.txt --output-file requirements/build.txt
	$(LOCK) --group docs --constraint requirements/dev.txt --output-file requirements/docs.txt
	for role in site server research; do \
	    $(LOCK) pyproject.toml --extra $$role --constraint requirements/dev.txt --output-file requirements/$$role.txt || exit; done
	for platform in $(PLATFORMS); do \
	    $(BIN)/uv pip install --quiet --dry-run --target build/$$platform --python-platform $$platform --python-version 3.11 \
	        --only-binary :all: --no-deps --require-hashes --requirement requirements/dev.txt || exit; done

dist:  ## the wheel and the lists of pinned releases in dist/, to install from a file: docs/install.md
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --no-deps \
	    --requirement requirements/build.txt
	build/wheel/bin/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	cp requirements/site.txt requirements/server.txt requirements/research.txt requirements/torch.txt dist/

demo: $(VENV)/installed  ## a private federation of four hospitals on generated messages
	$(BIN)/hushtune simulate configs/demo.toml

demo-federation: $(VENV)/installed  ## a server and three clients as real processes; the server is killed and resumes
	$(BIN)/python -m simulations.demo_federation

test: $(VENV)/installed  ## all tests except faults and exhaustive
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

unit: $(VENV)/installed  ## the fast unit tests: no real model, no process
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit --numprocesses 3 --dist loadfile --no-loadscope-reorder \
	    -m 'not slow and not faults and not exhaustive'

claims: $(VENV)/installed  ## only the tests that SECURITY.md names
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $$(sed -n 's/.*| `\(tests[^`|]*\)` |$$/\1/p' SECURITY.md)

attack: $(VENV)/installed  ## every listed attack on server, site, port and files, as a table: tried and held
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.attacks

faults: $(VENV)/installed  ## real processes killed at each named point, bad sites and refusals
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m faults

exhaustive: $(VENV)/installed  ## every pair of training options measured separately; about a minute
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m exhaustive

mutants: $(VENV)/installed  ## mutation testing: each seeded fault must be caught by its named unit test; writes docs/mutants.md
	$(BIN)/python -m bench.mutants

check: $(VENV)/installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed  ## time and memory of a private step against a plain one, of aggregation and of a round; and a comparison of methods
	$(BIN)/python -m bench.step
	$(BIN)/python -m bench.packing configs/demo.toml
	$(BIN)/python -m bench.folding
	$(BIN)/python -m bench.rounds
	$(BIN)/hushtune compare configs/demo_compare.toml

bench-epoch: $(VENV)/installed  ## records per second of an epoch, against transformers' Trainer; DATA names a folder of questions and answers
	$(BIN)/python -m bench.epoch $(DATA)

gpu: $(VENV)/installed  ## on a machine with a GPU: exactness, noise, time and memory in one table, then the tests that need a GPU
	$(BIN)/python -m bench.gpu; table=$$?; $(BIN)/python -m pytest -m gpu && exit $$table

utility: $(VENV)/installed  ## accuracy at epsilon 8, 3 and 1, and the effect of clipping norm, rank and sampling rate, in one plot
	$(BIN)/python -m simulations.studies.utility configs/utility.toml

$(VENV)/with-docs: $(VENV)/installed requirements/docs.txt
	$(PIP) --require-hashes --only-binary :all: --no-deps --requirement requirements/docs.txt
	touch $@

docs: $(VENV)/with-docs  ## the documentation as a site in build/site, from docs/, notebooks/ and the code
	$(BIN)/python -m bench.documentation
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## remove the environment, caches and results
	rm -rf $(VENV) runs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
