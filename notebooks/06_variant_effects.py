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
# # 06 Variant effects
# Can a model that has only read genomes tell damaging variants from harmless ones, by likelihood or by the distance
# between embeddings? And does it know more than where in the codon a base stands?
#
# It reads what the stages `prepare`, `convert` and `variants` left. Make them with (about two minutes on two cores):
#
#     python -m workflow.run stage=variants variants.table=data/demo/tutorial_variants.csv variants.window=256 \
#         variants.label_column=consequence variants.positive=[missense,nonsense] variants.negative=[synonymous] \
#         variants.consequence_column=codon_position variants.layer=3
#
# Execute it on that run: `python -m evaluation.notebooks runs/NAME --only 06`. Here, set `run` and run all cells. For
# your own variants give a VCF or a table and its columns; nothing below changes.

# %% tags=["parameters"]
run = "../runs/athaliana_plastid-tiny-lora"

# %%
from pathlib import Path

import pandas as pd

from evaluation.artefacts.records import stage_record
from evaluation.baselines import markov
from evaluation.drawing import style
from evaluation.page.notebook import show
from evaluation.statistics.ranking import ranking
from evaluation.variants import distances, effects, reading
from evaluation.variants.section import section

stage_record(Path(run) / "variants")
scored = reading.read(Path(run) / "variants")
chance = markov.fit_prepared(Path(run) / "prepare", 12)
labels = {"base": "base", "adapted": "adapted", "markov": f"Markov order {chance.order}"}

# %% [markdown]
# ## The variants
# The table that ships has substitutions at random places of the plastid's exons and introns. What each does to the
# protein follows from the genetic code, not from an experiment: a missense variant may be harmless. Those of introns
# have neither label; notebook 07 is about them.

# %%
pd.crosstab(scored.table["label"].fillna("(no label)"), scored.classes)

# %% [markdown]
# ## By likelihood
# Δ = ln P(alternative) − ln P(reference), of the whole window and both strands: negative where the model finds the
# variant less likely. Two baselines stand beside the models. The Markov model knows only the frequencies of short
# words; the k-mer regression was shown the labels of other variants, so that it has an advantage.

# %%
found = effects.assess(scored, chance, samples=1_000, confidence=0.95, seed=42)
with style.applied():
    show(section(found, labels, 0.95))

# %% [markdown]
# ## By embedding distance
# The same windows as vectors: how far does the variant move the output of a layer? “At the variant” is the state at the
# last base of the allele, read from both sides; “of the means” is over the window. A distance knows no better or worse:
# it says how much the model noticed. Nothing is shown where `variants.layer` named no layer, or nothing was labelled.

# %%
if found.distances:
    show(distances.distance_table(found.distances, labels, scored.about["layer"]))

# %% [markdown]
# ## The control
# Most changes of a third codon position are synonymous, and most others are not. A score that knows only this number
# has the AUROC below, without any model. (With your own classes, it is that of the class `third` against all others.)
# Every model must beat it to be of use. The fair question is asked within one class: in the table “AUROC by …” above,
# the row of the third position compares synonymous with other variants where the position says nothing.

# %%
rows = scored.is_labelled
position = {"codon position alone": (scored.classes != "third").astype(float)[rows]}
control = ranking(position, scored.positive[rows], 1_000, 0.95, 42, groups=scored.sites[rows])
pd.DataFrame([vars(control.auroc["codon position alone"])], index=["codon position alone"])

# %% [markdown]
# ## What to conclude
# Read the intervals, not the estimates. The small model of this project has read yeast, worm and *E. coli*, and at most
# a few passes over this plastid. Where its interval holds 0.5 it has shown nothing; where it stays below the codon
# position, a ruler would do better. The published Evo 2 models are another matter: on BRCA1 saturation editing their
# authors report an AUROC of 0.73 (1B) and 0.88 (7B). `docs/tutorials.md` has the command for that table.
