"""Made-up variants, and a Markov model to set beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base.scores import BASE_COLUMN
from evaluation.variants.reading import ScoredVariants

Make = Callable[..., ScoredVariants]


class MarkovOfOrderTwo:
    """Random probabilities after two bases; 1/4 before them."""

    def __init__(self) -> None:
        table = np.random.default_rng(5).random((16, 4)) + 0.05
        self.table = np.log(table / table.sum(axis=1, keepdims=True)).astype(np.float32)

    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
        codes = np.minimum(BASE_COLUMN[bases].astype(int), 3)
        context = 4 * np.roll(codes, 2) + np.roll(codes, 1)
        logprobs: np.ndarray = self.table[context]
        for start in starts:
            logprobs[start : start + 2] = np.log(0.25)
        return logprobs


@pytest.fixture
def markov() -> MarkovOfOrderTwo:
    return MarkovOfOrderTwo()


@pytest.fixture
def made() -> Make:
    """Variants 13 bases apart, three a position, of which those with the label `bad` have a lower Δ."""

    def make(
        rows: int = 240, models: tuple[str, ...] = ("base", "adapted"), effect: float = 1.0, seed: int = 0, **about: Any
    ) -> ScoredVariants:
        generator = np.random.default_rng(seed)
        sites = -(-rows // 3)
        bases = "".join(generator.choice(list("ACGT"), 13 * sites + 40))
        at = np.repeat(20 + 13 * np.arange(sites), 3)[:rows]
        ref = [bases[place] for place in at]
        alt = ["ACGT".replace(base, "")[number % 3] for number, base in enumerate(ref)]
        positive = generator.random(rows) < 0.3
        table = pd.DataFrame(
            {
                "variant_id": [f"s:{p + 1}:{r}:{a}" for p, r, a in zip(at, ref, alt, strict=True)],
                "line": np.arange(rows) + 2,
                "seqid": "s",
                "position": at,
                "ref": ref,
                "alt": alt,
                "kind": "snv",
                "label": np.where(positive, "bad", "good"),
                "positive": pd.array(positive, dtype="boolean"),
                "measured": generator.normal(size=rows) - positive,
                "consequence": generator.choice(["missense", "intronic"], rows, p=[0.7, 0.3]),
                "left_flank": [bases[place - 15 : place] for place in at],
                "right_flank": [bases[place + 1 : place + 16] for place in at],
            }
        )
        for number, model in enumerate(models):
            delta = generator.normal(size=rows) - (number + 1) * effect * positive
            table[f"delta_{model}"] = delta
            table[f"delta_forward_{model}"] = delta + 0.1 * generator.normal(size=rows)
            table[f"delta_reverse_{model}"] = 2 * delta - table[f"delta_forward_{model}"]
        settings = {
            "table": "table.xlsx",
            "models": list(models),
            "reference": "slice.fa",
            "alleles": rows + 3,
            "reference_sites": sites,
            "window": 512,
            "both_strands": True,
            "scores": None,
            "label": "class",
            "positive": ["bad"],
            "negative": ["good"],
            "measured": "score",
            "consequence": "effect",
        }
        left_out = pd.DataFrame({"reason": ["symbolic allele or breakend"], "variants": [3], "line": [9]})
        return ScoredVariants(table, models, settings | about, left_out)

    return make
