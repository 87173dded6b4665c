"""A synthetic run folder with planted truths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workflow.artifacts import BASE_CLASSES, PerBaseWriter, write_json
from workflow.config import (
    BackendConfig,
    Config,
    EvaluationConfig,
    GenomeConfig,
    ModelConfig,
    TrainConfig,
    WindowsConfig,
)

LETTERS = np.frombuffer(b"ACGT", np.uint8)
_COUNTS = {
    "prepare": {"split_by": "block, 3 groups", "windows_with_a_copy_in_train": {"val": 0.0, "test": 0.012}},
    "train": {"share_of_train_bases_covered": 0.98, "best_step": 175, "median_sample_length": 300},
}
_READS = {
    "prepare": (),
    "preprocess": ("prepare",),
    "convert": (),
    "train": ("preprocess", "convert"),
    "predict": ("prepare", "convert", "train"),
    "infer": ("prepare", "convert", "train"),
}
#: From codes (n,) and window numbers (n,) to log-probabilities (n, 4).
Predictor = Callable[[np.ndarray, np.ndarray], np.ndarray]


def uniform(codes: np.ndarray, windows: np.ndarray) -> np.ndarray:
    return np.full((len(codes), 4), np.log(0.25))


def certain(codes: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Right about every base, with almost all of the probability."""
    return confident(1 - 1e-4)(codes, windows)


def confident(probability: float) -> Predictor:
    """The same probability for every observed base, the rest shared by the others."""

    def predict(codes: np.ndarray, windows: np.ndarray) -> np.ndarray:
        logprobs = np.full((len(codes), 4), np.log((1 - probability) / 3))
        logprobs[np.arange(len(codes)), codes] = np.log(probability)
        return logprobs

    return predict


def noisy(nll: float, seed: int, spread: float = 0.2) -> Predictor:
    """Observed bases have this mean NLL; windows differ, and bases within them."""

    def predict(codes: np.ndarray, windows: np.ndarray) -> np.ndarray:
        shared = np.random.default_rng(0).normal(0, spread, windows.max() + 1)
        own = np.random.default_rng(seed).normal(0, 0.02, windows.max() + 1)
        base = np.random.default_rng(1).normal(0, 0.3, len(codes))
        observed = -np.clip(nll + shared[windows] + own[windows] + base, 0.02, 6)
        logprobs = np.repeat(np.log((1 - np.exp(observed)) / 3)[:, None], 4, axis=1)
        logprobs[np.arange(len(codes)), codes] = observed
        return logprobs

    return predict


def random_genome(length: int, seed: int = 7) -> np.ndarray:
    """ASCII bases; the next base depends on the one before it."""
    generator = np.random.default_rng(seed)
    follows = generator.dirichlet(np.full(4, 1.5), 4).cumsum(axis=1)
    draws = generator.random(length)
    codes = np.zeros(length, np.uint8)
    for place in range(1, length):
        codes[place] = np.searchsorted(follows[codes[place - 1]], draws[place])
    return LETTERS[np.minimum(codes, 3)]


def build_run(
    folder: Path,
    base: Predictor | None = uniform,
    adapted: Predictor | None = None,
    *,
    windows: int = 24,
    length: int = 200,
    trained: bool = True,
    generated: bool = True,
    gates: tuple[dict[str, object], ...] = (),
    name: str = "toy",
    seqid: str = "toy",
    split: str = "test",
    method: str = "lora",
    evaluation: EvaluationConfig | None = None,
) -> Path:
    """Write a run folder as the stages before `evaluate` publish it."""
    genome = random_genome(20_000 + windows * length)
    genome[:2000] |= 0x20
    # A third of each test window is a repeat.
    genome[20_000:][np.arange(windows * length) % length >= length - length // 3] |= 0x20
    scored = genome[20_000:]
    config = Config(
        genome=GenomeConfig(name=name, fasta="data/demo/turtle.fa.gz", organism="Testudo exempli"),
        windows=WindowsConfig(length=length),
        model=ModelConfig(name="tiny", architecture="tiny", checkpoint="data/tiny.safetensors", context_length=1024),
        backend=BackendConfig(name="local"),
        train=TrainConfig(method=method, context_length=512, steps=200, learning_rate=1e-3),
        evaluation=evaluation or EvaluationConfig(bootstrap_samples=500, markov_max_order=4),
        run_name=f"{name}-tiny-lora",
    )
    config.predict.split = split
    _write_prepare(folder / "prepare", genome, seqid)
    write_classes(folder / "prepare" / "classes.npy", genome, length)
    write_genes(folder / "prepare", seqid, windows, length)
    (folder / "preprocess").mkdir()
    (folder / "convert").mkdir()
    (folder / "predict").mkdir()
    index = pd.DataFrame(
        {
            "sequence_id": [f"{seqid}:{20_000 + length * r}-{20_000 + length * (r + 1)}(+)" for r in range(windows)],
            "seqid": seqid,
            "start": 20_000 + length * np.arange(windows),
            "end": 20_000 + length * np.arange(1, windows + 1),
            "strand": "+",
            "length": length,
        }
    )
    for model, predictor in (("base", base), ("adapted", adapted)):
        if predictor is not None:
            write_predictions(folder / "predict" / model, index, scored, predictor)
    stages = ["prepare", "preprocess", "convert", "predict"]
    if trained:
        (folder / "train").mkdir()
        _metrics().to_parquet(folder / "train" / "metrics.parquet", index=False)
        stages.append("train")
    if generated:
        (folder / "infer").mkdir()
        models = [model for model, predictor in (("base", base), ("adapted", adapted)) if predictor]
        _generations(scored, models).to_parquet(folder / "infer" / "generations.parquet", index=False)
        stages.append("infer")
    for stage in stages:
        write_json(
            folder / stage / "manifest.json",
            {
                "stage": stage,
                "status": "done",
                "run_name": config.run_name,
                "fingerprint": _fingerprint(stage),
                "identity": {"stages": {name: _fingerprint(name) for name in _READS[stage] if name in stages}},
                "config": asdict(config),
                "counts": _COUNTS.get(stage, {}),
                "gates": [dict(gate) for gate in gates] if stage == "predict" else [],
                "timings": {"started": "2030-01-01T12:00:00+00:00", "seconds": 75.0},
                "versions": {"python": "3.12.0", "torch": "2.13.0"},
                "host": {"system": "Linux", "machine": "x86_64", "cores": 2},
                "accelerator": "cpu",
                "commands": [],
            },
        )
    return folder


def _fingerprint(stage: str) -> str:
    return f"fingerprint of {stage}"


def write_predictions(folder: Path, index: pd.DataFrame, bases: np.ndarray, predictor: Predictor) -> None:
    """Per-base predictions; like a model without a begin token, none for the first base of a window."""
    folder.mkdir(parents=True)
    codes = np.searchsorted(LETTERS, np.where(np.isin(bases & 0xDF, LETTERS), bases & 0xDF, ord("A")))
    lengths = (index["end"] - index["start"]).to_numpy()
    logprobs = predictor(codes, np.repeat(np.arange(len(index)), lengths))
    writer = PerBaseWriter(folder, index)
    rows = []
    for row, (offset, length) in enumerate(zip(np.cumsum(lengths) - lengths, lengths, strict=True)):
        part = logprobs[offset : offset + length].copy()
        part[0] = np.nan
        writer.write(row, part, bases[offset : offset + length])
        observed = part[np.arange(length), codes[offset : offset + length]]
        rows.append((index["sequence_id"][row], length - 1, np.nansum(observed), np.nanmean(observed), 1e-4))
    writer.close()
    table = pd.DataFrame(rows, columns=["sequence_id", "n", "sum", "mean", "outside_acgt"])
    table.to_parquet(folder / "scores.parquet", index=False)


def write_classes(path: Path, genome: np.ndarray, length: int) -> None:
    """The class track of `build_run`: the first third of each test window codes, forwards; then there is an intron."""
    classes = (genome >= ord("a")).astype(np.uint8) * BASE_CLASSES.index("repeat")
    place = (np.arange(len(genome)) - 20_000) % length
    tested = np.arange(len(genome)) >= 20_000
    classes[tested & (place < 2 * (length // 3))] = BASE_CLASSES.index("intron")
    coding = tested & (place < length // 3)
    classes[coding] = BASE_CLASSES.index("cds_0") + place[coding] % 3
    np.save(path, classes)


def write_genes(folder: Path, seqid: str, windows: int, length: int) -> None:
    """A gene in each test window, as its classes have it: its coding part, an intron, and an exon up to its end."""
    rows, sites = [], []
    for number in range(windows):
        start, third = 20_000 + number * length, length // 3
        for kind, first, last, phase, name, parent in (
            ("gene", 0, length, None, f"g{number}", None),
            ("mRNA", 0, length, None, f"t{number}", f"g{number}"),
            ("exon", 0, third, None, None, f"t{number}"),
            ("exon", 2 * third, length, None, None, f"t{number}"),
            ("CDS", 0, third, 0, f"c{number}", f"t{number}"),
        ):
            rows.append((seqid, kind, start + first, start + last, phase, name, parent))
        for kind, place in (("start_codon", 0), ("donor", third), ("acceptor", 2 * third - 1)):
            sites.append((kind, seqid, start + place, "+"))
    table = pd.DataFrame(rows, columns=["seqid", "type", "start", "end", "phase", "id", "parent"])
    empty = dict.fromkeys(("name", "part", "transl_table", "exception", "circular", "score"))
    table = table.assign(source="made up", strand="+", attributes="", **empty)
    whole = {"phase": "Int8", "part": "Int16", "transl_table": "Int8", "circular": "boolean", "score": float}
    text = dict.fromkeys(("id", "parent", "name", "exception"), "string")
    table.astype(whole | text).to_parquet(folder / "annotation.parquet", index=False)
    pd.DataFrame(sites, columns=["kind", "seqid", "position", "strand"]).to_parquet(
        folder / "sites.parquet", index=False
    )


def _write_prepare(folder: Path, genome: np.ndarray, seqid: str) -> None:
    folder.mkdir(parents=True)
    header = f">{seqid}\n".encode()
    (folder / "genome.fa").write_bytes(header + genome.tobytes() + b"\n")
    (folder / "genome.fa.fai").write_text(f"{seqid}\t{len(genome)}\t{len(header)}\t{len(genome)}\t{len(genome) + 1}\n")
    sequences = pd.DataFrame({"seqid": [seqid], "length": len(genome), "group": seqid, "haplotype": ""})
    regions = [(seqid, 0, 15_000, "train"), (seqid, 16_000, 20_000, "val"), (seqid, 20_000, len(genome), "test")]
    write_preparation(folder, sequences, regions, dropped={"purge": 1_000}, bins=40)


def write_preparation(
    folder: Path,
    sequences: pd.DataFrame,
    regions: list[tuple[str, int, int, str]],
    *,
    dropped: dict[str, int],
    bins: int = 400,
    homology: list[tuple[str, str, int, float, str, str, str]] | None = None,
    copies: float = 0.0,
    naive_copies: float = 0.9,
    window: int = 1000,
    audit: bool = True,
) -> Path:
    """Write what the prepare stage says about a genome: a random one, with the given sequences and regions.

    Parameters
    ----------
    sequences : DataFrame
        seqid, length, group, haplotype; an unplaced sequence has no group.
    regions : list of tuple
        seqid, start, end, split.
    dropped : dict
        Bases left out by reason; those of unplaced sequences are added, and the rest counts as runs of N.
    copies, naive_copies : float
        Share of the windows of val and test with a near copy in train; and of the random split.
    """
    generator = np.random.default_rng(5)
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-int(sequences["length"].max()) // bins)
    tables = []
    for seqid, length in sequences[["seqid", "length"]].itertuples(index=False):
        start = np.arange(0, length, size)
        along = np.abs(start / length - 0.5) * 2
        density = pd.DataFrame({"seqid": seqid, "start": start, "end": np.minimum(start + size, length), "n": 0})
        if length > 50 * size:
            density.loc[[12, 13], "n"] = [size, size // 2]
        share = np.clip(0.85 - 0.6 * along + generator.normal(0, 0.05, len(start)), 0, 1)
        density["soft_masked"] = (share * (density["end"] - density["start"] - density["n"])).astype(int)
        density["genes"] = generator.poisson(1 + 9 * along**2)
        tables.append(density)
    density = pd.concat(tables, ignore_index=True)
    sums = density.groupby("seqid")[["n", "soft_masked", "genes"]].sum()
    split = pd.DataFrame(regions, columns=["seqid", "start", "end", "split"])
    group = dict(zip(sequences["seqid"], sequences["group"], strict=True))
    of_sequence = sums.loc[sequences["seqid"]]
    sequences = sequences.assign(
        gc=0.43,
        n_bases=of_sequence["n"].to_numpy(),
        soft_masked=of_sequence["soft_masked"].to_numpy(),
        placed=sequences["group"] != "",
        own_group=sequences["group"],
        named_group=sequences["group"],
        subgenome="",
        circular=len(sequences) == 1,
        genes=of_sequence["genes"].to_numpy(),
    )
    sequences.to_parquet(folder / "sequences.parquet", index=False)
    density.to_parquet(folder / "density.parquet", index=False)
    split.assign(group=split["seqid"].map(group)).to_parquet(folder / "split.parquet", index=False)
    columns = ["seqid_a", "seqid_b", "shared_kmers", "containment", "group_a", "group_b", "finding"]
    pd.DataFrame(homology or [], columns=columns).to_parquet(folder / "homology.parquet", index=False)
    kept = {name: int((part["end"] - part["start"]).sum()) for name, part in split.groupby("split")}
    unplaced = int(sequences.loc[~sequences["placed"], "length"].sum())
    total = int(sequences["length"].sum())
    rest = total - sum(kept.values()) - sum(dropped.values()) - unplaced
    accounting = {
        "total_bases": total,
        "kept": {name: kept.get(name, 0) for name in ("train", "val", "test")},
        "dropped": {**dropped, "unplaced": unplaced, "n_run": rest},
    }
    write_json(folder / "accounting.json", accounting)
    sets = {
        "tiling": {
            "kind": "tiling",
            "windows": {name: bases // window for name, bases in kept.items()},
            "bases": kept,
            "dropped": {"short": 12, "removed_copies": 0},
            "mean_weight": dict.fromkeys(kept, 0.4),
        }
    }
    write_json(folder / "windows.json", sets)
    write_json(folder / "summary.json", {"warnings": []})
    write_json(folder / "annotation.json", {"genes": 40, "share_with_internal_stop": 0.01, "warnings": []})
    if audit:
        _write_audit(folder, split, generator, copies, naive_copies, window)
    return folder


def _write_audit(
    folder: Path, split: pd.DataFrame, generator: np.random.Generator, copies: float, naive_copies: float, window: int
) -> None:
    train = split[split["split"] == "train"].iloc[0]
    held = split[split["split"] != "train"]
    starts = [np.arange(start, end - window + 1, window) for start, end in zip(held["start"], held["end"], strict=True)]
    audit = held.loc[held.index.repeat([len(part) for part in starts]), ["seqid", "split"]].reset_index(drop=True)
    audit["start"] = np.concatenate(starts)
    audit["end"] = audit["start"] + window
    audit.insert(0, "sequence_id", [f"{row.seqid}:{row.start}-{row.end}(+)" for row in audit.itertuples()])
    audit["kmers"] = 20
    # Runs of windows with a copy, as a translocated segment leaves.
    is_copy = np.arange(len(audit)) % 100 < round(100 * copies)
    audit["containment"] = np.where(is_copy, generator.uniform(0.7, 1, len(audit)), generator.beta(0.6, 12, len(audit)))
    audit["in_train"] = np.clip(audit["containment"] + generator.beta(2, 8, len(audit)), 0, 1)
    audit["train_seqid"] = pd.Series(np.where(is_copy, train["seqid"], None), dtype=object)
    audit["train_start"] = np.where(is_copy, train["start"] + audit.index % 100 * window, -1)
    audit["train_end"] = np.where(is_copy, audit["train_start"] + 2 * window, -1)
    audit["train_strand"] = pd.Series(np.where(is_copy, "-", None), dtype=object)
    audit["excluded"] = audit["containment"] > 0.5
    audit.to_parquet(folder / "leakage.parquet", index=False)
    near = generator.random(2000) < naive_copies
    containment = np.where(near, generator.beta(14, 4, 2000), generator.beta(0.6, 12, 2000))
    naive = pd.DataFrame({"split": np.where(np.arange(2000) % 2, "val", "test"), "containment": containment})
    naive["in_train"] = np.clip(containment + generator.beta(1, 12, 2000), 0, 1)
    naive.to_parquet(folder / "naive.parquet", index=False)
    excluded = {
        name: {"windows": int(part["excluded"].sum()), "bases": int(part["excluded"].sum()) * window}
        for name, part in ((name, audit[audit["split"] == name]) for name in ("val", "test"))
    }
    write_json(
        folder / "leakage.json",
        {"k": 31, "scaled": 50, "window": window, "threshold": 0.5, "excluded": excluded},
    )


def polyploid_karyotype(groups: int = 10, haplotypes: int = 8, scaffolds: int = 300) -> pd.DataFrame:
    """Homologs of somewhat different lengths, and unplaced scaffolds."""
    generator = np.random.default_rng(1)
    rows = [
        (f"Chr{group}{chr(64 + haplotype)}", int((120 * 0.94**group + generator.normal(0, 2)) * 1e6), str(group))
        for group in range(1, groups + 1)
        for haplotype in range(1, haplotypes + 1)
    ]
    rows += [(f"scaffold_{number}", int(generator.uniform(2e4, 2e6)), "") for number in range(scaffolds)]
    table = pd.DataFrame(rows, columns=["seqid", "length", "group"])
    return table.assign(haplotype=np.where(table["group"] == "", "", table["seqid"].str[-1]))


def whole_groups(sequences: pd.DataFrame, val: str, test: str) -> list[tuple[str, int, int, str]]:
    """Regions of a split by homolog groups, without the gap that `write_preparation` puts into long sequences."""
    split_of = {val: "val", test: "test"}
    regions = []
    step = -(-int(sequences["length"].max()) // 400)
    for seqid, length, group in sequences.loc[sequences["group"] != "", ["seqid", "length", "group"]].itertuples(
        index=False
    ):
        name = split_of.get(group, "train")
        regions += [(seqid, 0, 12 * step, name), (seqid, 14 * step, length, name)]
    return regions


def blocks(seqid: str, length: int, size: int, purge: int) -> list[tuple[str, int, int, str]]:
    """Regions of a split by blocks, with a gap at each border between splits."""
    names = np.random.default_rng(2).choice(["train", "val", "test"], -(-length // size), p=[0.7, 0.15, 0.15])
    regions = []
    for number, name in enumerate(names):
        ends_run = number + 1 < len(names) and names[number + 1] != name
        end = min((number + 1) * size, length) - purge * ends_run
        regions.append((seqid, number * size, end, str(name)))
    return regions


def _metrics() -> pd.DataFrame:
    rows = []
    for step in range(1, 201):
        rows.append((step, step * 4096, "train_loss", 1.2 + 0.2 * np.exp(-step / 60) + 0.03 * np.sin(step * 1.7)))
        if step % 25 == 0:
            rows.append((step, step * 4096, "val_loss", 1.22 + 0.18 * np.exp(-step / 60)))
            rows.append((step, step * 4096, "val_loss_nonrepeat", 1.2 + 0.18 * np.exp(-step / 60)))
    return pd.DataFrame(rows, columns=["step", "bases_seen", "name", "value"])


def _generations(scored: np.ndarray, models: list[str]) -> pd.DataFrame:
    generator = np.random.default_rng(3)
    rows = []
    for model in models:
        weights = [0.25] * 4 if model == "base" else [0.3, 0.2, 0.2, 0.3]
        for prompt in range(4):
            start = prompt * 400 % max(len(scored) - 400, 1)
            for sample in range(3):
                size = 300 if sample else 280
                sequence = LETTERS[generator.choice(4, size, p=weights)].tobytes().decode()
                truth = scored[start + 100 : start + 400].tobytes().decode() if prompt < 3 else None
                prompt_text = scored[start : start + 100].tobytes().decode()
                rows.append(
                    (
                        f"p{prompt}",
                        model,
                        sample,
                        prompt_text,
                        sequence,
                        truth,
                        -1.0 - 0.2 * prompt,
                        -400.0,
                        -1.33,
                        prompt,
                    )
                )
    columns = ["prompt_id", "model", "sample", "prompt", "sequence", "truth", "first_logprob"]
    columns += ["logprob_sum", "logprob_mean", "seed"]
    return pd.DataFrame(rows, columns=columns).assign(kind="window")


@pytest.fixture(scope="session")
def improved_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapted model explains 0.05 nats per base more than the base model."""
    return build_run(tmp_path_factory.mktemp("improved"), noisy(1.25, seed=11), noisy(1.20, seed=12))


@pytest.fixture
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds a run folder with the options of `build_run`."""

    def make(**options: Any) -> Path:
        return build_run(tmp_path_factory.mktemp("run"), **options)

    return make


@pytest.fixture
def predictors() -> dict[str, Predictor]:
    """Models with a known answer."""
    return {"uniform": uniform, "certain": certain, "confident": confident(0.4), "noisy": noisy(1.2, seed=4)}


@pytest.fixture(scope="session")
def write_polyploid() -> Callable[..., Path]:
    """Writes the preparation of 10 groups of 8 homologs, group 4 in val and group 7 in test."""

    def write(folder: Path, **options: Any) -> Path:
        sequences = polyploid_karyotype(scaffolds=3)
        regions = whole_groups(sequences, val="4", test="7")
        return write_preparation(folder, sequences, regions, dropped={"short": 1200}, window=100_000, **options)

    return write


@pytest.fixture(scope="session")
def write_plastid() -> Callable[..., Path]:
    """Writes the preparation of one circular sequence that was divided in blocks."""

    def write(folder: Path, seqid: str = "NC_000932.1", **options: Any) -> Path:
        sequences = pd.DataFrame({"seqid": [seqid], "length": 154_478, "group": seqid, "haplotype": ""})
        regions = blocks(seqid, 154_478, 7_700, 1000)
        return write_preparation(folder, sequences, regions, dropped={"purge": 6000}, **options)

    return write
