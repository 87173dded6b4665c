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
# # 07 Exon against intron
# Does a model notice variants of exons more than variants of introns? And why do two p values for the same question
# differ?
#
# It reads what the stages `prepare` and `variants` left: the run of notebook 06. Execute it on that run: `python -m
# evaluation.notebooks runs/NAME --only 07`. Here, set `run` and run all cells.

# %% tags=["parameters"]
run = "../runs/athaliana_plastid-tiny-lora"

# %%
from pathlib import Path

from evaluation.artefacts.records import stage_record
from evaluation.baselines import markov
from evaluation.drawing import style
from evaluation.page.notebook import show
from evaluation.variants import distances, groups, reading
from evaluation.variants.baselines import markov_deltas

stage_record(Path(run) / "variants")
prepared = Path(run) / "prepare"
scored = reading.read(Path(run) / "variants")
table, model = scored.table, scored.models[-1]
chance = markov.fit_prepared(prepared, 12)

# %% [markdown]
# ## Two groups without pairs
# Variants of exons and of introns are different variants of different places. A plastid has few introns, some twenty
# here: hundreds of variants do not make more of them, and the intervals below resample stretches of 1,000 bases.

# %%
parts = {"exons": table["label"].ne("intron").to_numpy(), "introns": table["label"].eq("intron").to_numpy()}
table.groupby(table["label"].eq("intron").map({True: "introns", False: "exons"}))["position"].agg(["size", "nunique"])

# %% [markdown]
# ## What is compared
# The likelihood (−Δ: larger means less likely than the reference) and the embedding distances of one model, and −Δ of
# the Markov model, which cannot know what an exon is beyond its short words.

# %%
values = {"likelihood, −Δ": -scored.deltas(model), f"Markov order {chance.order}, −Δ": -markov_deltas(table, chance)}
values |= distances.measured(scored, model)
gc = groups.window_gc(table, prepared)

# %% [markdown]
# ## The two tests, and GC
# An older tutorial on exon and intron variants made three mistakes. It ran a paired test (Wilcoxon's signed rank) on
# groups without pairs: row 1 against row 1. It took the model's vocabulary logits for embeddings. And its exons and
# introns differed in GC, 0.482 against 0.452, which a model notices without knowing any gene.
#
# Below, each row is a measure. The wrong test depends on the order of the rows: 200 other orders of the same rows give
# everything between the two numbers. Mann & Whitney's test has one answer. Its p value takes all variants for
# independent; the effect with its interval does not, and is what should be quoted: it is 1 where every variant of an
# exon has the larger value, −1 where every one of an intron has it, and 0 where there is no difference.

# %%
comparison = groups.compare_groups(values, table, parts, gc, tolerance=0.01, samples=1_000, confidence=0.95, seed=42)
comparison.table()

# %% [markdown]
# Mean GC of the windows, of all variants and of those that were matched one to one: each exon variant has an intron
# variant whose window differs in GC by at most 0.01.

# %%
comparison.gc.round(3)

# %% [markdown]
# An effect that is gone after matching was one of GC. An interval that holds 0 shows nothing.

# %%
with style.applied():
    show(groups.effects_figure(comparison))

# %% [markdown]
# ## What to conclude
# Quote the effect after matching, with its interval, beside that of the Markov model. If both see the same difference,
# it is one of short words. To ask whether the model knows *exons*, more genomes with many introns are needed: give a
# table of variants of your genome with a column that says `intron`, as `variants.label_column`.
