from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.baselines.markov import MarkovModel
from evaluation.generation.completion import complete
from evaluation.generation.intervals import Resampling
from tests.evaluation.generation.conftest import random_dna
from tests.evaluation.generation.test_alignment import coding, intron, random_protein

PROTEIN = random_protein(120, seed=21)
BASES = coding(PROTEIN)
#: An intron in the part that is given, another one within a codon of the part that is asked for.
GENE = random_dna(300, seed=1) + BASES[:91] + intron(70, 2) + BASES[91:212] + intron(90, 3) + BASES[212:] + "TAA"
PROMPT = 300 + 180 + 70
LENGTH = len(GENE) - PROMPT


def generations(texts: dict[str, list[str]], name: str = "abc") -> pd.DataFrame:
    rows = [
        {"prompt_id": f"gene:{name}", "kind": "gene", "model": model, "sample": sample, "sequence": text}
        for model, written in texts.items()
        for sample, text in enumerate(written)
    ]
    return pd.DataFrame(rows)


def gene(sequence: str = GENE, protein: str = PROTEIN, prompt: int = PROMPT, name: str = "abc") -> pd.DataFrame:
    row = {"gene": name, "organism": "Testudo exempli", "reference_protein": protein, "genomic_sequence": sequence}
    return pd.DataFrame([row | {"prompt_length": prompt, "spliced": True}])


def test_recovery_of_a_spliced_gene(markov: MarkovModel, resampling: Resampling) -> None:
    truth = GENE[PROMPT:]
    # Right for the first 32 bases, in which 10 residues and 2 bases lie; what follows is another sequence.
    half = truth[:32] + random_dna(LENGTH - 32, seed=4)
    found = complete(generations({"base": [half, half], "adapted": [truth, half]}), gene(), markov, resampling)
    assert found is not None
    table = found.sequences.set_index(["group", "sample"])
    assert set(table["residues"]) == {60}
    assert table.loc[("truth", 0), ["recovered", "recovery", "introns", "intact"]].tolist() == [60, 100, 1, 1]
    assert table.loc[("adapted", 0), "recovery"] == 100
    # Chance adds few residues.
    assert 10 <= table.loc[("base", 0), "recovered"] <= 20 and table.loc[("base", 0), "intact"] == 0
    assert (table.loc["markov", "recovered"] <= 10).all() and len(table.loc["markov"]) == 2
    assert found.genes["abc"]["adapted"].estimate == pytest.approx(table.loc["adapted", "recovery"].mean())
    assert found.intact["adapted"].estimate == 0.5
    assert found.difference is not None and found.difference.estimate > 30
    assert not found.recovery["base"].defined  # of one gene there is none over genes


def test_a_continuation_that_stops_early_or_shifts_is_not_intact(markov: MarkovModel, resampling: Resampling) -> None:
    truth = GENE[PROMPT:]
    texts = [truth[:30], truth[:15] + truth[16:], truth[:6] + "TAA" + truth[9:], truth]
    found = complete(generations({"base": texts}), gene(), markov, resampling)
    assert found is not None
    table = found.sequences.query("group == 'base'")
    assert table["recovered"].tolist()[0] == 10 and set(table["residues"]) == {60}
    assert table["recovered"].tolist()[1] >= 58 and table["shifts"].tolist()[1] == 1
    assert table["recovered"].tolist()[2] == 59 and table["stops"].tolist()[2] == 1
    assert table["intact"].tolist() == [0, 0, 0, 1]


def test_without_the_rest_of_the_gene_three_bases_are_a_residue(markov: MarkovModel, resampling: Resampling) -> None:
    truth = GENE[PROMPT:]
    found = complete(generations({"base": [truth[:90]]}), gene(sequence=GENE[:PROMPT]), markov, resampling)
    assert found is not None
    assert set(found.sequences["group"]) == {"markov", "base"}
    row = found.sequences.query("group == 'base'").iloc[0]
    # The 32 coding bases before the intron hold ten whole residues, of the 30 that 90 bases could hold; and with the
    # first base of the intron there is a lysine, as it should be.
    assert (row["residues"], row["recovered"], PROTEIN[70]) == (30, 11, "K")
    whole = complete(generations({"base": [truth[3:]]}), gene(prompt=len(GENE) - 3), markov, resampling)
    assert whole is not None
    assert np.isnan(whole.recovery["base"].estimate)  # nothing is left to recover


def test_only_genes_count(markov: MarkovModel, resampling: Resampling) -> None:
    table = generations({"base": ["ACGT"]})
    assert complete(table.assign(kind="window"), gene(), markov, resampling) is None
    both = pd.concat([gene(), gene(name="other")])
    found = complete(generations({"base": [GENE[PROMPT:]]}), both, markov, resampling)
    assert found is not None and list(found.genes) == ["abc"]
