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
# # 03 Predictions
# How well do the models predict sequence that was held out, how sure may one be of the difference, and where does it
# lie? It computes again what the report says, step by step, and leaves the numbers in tables to go on with. It reads
# what the stages `prepare`, `preprocess`, `convert` and `predict` left, and `train` where there was one.
#
# Execute it on any run: `python -m evaluation.notebooks runs/NAME --only 03`. Here, set `run` and run all cells.

# %% tags=["parameters"]
run = "../runs/athaliana_plastid-tiny-lora"

# %%
from pathlib import Path

from evaluation.drawing import style
from evaluation.drawing.section import ranking_section, window_section
from evaluation.findings import Settings, collect
from evaluation.forgetting import section as forgetting
from evaluation.page.layout import Section
from evaluation.page.notebook import show
from evaluation.page.tables import gates_table
from evaluation.per_base import section as per_base
from evaluation.per_base import section_features as features

# %% [markdown]
# ## Reading and computing
# One pass over the predictions. Intervals are from resamplings of blocks of neighbouring windows: 1,000 are enough to
# look, take 10,000 for a paper. `track_bin=0` writes no tracks for a genome browser.

# %%
settings = Settings(bootstrap_samples=1_000, track_bin=0)
findings = collect(Path(run), Path(run), settings)
labels, scores = findings.labels, findings.per_base.scores

# %% [markdown]
# What may be claimed, and what a reader must know before quoting it.

# %%
show(Section("Verdict", remarks=[findings.verdict.headline, *findings.verdict.notes]))

# %% [markdown]
# ## How well, where, and how sure
# NLL is the negative log-likelihood of the observed base in nats: lower is better, ln 4 = 1.386 is a uniform guess. A
# difference counts when its whole interval lies on one side of 0. A model that does not beat the Markov model has
# learned no more than the frequencies of short words.

# %%
with style.applied():
    show(*per_base.sections(findings.per_base, labels, findings.outside))

# %% [markdown]
# The same numbers as tables: every model, every difference, every class of base.

# %%
findings.per_base.comparison.models_table()

# %%
findings.per_base.comparison.differences_table()

# %%
findings.per_base.strata.table

# %% [markdown]
# ## Windows
# A gain should not hang on a few windows, nor follow GC as that of the Markov model does.

# %%
with style.applied():
    show(ranking_section(next(iter(findings.predictions.values())), scores, labels))

# %% [markdown]
# ## Around features, along codons, against similarity to train
# What a model knows of genes shows at their borders and in the period of three of coding sequence. What it gains only
# where windows resemble train, it has memorised.

# %%
with style.applied():
    show(*features.sections(findings.features, labels))

# %% [markdown]
# ## One window, and the region around it
# The window with the largest change; name another by its `sequence_id` in the settings above, `heatmap_window="…"`.

# %%
with style.applied():
    show(
        window_section(
            Path(run) / "prepare",
            findings.predictions,
            {"markov": findings.markov},
            scores,
            labels,
            settings.heatmap_window,
            settings.heatmap_bases,
        )
    )

# %% [markdown]
# ## What it cost
# What the adapted model has forgotten of other organisms. Nothing is shown where `predict.forgetting` named no
# sequences.

# %%
if findings.forgetting is not None:
    with style.applied():
        show(forgetting.section(findings.forgetting, labels))

# %% [markdown]
# ## Gates
# Every stage's, and those of the evaluation itself. The numbers above stand as far as these passed.

# %%
show(gates_table(findings.facts.gates(findings.checks)))
