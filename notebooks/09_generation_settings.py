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
# # 09 Generation settings
# What do temperature and top-k change in what a model writes? Notebook 04 shows one run in every respect, with the
# k-mer plane against real fragments; here are several settings beside each other, and how not to compare them.
#
# It reads the stage `infer` of two runs, made within a minute by
#
#     python -m workflow.run run_name=plastid-one train=none stage=[prepare,convert,infer]
#     python -m workflow.run run_name=plastid-cold train=none stage=[prepare,convert,infer] infer.temperature=0.5
#
# Execute it on the first: `python -m evaluation.notebooks runs/NAME --only 09`. Here, set `run` and run all cells.

# %% tags=["parameters"]
run = "../runs/plastid-one"
cold = "plastid-cold"

# %%
from pathlib import Path

from evaluation.drawing import style
from evaluation.generation.settings import compare_settings, settings_table, variance_figure
from evaluation.page.notebook import show

beside = Path(run).resolve().parent
runs = {"these settings": Path(run), "colder": beside / cold}

# %% [markdown]
# ## Side by side
# Temperature below 1 makes probable bases more probable: the model repeats itself. `top_k=1` writes the most probable
# base and nothing else; with four bases, `top_k=4` cuts nothing. Intervals are over prompts; in the rows of real
# fragments they hold the middle of 60 sets, each as many and as long as what the model wrote.

# %%
found = compare_settings(runs, Path(run) / "prepare", samples=1_000, confidence=0.95, seed=42)
settings_table(found)

# %% [markdown]
# ## Equal lengths only
# An older tutorial compared the variance of k-mer counts of generated sequences with that of real ones of another
# length. The variance grows with length, whatever the sequences: real fragments twice as long have more than twice the
# variance of real fragments as long, and none of them is more real than the other. Compare a model with
# “real, as long”.

# %%
with style.applied():
    show(variance_figure(found))

# %% [markdown]
# ## What to conclude
# A variance above that of real fragments is a sign of repeats: single sequences run into a few words. One below it says
# that all sequences resemble each other more than pieces of the genome do. An open frame as long as in real fragments
# is what chance gives in an AT-poor sequence too: notebook 04 has it against a Markov model that continues the same
# prompts. For a claim, raise `infer.n_prompts` and `infer.samples`.
