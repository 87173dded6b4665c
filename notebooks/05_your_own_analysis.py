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
# # 05 Your own analysis
# Copy this notebook and change it. It shows how to get at the log-probabilities of single bases, draw a region, score
# your own genes or intervals, join your own table to the windows, read the tracks, and write a table.
#
# It reads what the stages `prepare`, `predict` and `evaluate` left. Execute it on any run: `python -m
# evaluation.notebooks runs/NAME --only 05`. Here, set `run` and run all cells.

# %% tags=["parameters"]
run = "../runs/athaliana_plastid-tiny-lora"

# %%
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig

from evaluation.artefacts.genes import read_genes
from evaluation.artefacts.records import stage_record
from evaluation.baselines import markov
from evaluation.drawing import heatmap, style, tracks
from evaluation.drawing.region import neighbours, observed_logprobs, read_region
from evaluation.findings import read_predictions
from evaluation.page.notebook import show
from evaluation.per_base.analysis import analyse
from evaluation.per_base.classes import ClassTrack
from evaluation.per_base.intervals import score_intervals
from evaluation.per_base.scores import entropy_bits
from evaluation.statistics.correlations import correlate
from workflow.artifacts import read_table

predict = stage_record(Path(run) / "predict")
prepared, evaluated = Path(run) / "prepare", Path(run) / "evaluate"

# %% [markdown]
# ## The predictions of single bases
# By model; `base` is the model as it came, `adapted` after training. The index has a row a window, with 0-based
# half-open coordinates on the forward strand.

# %%
predictions = read_predictions(Path(run) / "predict")
model, store = list(predictions.items())[-1]
store.index.head()

# %% [markdown]
# Of one window: log-probability (nats) of A, C, G and T at each base, given the bases before it in the window, and the
# base that is there, in the direction of the window. The first base may be NaN: nothing comes before it. The arrays are
# mapped from the disk, so that a window of a large genome is read in no time.

# %%
logprobs, bases = store.window(0)
pd.DataFrame(logprobs.astype(np.float32), columns=list("ACGT")).assign(
    observed=list(bases.tobytes().decode()),
    logprob=observed_logprobs(logprobs, bases),
    entropy_bits=entropy_bits(logprobs),
).head(12)

# %% [markdown]
# ## A baseline
# A score means nothing without one. The Markov model was fitted on train, its order chosen on val.

# %%
chance = markov.fit_prepared(prepared, 12)
baselines = {"markov": chance}
labels = {"base": "base", "adapted": "adapted", "markov": f"Markov order {chance.order}", "uniform": "uniform guess"}

# %% [markdown]
# ## A region
# The windows around the first one, up to 20 kb. For your own, choose the rows of the windows:
# `np.flatnonzero((store.index["seqid"] == "Chr1") & (store.index["end"] > 50_000) & (store.index["start"] < 60_000))`.

# %%
region = read_region(predictions, baselines, neighbours(store.index, row=0, longest=20_000))
sequences = read_table(prepared / "sequences.parquet")
length = int(sequences.loc[sequences["seqid"] == region.seqid, "length"].item())
genes_there = read_genes(prepared / "annotation.parquet", region.seqid, region.start, region.end, length)
f"{region.seqid}:{region.start:,}–{region.end:,}, {len(genes_there)} gene models"

# %% [markdown]
# From the top: log-probability of A, C, G and T; NLL of the observed bases (lower is better); gain of the adapted over
# the base model; gene models.

# %%
with style.applied():
    show(heatmap.region_heatmap(region, labels, genes_there))

# %% [markdown]
# Entropy of the next base: low where a model is sure, rightly or not; 2 bits is no idea at all.

# %%
with style.applied():
    show(tracks.entropy_track(region, labels, genes_there, shaded=None))

# %% [markdown]
# ## Your genes or intervals
# Any table with `seqid`, `start` and `end` (0-based half-open; a BED file has them so) does, such as
# `pd.read_csv("my_genes.csv")`; its other columns are kept. Here, the genes of the annotation. `bases` are those that
# were scored: genes outside the scored split have none.

# %%
annotation = read_table(prepared / "annotation.parquet", ["type", "seqid", "start", "end", "strand", "id", "name"])
genes = annotation[annotation["type"] == "gene"]
scored = score_intervals(predictions, baselines, genes)
scored[scored["bases"] > 0].sort_values(f"nll_{model}").head(10)

# %% [markdown]
# ## Your table beside the windows
# Any table with `sequence_id` can be joined to the scores of the windows. Here, the table of the windows themselves,
# with their composition; yours may hold expression, methylation or what you like.

# %%
result = analyse(predictions, baselines, ClassTrack(prepared), sequences, samples=1_000, confidence=0.95, seed=42)
scores = result.scores
own = read_table(prepared / "windows" / f"{predict.value('config', 'predict', 'windows')}.parquet")
joined = scores.table.assign(
    nll=scores.per_base(model), nll_markov=scores.per_base("markov"), gain=scores.gain(*scores.main_pair)
).merge(own[["sequence_id", "gc", "copies"]], on="sequence_id", how="left")
joined[["sequence_id", "bases", "nll", "nll_markov", "gain", "gc", "copies"]].head()

# %% [markdown]
# Spearman's ρ of GC and NLL with its 95 % interval, for the model and for the baseline. Neighbouring windows resemble
# each other, so that blocks of them are resampled. `differences` has the difference of the two.

# %%
correlations, differences = correlate(
    joined["gc"].to_numpy(),
    {model: joined["nll"].to_numpy(), "markov": joined["nll_markov"].to_numpy()},
    covariates=np.empty((len(joined), 0)),
    groups=joined["block"].to_numpy(),
    samples=1_000,
    confidence=0.95,
    seed=42,
)
pd.DataFrame([vars(correlations[model].spearman), vars(correlations["markov"].spearman)], index=[model, "markov"])

# %%
with style.applied():
    figure = style.new_figure(2.6, 4.2)
    axes = figure.subplots()
    axes.scatter(joined["gc"], joined["nll"], s=8, color=style.COLOURS[model], label=labels[model])
    look = {"s": 12, "marker": "x", "linewidths": 0.8, "color": style.COLOURS["markov"]}
    axes.scatter(joined["gc"], joined["nll_markov"], label=labels["markov"], **look)
    axes.set(xlabel="GC of the window (share)", ylabel="NLL (nats per base)")
    style.place_legend_above(axes, 2)
    show(figure)

# %% [markdown]
# ## Tracks and genome browser
# With `evaluation.track_bin` of at least 1, as it is by default, the stage `evaluate` wrote bigWig files of gain, NLL
# and entropy, an IGV session, and a page that shows them: `python -m evaluation.browse runs/NAME`, or a double click on
# the page. Here, the mean NLL of the region above.

# %%
browser = stage_record(evaluated).path.parent / "browser"
sorted(path.name for path in browser.iterdir())

# %%
with pyBigWig.open(str(browser / f"nll_{model}.bw")) as track:
    mean = track.stats(region.seqid, region.start, region.end, exact=True)
mean

# %% [markdown]
# ## Writing a table
# Into the folder in which this notebook runs; `to_excel` and `to_parquet` do likewise.

# %%
scored.to_csv("genes_scored.csv", index=False)
