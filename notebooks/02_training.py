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
# # 02 Training
# What was trained, on how much, did it learn, and which weights were kept? It reads what the stages `preprocess` and
# `train` left; a run with `train=none` has nothing to show here.
#
# Execute it on any run: `python -m evaluation.notebooks runs/NAME --only 02`. Here, set `run` and run all cells. While
# a training is under way, `tensorboard --logdir runs/NAME/train/tensorboard` shows it live.

# %% tags=["parameters"]
run = "../runs/athaliana_plastid-tiny-lora"

# %%
from pathlib import Path

import pandas as pd

from evaluation.artefacts.records import stage_record
from evaluation.drawing import learning, style
from evaluation.page.notebook import show
from evaluation.page.tables import gates_table
from evaluation.preparation.tables import windows_table
from workflow.artifacts import read_json, read_table

pd.options.display.max_colwidth = 200
training = stage_record(Path(run) / "train")
metrics = read_table(Path(run) / "train" / "metrics.parquet")

# %% [markdown]
# ## What was trained
# The settings, all of them: with these and the seed the training can be repeated.

# %%
pd.json_normalize(training.value("config", "train")).T.rename(columns={0: "setting"})

# %% [markdown]
# What became of them. Less than one pass over train (`share_of_train_bases_covered` below 1) is usual for a large
# genome; many passes are learned by heart.

# %%
pd.Series(training.value("counts"), name="count").to_frame()

# %% [markdown]
# ## What it was trained on
# With a mixture, the sets of windows have shares of the training bases.

# %%
mixture = stage_record(Path(run) / "preprocess").value("config", "mixture", "weights")
show(windows_table(read_json(Path(run) / "prepare" / "windows.json"), mixture))

# %% [markdown]
# ## The learning curve
# Validation should fall and stay below the dotted line, which is a uniform guess. Where it rises while the loss of the
# train batches falls, the model memorises. For a training from random weights, which begins at ln 512 = 6.24, give
# `learning.ceiling(metrics)` in place of `None`.

# %%
with style.applied():
    show(learning.learning_curve(metrics, None))

# %% [markdown]
# The log in long form, a row a value: losses in nats per base, and how far the adapters have moved.

# %%
metrics.pivot_table(index="step", columns="name", values="value").tail(10)

# %% [markdown]
# ## Gates
# Those that a training can fail: a start no better than a guess, adapters that do not move, a loss that is not finite.

# %%
show(gates_table(pd.DataFrame(training.value("gates")).assign(stage="train")))

# %% [markdown]
# ## Checkpoints
# `best` holds the weights with the lowest validation loss, which all later stages use; `state` is what a training that
# was stopped goes on from.

# %%
pd.DataFrame(training.value("outputs"))
