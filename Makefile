# Every target works from a bare checkout: those that need packages install them first, once.
# Another environment: make test VENV=/path/to/venv. Another interpreter: make install PYTHON=python3.12.

PYTHON ?= python3
VENV ?= .venv
PY = $(VENV)/bin/python
# installed once for each pyproject.toml, checkout and environment; one environment may serve several checkouts
STAMP = $(VENV)/.mtl-$(shell (pwd; cat pyproject.toml) | cksum | cut -d' ' -f1)
# two processes with one thread each are faster than one with two, and never slower by surprise
PYTEST = OMP_NUM_THREADS=1 $(PY) -m pytest -n 2
LOWEST = .venv-lowest
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: joint-or-single heads methods paper help install lock fit test test-fast test-nightly test-faults test-lowest lint types format hooks notebooks bench-data bench-balancing bench-architectures clean clean-all gpu gpu-rehearsal wheels

help: ## list what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | \
	  awk -F '\t' '{printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}'

paper: install ## start your paper: a package of its own in this folder; NAME=name_of_your_paper, TO=.. for another folder
	@$(PY) -m mtl paper "$(NAME)" $(if $(TO),--to "$(TO)")

install: $(STAMP) ## create .venv and install the package with its development tools

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"mtl needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. Try: make $(MAKECMDGOALS) PYTHON=python3.11")'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@# no build isolation: an environment that is complete needs no network at all
	$(PY) -m pip install --quiet "setuptools>=77"
	$(PY) -m pip install --quiet --no-build-isolation -e ".[dev]"
	@$(PY) -c 'import torchvision.ops as o, torch; o.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)' || { \
	  echo 'The operators of torchvision do not load: torch and torchvision are of different builds.' >&2; \
	  echo 'Take both from one index, in one call: $(PY) -m pip install --force-reinstall torch torchvision' >&2; \
	  exit 1; }
	@rm -f $(VENV)/.mtl-* && touch $@

LOCKER = .venv-lock
lock: install ## write requirements.lock: the versions that are installed, with hashes, for every platform and Python
	@test -x $(LOCKER)/bin/uv || { $(PYTHON) -m venv $(LOCKER) && $(LOCKER)/bin/python -m pip install --quiet uv; }
	@# pip freeze also names what was installed from a folder; `+cpu` is a build that is not published
	$(PY) -m pip list --format freeze --exclude-editable | sed "s/+.*//" | grep -v "^setuptools==" > $(LOCKER)/installed.txt
	echo "# Every package that mtl needs, for each platform and Python; written by \`make lock\`" > requirements.lock
	$(LOCKER)/bin/uv pip compile --quiet pyproject.toml --constraint $(LOCKER)/installed.txt --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header >> requirements.lock

fit: install ## train the quick start (configs/digits.yaml), test its best checkpoint, print the table; ARGS="--seed_everything 1"
	$(PY) -m mtl fit --config configs/digits.yaml $(ARGS)

test: install ## run every test; ARGS="-k centernet" for some of them
	$(PYTEST) $(ARGS)

test-fast: install ## run the tests without the slow and the multi-process ones
	$(PYTEST) -m "not slow and not ddp" $(ARGS)

test-nightly: install ## run what is left out otherwise: whole products, long notebooks, trainings; takes more than an hour
	$(PYTEST) -m nightly $(ARGS)

test-faults: install ## put faults into real runs (kills, hangs, full disks, ...), print the result of each; ARGS="--only killed disk-full"
	PYTHONPATH=. $(PY) tests/benchmarks/faults.py $(ARGS)

test-lowest: ## run the tests with the lowest versions that pyproject.toml allows, in .venv-lowest
	@test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -c 'import re, tomllib; \
	  wanted = tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]; \
	  print(*(re.sub(r">=([\d.]+).*", r"==\1", line) for line in wanted), sep="\n")' > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet "setuptools>=77"
	$(LOWEST)/bin/python -m pip install --quiet --no-build-isolation -r $(LOWEST)/lowest.txt -e ".[dev]"
	@# old versions of other people's packages deprecate each other
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n 2 -W ignore::DeprecationWarning -W ignore::FutureWarning $(ARGS)

lint: install ## check style and formatting
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: install ## check the types, strictly
	$(PY) -m mypy

format: install ## format the code and fix what can be fixed
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

hooks: install ## let git run lint and types before every commit
	$(VENV)/bin/pre-commit install

notebooks: install ## run every notebook from top to bottom, keeping its results
	for notebook in notebooks/*.ipynb; do \
	  $(VENV)/bin/jupyter-execute --inplace "$$notebook" || exit 1; done

bench-data: install ## measure what data loading costs beside a training step
	PYTHONPATH=. $(PY) tests/benchmarks/data_loading.py $(ARGS)

bench-architectures: install ## measure what architectures cost beside hard sharing; ARGS="--quick", or "--arch resnet18 --only FiLM"
	PYTHONPATH=. $(PY) tests/benchmarks/architectures.py $(ARGS)

bench-balancing: install ## measure what balancing costs beside a plain step; ARGS="--quick", or "--device cuda --bf16 --batch 64 --arch resnet50"
	@# the profiler that counts memory is quiet
	KINETO_LOG_LEVEL=99 TORCH_CPP_LOG_LEVEL=ERROR PYTHONPATH=. $(PY) tests/benchmarks/balancing.py $(ARGS)

JOINT = digits digits_single_boxes digits_single_largest
HEADS = digits digits_fcos digits_slots digits_seed_heads

joint-or-single: install ## train the quick start jointly and each task alone, 3 seeds each; print the table of configs/README.md
	for seed in 0 1 2; do for config in $(JOINT); do \
	  $(PY) -m mtl fit --config configs/$$config.yaml --seed_everything $$seed --data.seed $$seed --name seed$$seed \
	  || exit 1; done; done
	$(PY) -m mtl report --runs runs --rows $(JOINT) --metrics boxes/map50 boxes/map largest/accuracy

heads: install ## train every detection head on the quick start's data; print the table of configs/README.md
	for config in $(HEADS) seed; do $(PY) -m mtl fit --config configs/$$config.yaml --name seed0 || exit 1; done
	$(PY) -m mtl report --runs runs --rows $(HEADS) seed --metrics boxes/map50 boxes/map largest/accuracy

methods: install ## train every balancing method on four tasks, 3 seeds each; print the table of configs/compare/README.md; ARGS="--jobs 2"
	$(PY) -m mtl compare --config configs/compare/digits.yaml $(ARGS)

gpu: ## measure everything on this machine's GPU in at most eight minutes, by PYTHON; ARGS="tests balancing"
	PYTHON=$(PYTHON) bash tests/benchmarks/gpu.sh $(ARGS)

gpu-rehearsal: install ## the same in tiny sizes on the CPU, to find silly mistakes
	PYTHON=$(PY) bash tests/benchmarks/gpu.sh --rehearse $(ARGS)

WHEELS = .wheels
# what a machine with torch, lightning, torchmetrics, scikit-learn, matplotlib, rich and pytest lacks; quadprog and
# qpsolvers are for TorchJD's UPGrad alone. wandb is too large and not needed.
CARRIED = "faster-coco-eval>=1.7" "jsonargparse>=4.53" "docstring-parser>=0.17" "typeshed-client>=2.8.2" "torchjd>=0.18" \
  "quadprog>=0.1.13" "qpsolvers>=4.8"
PLATFORMS = 2_28 2_27 2_17 2014 1
MOST_BYTES = 67108864

wheels: ## download wheels for Python 3.12 on x86-64 that a GPU machine without a network lacks; tree and wheels in 64 MiB
	rm -rf $(WHEELS)
	$(PYTHON) -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.12 \
	  --implementation cp $(foreach p,$(PLATFORMS),--platform manylinux$(if $(findstring _,$(p)),_)$(p)_x86_64) \
	  -d $(WHEELS) $(CARRIED)
	@ls $(WHEELS)
	@tree=$$(git ls-files -z --cached --others --exclude-standard | xargs -0 cat 2>/dev/null | wc -c); \
	wheels=$$(cat $(WHEELS)/*.whl | wc -c); total=$$((tree + wheels)); \
	echo "tree $$tree + wheels $$wheels = $$total bytes, $$((total * 100 / $(MOST_BYTES))) % of 64 MiB"; \
	test $$total -le $(MOST_BYTES) || { echo "more than 64 MiB do not travel" >&2; exit 1; }

clean: ## delete caches and build products; runs and the environment stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

clean-all: clean ## delete the environments as well
	rm -rf .venv $(LOWEST) $(LOCKER)
