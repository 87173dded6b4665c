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
# # 08 Continued pretraining
# What does a little more training on a new genome bring, on sequence that was held out? And what do a context that is
# too short and a learning rate that is too high do to it? Notebook 02 shows one training in detail; here are three.
#
# It reads three runs of phage phiX174 (5,386 bases), made within two minutes by
#
#     phage="genome=phix174 train=full train.steps=40 train.validate_every=10 windows.length=128 \
#         split.block_length=256 split.fractions.train=0.5 split.fractions.val=0.15 split.fractions.test=0.35 \
#         train.context_length=128 stage=[prepare,preprocess,convert,train,predict]"
#     python -m workflow.run $phage run_name=phix174-good
#     python -m workflow.run $phage run_name=phix174-fast train.learning_rate=0.03
#     python -m workflow.run $phage run_name=phix174-short train.context_length=8 \
#         gates.context_length=warn gates.first_validation_loss=warn
#
# The last needs two gates to be overridden: a context of 8 bases is refused otherwise, and so is a start that is worse
# than a guess.
#
# Execute it on the first: `python -m evaluation.notebooks runs/NAME --only 08`. Here, set `run` and run all cells.

# %% tags=["parameters"]
run = "../runs/phix174-good"
short_context, high_rate = "phix174-short", "phix174-fast"

# %%
from pathlib import Path

from evaluation.drawing import style
from evaluation.findings import Settings
from evaluation.page.notebook import show
from evaluation.runs import figures
from evaluation.runs.reading import read_runs
from evaluation.runs.report import compare

# %% [markdown]
# ## The runs
# The other two lie beside the first. All are tested on the same windows, which none has read in training.

# %%
beside = Path(run).resolve().parent
compared = read_runs([Path(run), beside / short_context, beside / high_rate])
background, sums, board = compare(compared, Settings(bootstrap_samples=1_000, markov_max_order=6))
f"{board.windows} windows, {board.bases:,} bases, {board.blocks} independent blocks"

# %% [markdown]
# ## Before and after, against the baselines
# NLL in nats per base, lower is better; ln 4 = 1.386 is a uniform guess. “As published” is the model before training.
# The Markov model was fitted on the same train bases: what it reaches needs no language model.

# %%
board.table()[["label", "kind", "nll_all", "nll_all_low", "nll_all_high"]].round(4)

# %%
adapted = {compared.entries[1].label, compared.entries[2].label, compared.entries[-1].label}
with style.applied():
    show(figures.forest(board, figures.colours(board, adapted)))

# %% [markdown]
# Each pair on the same windows: the gain, its interval, and p corrected for the number of pairs (Holm). Intervals of
# two models may overlap although their difference is certain; with so few blocks, many differences are not.

# %%
board.pairs_table().round(4)

# %% [markdown]
# ## The learning curves
# A rate that is too high lets the validation loss rise far beyond the uniform guess within a few steps. A context of 8
# bases hardly moves it: what the model could learn lies in longer stretches, which it never sees. The curve of the
# short context begins higher because its validation has short contexts too; only the table above compares like with
# like.

# %%
with style.applied():
    show(figures.learning_curves(compared.entries))

# %% [markdown]
# ## What to conclude
# With the commands above, 40 steps gained 0.026 nats per base [0.011, 0.036] over the model as published; the short
# context gained 0.006 [0.002, 0.010], a quarter of it, and has read a sixteenth of the bases in as many steps, which is
# part of the harm; the high rate gained nothing to speak of, −0.006 [−0.021, 0.012], and would have done much harm had
# the checkpoint with the lowest validation loss not been kept (step 10, before the loss rose to 1.80). All lie below a
# Markov model of the same train bases, 1.364. With 13 blocks and six pairs, a corrected p of 0.049 is the most that can
# be said: a phage of 5,386 bases is small. An earlier workflow trained with a context of one base: 100 steps, 100 bases
# seen, and a loss above that of a guess (1.454).
