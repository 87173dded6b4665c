# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 Generation
# Do the models write sequence like the genome's: in composition, in reading frames, in variety, without reciting train?
# It reads what the stage `infer` left, beside the stages `prepare` and `predict`.
#
# Execute it on any run: `python -m evaluation.notebooks runs/NAME --only 04`. Here, set `run` and run all cells.

# %% tags=["parameters"]
run = "../runs/athaliana_plastid-tiny-lora"

# %%
from pathlib import Path

from evaluation.artefacts.facts import read_run
from evaluation.artefacts.records import stage_record
from evaluation.baselines import markov
from evaluation.drawing import style
from evaluation.generation import reading
from evaluation.generation.section import checks, files, sections
from evaluation.page.notebook import show
from evaluation.page.tables import gates_table
from workflow.artifacts import read_table

facts, written = read_run(Path(run)), stage_record(Path(run) / "infer")
prepared = Path(run) / "prepare"

# %% [markdown]
# ## What was written
# A row a sequence: its prompt, what the model wrote, and what follows the prompt in the genome where that is known.

# %%
read_table(written.path.parent / "generations.parquet").head(10)

# %% [markdown]
# ## Against the genome and a Markov model
# The Markov model, fitted on train, continues the same prompts: what it does as well needs no language model. Random
# fragments of the genome, as many and as long, show what chance alone makes of such numbers. The words of the figures
# can be changed here.

# %%
chance = markov.fit_prepared(prepared, 12)
labels = {
    "base": "base",
    "adapted": "adapted",
    "markov": f"Markov order {chance.order}",
    "genome": "genome, random",
    "truth": "genome, after prompts",
}
generation = reading.read(written.path.parent, prepared, chance, samples=1_000, confidence=0.95, seed=42)

# %% [markdown]
# The models' rows should resemble those of the genome in place and in spread. Few sequences allow few conclusions: mind
# the intervals, and raise `infer.n_prompts` and `infer.samples` for a claim.

# %%
with style.applied():
    show(*sections(generation, labels))

# %% [markdown]
# ## Gates
# One of them asks whether the prompt makes a difference at all: where it makes none, the model writes the same whatever
# it is given.

# %%
show(gates_table(facts.gates(checks(generation))))

# %% [markdown]
# ## Tables to go on with
# By name, all with a row a sequence or a row a word.

# %%
tables = files(generation)
list(tables)

# %%
tables[next(iter(tables))].head(10)
