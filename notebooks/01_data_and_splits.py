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
# # 01 Data and splits
# Which sequences does the genome have, how were they divided into train, val and test, where did every base go, and how
# much of val and test is in train? It reads what the stage `prepare` left, and is worth reading before any training.
#
# Execute it on any run: `python -m evaluation.notebooks runs/NAME --only 01`. Here, set `run` and run all cells.

# %% tags=["parameters"]
run = "../runs/athaliana_plastid-tiny-lora"

# %%
from pathlib import Path

import pandas as pd

from evaluation.artefacts.records import stage_record
from evaluation.drawing import style
from evaluation.page.layout import Section
from evaluation.page.notebook import show
from evaluation.page.tables import gates_table
from evaluation.preparation.reading import read_preparation, sections
from workflow.artifacts import read_table

prepared = Path(run) / "prepare"
stage = stage_record(prepared)

# %% [markdown]
# ## What stopped it, or might have
# Each gate says what it saw and what the limit is. Warnings are about the input: read them before anything else.

# %%
show(gates_table(pd.DataFrame(stage.value("gates")).assign(stage="prepare")))

# %%
preparation = read_preparation(prepared, mixture={})
show(Section("Warnings", remarks=preparation.warnings or ["none"]))

# %% [markdown]
# ## What is where
# All homologs of a group must have one colour: else the model is tested on what it has read. In the table every base of
# the genome is either kept or left out for a named reason, and the sum is the genome.

# %%
with style.applied():
    genome, copies, windows = sections(preparation)
    show(genome)

# %% [markdown]
# ## Does the split hold?
# Names do not tell everything, so that each window of val and test was compared with train, on both strands. Compare
# the lines with those of a random split of the same genome.

# %%
with style.applied():
    show(copies)

# %% [markdown]
# The audit is a table with a row a window. `containment` is the share of its k-mers that lies in one stretch of train,
# `in_train` the share anywhere in train; `train_seqid` and the columns beside it say where the most similar stretch is.

# %%
audit = read_table(prepared / "leakage.parquet")
audit.sort_values("containment", ascending=False).head(10)

# %% [markdown]
# ## What can be read
# The sets of windows that can be trained on and scored.

# %%
with style.applied():
    show(windows)

# %% [markdown]
# Each set is a FASTA file and a table with the composition of every window. What differs between the splits here, such
# as GC or the share of coding sequence, makes their scores differ too, whatever the model.

# %%
first_set = next(iter(preparation.window_sets))
table = read_table(prepared / "windows" / f"{first_set}.parquet")
table.groupby("split").mean(numeric_only=True).T.round(3)
