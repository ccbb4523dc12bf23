# One command each, from a fresh clone with Python 3.11+, make and pip.
#
#   make demo         a simulated post-treatment case, segmented: a table, out/demo/demo.png
#   make test         the tests                      make test-long   the slow ones too
#   make lint         ruff, mypy                     make format      rewrite as ruff wants it
#   make bench-model  scores of the bundled model on the real scans in reach (DATA=folder) and on phantoms
#   make release-model WEIGHTS=best.pt   weights, card, figures and pictures of the bundled model, all measured
#                      LAST=best.pt ships these instead: the same recipe, trained on every case
#   make bench        time and memory on this machine, beside nnU-Net's and MONAI's (about ten minutes)
#   make quantise     the eight-bit graph of the bundled model, after its weights have changed (DATA=folder)
#   make bench-cohort  scaling, overhead and tables of a cohort (PARTS=...); figures of Docs/scaling.md
#   make screenshots  pictures of the panel, into Resources/Screenshots
#   make cmake-list   list the Python files for CMake again, after adding or removing one
#
# PYTHON chooses the interpreter, VENV the folder of the environment, TORCH the build of torch
# (for example  make test PYTHON=python3.12 TORCH="torch --index-url <index of the wanted build>").

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
EXTRAS ?= test,demo,dicom

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-for-gliomaseg
MIN_PYTHON := 3.11

.PHONY: demo test test-long lint format bench bench-cohort bench-model release-model quantise screenshots cmake-list clean
.DEFAULT_GOAL := test

# torch comes first: a later "torch>=2.4" is then satisfied and pulls no other build.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "GliomaSeg needs Python $(MIN_PYTHON) or newer, but '$(PYTHON)' is not:" \
	       "name one with  make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$(EXTRAS)]"
	@touch $@

demo: $(STAMP)
	$(BIN)/gliomaseg demo --output out/demo --overwrite

test: $(STAMP)
	$(BIN)/python -m pytest

test-long: $(STAMP)
	$(BIN)/python -m pytest -m "long or not long"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	$(BIN)/python Testing/Benchmarks/benchmark.py --data $(DATA)

quantise: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[quantise,demo]"
	$(BIN)/python Utilities/quantise.py --data $(DATA)

DATA ?= ../shared/data
bench-model: $(STAMP)
	$(BIN)/python Testing/Benchmarks/bench_model.py --data $(DATA) --output out/bench-model

FACTS ?= Utilities/release/gliomaseg-small.yaml
RELEASE ?= --tune --picture Docs/model/failures.png --gap Docs/model/appearance_gap.md --readme README.md
release-model: $(STAMP)
	@test -n "$(WEIGHTS)" || { echo "Name the weights:  make release-model WEIGHTS=path/to/best.pt" >&2; exit 2; }
	$(BIN)/python Utilities/release_model.py "$(WEIGHTS)" --facts $(FACTS) --data $(DATA) $(RELEASE) \
		$(if $(LAST),--last-run "$(LAST)")

PARTS ?= throughput noop again rows
bench-cohort: $(STAMP)
	$(BIN)/python Testing/Benchmarks/bench_cohort.py --parts $(PARTS)

screenshots: $(STAMP)
	$(BIN)/python Testing/Slicer/screenshots.py --output Resources/Screenshots

cmake-list: $(STAMP)
	$(BIN)/python Utilities/cmake_list.py

clean:
	rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
