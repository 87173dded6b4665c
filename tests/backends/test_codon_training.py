"""Training with codon objectives: what is the same as without, what is new, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.backends.test_training import Killed
from tests.dataset.conftest import write_token_file
from tests.striped_hyena.conftest import SMALL
from workflow.backends.embedded import training
from workflow.backends.embedded.adaptation import Adaptation
from workflow.backends.embedded.batches import Stretch, validation_share
from workflow.config import ParallelConfig, TrainConfig
from workflow.config.model import CodonConfig
from workflow.config.steps import StepPlan
from workflow.dataset.bases import TokenBases
from workflow.dataset.codons import Coding
from workflow.dataset.samples import TrainingSamples, validation_places, validation_samples
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.striped_hyena import StripedHyena2
from workflow.striped_hyena.adapters import add_lora
from workflow.striped_hyena.codons import codon_objective
from workflow.striped_hyena.codons.objective import BoxObjective
from workflow.striped_hyena.objectives import base_nll
from workflow.striped_hyena.tokens import model_inputs, pad

CONTEXT = 48


class Data:
    """Whole regions, and coding sequences of which some are soft-masked."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        regions = rng.choice(np.frombuffer(b"ACGT", np.uint8), 900).tobytes()
        codons = ["ATG", "GCT", "GCC", "GCA", "CTT", "TTA", "gaa", "AAA", "TGA"]
        coding = [("ATG" + "".join(rng.choice(codons, 60)) + "TAA").encode() for _ in range(4)]
        self.files = [
            TokenBases(write_token_file(folder / name, documents))
            for name, documents in (("regions", [regions]), ("cds", coding))
        ]
        self.samples = TrainingSamples(self.files, [0.5, 0.5], context_length=CONTEXT, seed=3, reverse_complement=0.5)
        asked: dict[str, Any] = {"context_length": CONTEXT, "count": 6}
        self.validation = validation_samples(self.files, [0.5, 0.5], **asked)
        places = validation_places(self.files, [0.5, 0.5], **asked)
        codes = Coding([None, np.array([1, 1, 3, 1])])
        codons_of = [codes.codons(*read) for read in zip(places, self.validation, strict=True)]
        self.coding = Coding(codes.codes, codons_of)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return Data(tmp_path_factory.mktemp("tokens"))


def settings(objective: str = "codon_hxe", steps: int = 4, **codon: Any) -> TrainConfig:
    return TrainConfig(
        method="lora",
        context_length=CONTEXT,
        steps=steps,
        batch_size=4,
        learning_rate=1e-2,
        warmup_steps=1,
        validate_every=2,
        validation_samples=6,
        seed=3,
        objective=objective,
        codon=CodonConfig(**codon),
    )


def fit(
    data: Data, folder: Path, config: TrainConfig, coding: Coding | None = None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Counts and metrics."""
    torch.manual_seed(0)
    model = add_lora(StripedHyena2(SMALL), rank=2, alpha=4, dropout=0.1, targets=["projections", "l3"])
    training.make_ready(folder)
    training.fit(
        model,
        data.samples,
        data.validation,
        config=config,
        parallel=ParallelConfig(),
        accelerator="cpu",
        folder=folder,
        gates=GateLog({"first_validation_loss": "warn"}),
        coding=(coding or data.coding) if config.reads_codons else None,
    )
    counts = training.conclude(folder, data.samples, config.plan(1))
    return counts, pd.read_parquet(folder / "metrics.parquet")


@pytest.fixture(scope="module")
def plain(data: Data, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("plain")
    _, metrics = fit(data, folder, settings("nll"))
    return folder, metrics


def test_alpha_0_is_the_plain_nll_to_the_last_bit(data: Data, plain: tuple[Path, pd.DataFrame], tmp_path: Path) -> None:
    counts, metrics = fit(data, tmp_path, settings(alpha=0.0))
    of_codons = metrics["name"].str.contains("codon")
    pd.testing.assert_frame_equal(metrics[~of_codons].reset_index(drop=True), plain[1], check_exact=True)
    weights = "best/adapter_model.safetensors"
    assert (tmp_path / weights).read_bytes() == (plain[0] / weights).read_bytes()
    assert set(metrics[of_codons]["name"]) == {"train_codon_loss", "val_codon_loss"}
    seen = itertools.islice(data.samples.from_position(0), 16)
    codons = sum(len(data.coding.codons(sample, data.samples[sample])) for sample in seen)
    assert codons > 0
    assert counts["codon_bases_seen"] == 3 * codons
    assert counts["codon_share_seen"] == 3 * codons / counts["bases_seen"]


def test_a_killed_training_ends_as_an_undisturbed_one(
    data: Data, plain: tuple[Path, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(head="exact", hierarchy="random")
    whole, metrics = fit(data, tmp_path / "whole", config)
    original = Adaptation.on_before_optimizer_step

    def die(self: Adaptation, optimizer: torch.optim.Optimizer) -> None:
        if self.global_step == 3:
            raise Killed
        original(self, optimizer)

    with monkeypatch.context() as patch:
        patch.setattr(Adaptation, "on_before_optimizer_step", die)
        with pytest.raises(Killed):
            fit(data, tmp_path / "killed", config)
    again, _ = fit(data, tmp_path / "killed", config)
    assert again == whole
    for name in ("metrics.parquet", "best/adapter_model.safetensors", "best/codon_head.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    before, after = (table[table["name"] == "val_loss"]["value"] for table in (plain[1], metrics))
    assert before.iloc[0] == after.iloc[0]
    assert before.iloc[-1] != after.iloc[-1]
    head = load_file(tmp_path / "whole" / "best" / "codon_head.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in head.items()} == {"weight": (64, 32), "bias": (64,)}
    assert head["weight"].norm() > 0
    adapters = load_file(tmp_path / "whole" / "best" / "adapter_model.safetensors").values()
    assert whole["trainable_parameters"] == sum(tensor.numel() for tensor in adapters) + 64 * 33
    losses = metrics[metrics["name"] == "val_codon_loss"]["value"]
    assert losses.iloc[-1] < losses.iloc[0] - 0.1


def test_what_a_codon_costs_without_a_head() -> None:
    """ATG has no synonyms: its three bases cost e^−α of their NLL, other bases all of it."""
    model = StripedHyena2(SMALL).eval()
    box = Adaptation(model, settings(alpha=0.4), GateLog())
    ids, mask = pad([torch.tensor(list(b"CATGgct"))])
    with torch.no_grad():
        nll = base_nll(model(model_inputs(ids), mask).logits, ids)[0]
        loss = box.loss(ids, mask, torch.tensor([[0, 1, 2, 3, 14, 1]]))
    expected = nll[0] + np.exp(-0.4) * nll[1:4].sum() + 0.1 * nll[4:].sum()
    assert float(loss) == pytest.approx(float(expected) / (4 * CONTEXT), rel=1e-5)


def test_what_a_codon_costs_with_a_head_that_knows_nothing(data: Data) -> None:
    """Uniform logits: a sum over the levels of the tree, which can be counted by hand."""
    model = StripedHyena2(SMALL).eval()
    adaptation = Adaptation(model, settings(head="exact", alpha=0.2, weight=2.0), GateLog())
    plain = Adaptation(model, settings("nll"), GateLog())
    ids, mask = pad([torch.tensor(list(b"ATGGCTTAA")), torch.tensor(list(b"gcTTC"))])
    decay = [np.exp(-0.2 * depth) for depth in (1, 2, 3)]
    cost = {
        "ATG": decay[0] * np.log(64) + 0 * decay[1],
        "GCT": decay[0] * np.log(64 / 60) + decay[1] * np.log(60 / 4) + decay[2] * np.log(4),
        "TAA": decay[0] * np.log(64 / 3) + decay[1] * np.log(3),
    }
    codons = torch.tensor([[0, 0, 1, 2, 14, 1], [0, 3, 4, 5, 39, 1], [0, 6, 7, 8, 48, 1], [1, 0, 1, 2, 39, 11]])
    loss = adaptation.loss(ids, mask, codons) - plain.loss(ids, mask)
    # The last codon has two bases of weight 0.1.
    expected = 2.0 * (sum(cost.values()) + cost["GCT"] * (0.1 + 0.1 + 1) / 3) / (4 * CONTEXT)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)
    soft = Adaptation(model, settings("codon_soft"), GateLog()).loss(ids, mask, codons[:3]) - plain.loss(ids, mask)
    assert float(soft.detach()) == pytest.approx(3 * np.log(64) / (4 * CONTEXT), rel=1e-4)
    without = adaptation.loss(ids, mask, codons[:0])
    assert float(without.detach()) == pytest.approx(float(plain.loss(ids, mask).detach()), rel=1e-6)
    assert adaptation.codons is not None
    # Without a codon the head has gradients too, which are zero.
    gradients = torch.autograd.grad(without, list(adaptation.codons.parameters()))
    assert not any(gradient.any() for gradient in gradients)


def test_a_training_that_saw_no_codon_is_told(data: Data, tmp_path: Path) -> None:
    """The head did not move, and that is not what is told of the adapters."""
    none = Coding([None, None], [rows[:0] for rows in data.coding.validation])
    with pytest.raises(
        InputError, match=r"no codon in frame in \d+ bases, so that it was one with train\.objective=nll"
    ):
        fit(data, tmp_path, settings(head="exact", steps=2), none)


def test_processes_divide_the_codons_too(data: Data) -> None:
    plan = StepPlan.of(3, 8, 4, 0.0)

    def codons(size: int, rank: int, ranks: int) -> list[list[int]]:
        steps = Stretch(data.samples, plan, range(3), size, rank, ranks, data.coding)
        return [row[1:] for step in steps for _, _, rows in step for row in rows.tolist()]

    alone, parts = codons(4, 0, 1), [codons(2, rank, 2) for rank in range(2)]
    assert sorted(alone) == sorted(parts[0] + parts[1])
    shares = [validation_share(data.validation, 2, rank, 4, data.coding.validation) for rank in range(4)]
    assert len({len(share) for share in shares}) == 1
    found = sorted(row[1:] for share in shares for _, _, rows in share for row in rows.tolist())
    assert found == sorted(row for rows in data.coding.validation for row in rows.tolist())
    for share in shares:
        for ids, _, rows in share:
            read = bytes(ids[rows[0, 0], rows[0, 1:4]].tolist()).decode() if len(rows) else "AAA"
            assert not len(rows) or rows[0, 4] == int("".join(str("ACGT".index(base)) for base in read.upper()), 4)


def test_the_random_control_is_drawn_by_the_seed() -> None:
    def drawn(seed: int) -> torch.Tensor:
        config = settings(hierarchy="random")
        config.seed = seed
        objective = codon_objective(config, 8)
        assert isinstance(objective, BoxObjective)
        return objective._synonyms

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "hxe"}, r"train\.objective=hxe is not a choice: use one of nll, codon_hxe, codon_soft"),
        ({"method": "none"}, r"train\.objective=codon_hxe trains, train\.method=none does not"),
        ({"reverse_complement": 1.0}, r"every sample is read from the other strand, and no codon is in frame"),
        ({"context_length": 2}, r"train\.objective=codon_hxe needs samples of 3 bases"),
        (
            {"objective": "nll", "codon": CodonConfig(alpha=0.4)},
            r"codon\.alpha=0\.4 is not read with train\.objective=nll:",
        ),
        ({"codon": CodonConfig(beta=3)}, r"codon\.beta=3 is not read with train\.objective=codon_hxe and .*head=box:"),
        (
            {"codon": CodonConfig(weight=2)},
            r"codon\.weight=2 is not read with train\.objective=codon_hxe and .*head=box",
        ),
        ({"objective": "codon_soft", "codon": CodonConfig(head="exact")}, r"head=exact is not read with .*codon_soft:"),
    ],
)
def test_settings_that_do_not_go_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(**(vars(settings()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": -0.1}, r"train\.codon\.alpha=-0\.1 must not be negative"),
        ({"beta": 0.0}, r"train\.codon\.beta=0\.0 must be positive"),
        ({"head": "large"}, r"train\.codon\.head=large is not a choice"),
        ({"hierarchy": "true"}, r"train\.codon\.hierarchy=true is not a choice"),
        ({"genetic_code": 7}, r"train\.codon\.genetic_code=7 is none of NCBI's: use one of 1, 2, 3, 4, 5, 6, 9"),
    ],
)
def test_codon_settings_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings(**changes)


def test_what_the_objective_needs() -> None:
    kinds = {"tiling": "tiling", "coding": "cds"}
    assert settings().coding_sets("local", kinds) == ["coding"]
    assert settings("nll").coding_sets("mbridge", {}) == []
    with pytest.raises(InputError, match=r"needs coding sequences in the mixture: use windows=genes mixture=codons"):
        settings().coding_sets("local", {"tiling": "tiling"})
    with pytest.raises(InputError, match=r"train\.objective=codon_soft is of backend=local"):
        settings("codon_soft").coding_sets("nemo2", kinds)
