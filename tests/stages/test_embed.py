"""The stage `embed`: what any backend, any number of shards and any interruption leave is the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.stages.conftest import Configure
from workflow.artifacts import read_json
from workflow.config import Config, EmbedConfig
from workflow.errors import GateError, InputError
from workflow.gates import GateLog
from workflow.pipeline import Run
from workflow.sharding import ShardStore
from workflow.stages import embed as stage
from workflow.stages.context import StageContext
from workflow.stages.embed import embed, embed_shard, forecast, remove_shards
from workflow.striped_hyena import load_checkpoint
from workflow.striped_hyena.embedding import embed_sequences

FINGERPRINT = "0123456789abcdef"
LENGTHS = (20, 150, 33, 150, 41, 700, 20, 90, 64, 33, 128, 12)


@pytest.fixture(scope="module")
def converted(configure: Configure) -> Path:
    """A run with the tiny model; its folder."""
    config = configure("stage=convert", "train=none", "run_name=embedding")
    Run(config).execute()
    return Path(config.runs_folder) / config.run_name


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reads") / "reads.fa"
    path.write_text("".join(f">read{n}\n{bases.tobytes().decode()}\n" for n, bases in enumerate(sequences())))
    return path


@pytest.fixture
def run(converted: Path, tmp_path: Path) -> Path:
    """A run folder of one's own with the model."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "convert").symlink_to(converted / "convert")
    return tmp_path / "run"


def sequences() -> list[np.ndarray]:
    letters, random = np.frombuffer(b"ACGT", np.uint8), np.random.default_rng(0)
    return [letters[random.integers(4, size=length)] for length in LENGTHS]


def context(config: Config, run: Path) -> StageContext:
    out = run.parent / f"out{len(list(run.parent.glob('out*')))}"
    out.mkdir()
    return StageContext(config, out, run, GateLog(asdict(config.gates)), run / "logs", fingerprint=FINGERPRINT)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def settings(configure: Configure, reads: Path) -> Any:
    """A configuration with overrides, of which those of `embed` are put in place without composing it anew."""
    given = {"input": str(reads), "batch_tokens": 500, "chunk": 300, "layers": [1, -1]}
    composed = cache(lambda *others: configure("train=none", *others))

    def make(*overrides: str) -> Config:
        config = composed(*(text for text in overrides if not text.startswith("embed.")))
        own = [text.removeprefix("embed.").split("=", 1) for text in overrides if text.startswith("embed.")]
        return replace(config, embed=EmbedConfig(**(given | {key: yaml.safe_load(value) for key, value in own})))

    return make


def test_files_hold_what_the_engine_gives(settings: Any, run: Path) -> None:
    here = context(settings(), run)
    counts = embed(here)
    model = load_checkpoint(run / "convert" / "model.safetensors").float()
    engine = {"layers": [1, 6], "pooling": "both_strands", "batch_tokens": 10_000, "chunk": 300, "overlap": 75}
    expected = np.stack(list(embed_sequences(model, sequences(), **engine)))
    found = np.load(here.out / "embeddings.npy", allow_pickle=False)
    assert found.shape == (12, 2, 224) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    index = pd.read_parquet(here.out / "index.parquet")
    assert index["sequence_id"].tolist() == [f"read{n}" for n in range(12)]
    assert index["length"].tolist() == list(LENGTHS)
    assert index["place"].tolist()[:2] == ["reads.fa, line 1", "reads.fa, line 3"]
    told = read_json(here.out / "embeddings.json")
    assert told["layers"] == [{"number": 1, "name": "blocks.1"}, {"number": 6, "name": "blocks.6"}]
    assert (told["pooling"], told["width"], told["dimensions"], told["dtype"]) == ("both_strands", 112, 224, "float32")
    assert (told["model"], told["precision"], told["chunk"], told["overlap"]) == ("base", "fp32", 300, 75)
    assert (counts["sequences"], counts["bases"]) == (12, sum(LENGTHS))
    assert counts["bases_read_per_second"] > counts["sequences_per_second"] > 0  # type: ignore[operator]


@pytest.mark.parametrize("pooling", ["both_strands", "all", "mean"])
def test_shards_are_equal_bit_for_bit(settings: Any, run: Path, pooling: str) -> None:
    whole = context(settings(f"embed.pooling={pooling}"), run)
    embed(whole)
    remove_shards(run)
    parts = context(settings(f"embed.pooling={pooling}", "embed.shards=3"), run)
    for number in (2, 0):
        embed_shard(context(settings(f"embed.pooling={pooling}", "embed.shards=3", f"embed.shard={number}"), run))
    embed(parts)
    assert files(parts.out) == files(whole.out)
    if pooling == "all":
        index = pd.read_parquet(whole.out / "index.parquet")
        shape = np.load(whole.out / "embeddings.npy", mmap_mode="r", allow_pickle=False).shape
        assert shape == (sum(LENGTHS), 2, 112)
        assert (index["offset"] + index["length"]).tolist() == np.cumsum(LENGTHS).tolist()


def test_an_interrupted_run_goes_on(settings: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made is neither made again nor read again, and the result is that of a run that was not interrupted."""
    whole = context(settings(), run)
    embed(whole)
    remove_shards(run)
    monkeypatch.setattr(stage, "_BASES_OF_PART", 400)
    write, made = stage._write, list[int]()

    def interrupted(*given: Any) -> Any:
        inner = write(*given)

        def begin(backend: Any, shard: Any, out: Path) -> None:
            if len(made) == 2:
                made.append(-1)
                raise KeyboardInterrupt
            made.append(shard.number)
            inner(backend, shard, out)

        return begin

    monkeypatch.setattr(stage, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embed(context(settings(), run))
    monkeypatch.setattr("workflow.stages.embed_sequences.read_sequences", None)
    after = context(settings(), run)
    counts = embed(after)
    assert made[2] == -1 and len(made) > 3 and not set(made[:2]) & set(made[3:])
    assert files(after.out) == files(whole.out)
    assert counts["sequences"] == 12
    # Once all is there, nothing is computed, and no speed is told.
    assert "bases_read_per_second" not in embed(context(settings(), run))


def test_a_crew_of_processes(settings: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What each of two processes does; that they are started is a matter of `run_crew`."""
    whole = context(settings(), run)
    embed(whole)
    remove_shards(run)

    def in_turn(work: Any, given: Any, environments: list[Any], report: Any) -> None:
        assert len(environments) == 2
        for _ in environments:
            work(report, *given)

    monkeypatch.setattr(stage, "run_crew", in_turn)
    together = context(settings("parallel.devices=2", "backend.device=cpu"), run)
    embed(together)
    assert files(together.out) == files(whole.out)
    assert len(list((run / "embed.shards").glob("*/embeddings-*-of-2/embeddings.npy"))) == 2


def test_float16_and_what_does_not_fit_into_it(settings: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    single, half = context(settings(), run), context(settings("embed.dtype=float16"), run)
    embed(single)
    remove_shards(run)
    embed(half)
    found = np.load(half.out / "embeddings.npy", allow_pickle=False)
    assert found.dtype == np.float16
    expected = np.load(single.out / "embeddings.npy", allow_pickle=False)
    np.testing.assert_array_equal(found, expected.astype(np.float16))
    remove_shards(run)
    for value, fault in (
        (70_000.0, r"sequence read3 \(reads\.fa, line 7\) has hidden states up to 7e\+04, float16 ends at 65,504"),
        (np.nan, "not finite"),
    ):

        def states(*_: Any, value: float = value) -> Iterator[np.ndarray]:
            yield from np.array([1.0, 2.0, -3.0, -value, *range(8)])[:, None, None, None] * np.ones((1, 2, 224))

        monkeypatch.setattr("workflow.backends.local.LocalBackend.embed", states)
        with pytest.raises(InputError, match=fault):
            embed(context(settings("embed.dtype=float16"), run))


def test_no_speed_is_told_of_what_others_made(settings: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = ShardStore.make

    def after_others(self: ShardStore, *given: Any, **options: Any) -> None:
        monkeypatch.setattr(ShardStore, "make", make)
        embed_shard(context(settings("embed.shards=2", "embed.shard=1"), run))
        make(self, *given, **options)

    monkeypatch.setattr(ShardStore, "make", after_others)
    counts = embed(context(settings("embed.shards=2"), run))
    assert counts["sequences"] == len(LENGTHS) and "sequences_per_second" not in counts
    remove_shards(run)
    assert "sequences_per_second" in embed(context(settings("embed.shards=2"), run))


def test_windows_of_a_run(settings: Any, converted: Path, tmp_path: Path) -> None:
    windows = tmp_path / "run" / "prepare" / "windows"
    windows.mkdir(parents=True)
    (tmp_path / "run" / "convert").symlink_to(converted / "convert")
    (windows / "tiling.fa").write_text(">a:0-8(+)\nacgtRYAC\n>b:0-4(-)\nTTGA\n")
    (windows / "tiling.fa.fai").write_text("a:0-8(+)\t8\t10\t8\t9\nb:0-4(-)\t4\t29\t4\t5\n")
    table = pd.DataFrame({"sequence_id": ["a:0-8(+)", "b:0-4(-)"], "split": ["test", "val"]})
    table.to_parquet(windows / "tiling.parquet")
    given = ("embed.input=null", "embed.windows=tiling", "embed.pooling=all", "embed.layers=0")
    here = context(settings(*given, "embed.split=test"), tmp_path / "run")
    embed(here)
    index = pd.read_parquet(here.out / "index.parquet")
    assert index[["sequence_id", "place"]].iloc[0].tolist() == ["a:0-8(+)", "tiling.fa, a:0-8(+)"]
    model = load_checkpoint(tmp_path / "run" / "convert" / "model.safetensors").float()
    engine = {"layers": [0], "pooling": "all", "batch_tokens": 100, "chunk": 100, "overlap": 0}
    (expected,) = embed_sequences(model, [np.frombuffer(b"ACGTNNAC", np.uint8)], **engine)  # type: ignore[arg-type]
    np.testing.assert_allclose(np.load(here.out / "embeddings.npy")[:, 0], expected[0], atol=1e-5)
    remove_shards(here.run)
    for more, fault in (
        (("embed.split=train",), "the split train has no tiling windows"),
        (("embed.split=tests",), r"embed\.split=tests is no split: use one of train, val, test"),
        (("embed.windows=genes",), r"embed\.windows=genes is no set of windows; there are tiling"),
    ):
        with pytest.raises(InputError, match=fault):
            embed(context(settings(*given, *more), tmp_path / "run"))


def test_a_probe_of_a_table(settings: Any, run: Path, tmp_path: Path) -> None:
    """Which of two bases stands in the middle is known to the first layer at the last token."""
    random = np.random.default_rng(3)
    rows = ["".join(random.choice(list("ACGT"), 12)) + random.choice(["C", "G"]) for _ in range(60)]
    (tmp_path / "x.csv").write_text("dna,ends\n" + "".join(f"{row},{row[-1]}\n" for row in rows))
    given = (f"embed.input={tmp_path / 'x.csv'}", "embed.sequence_column=dna", "embed.pooling=last")
    here = context(settings(*given, "embed.probe=ends", "embed.layers=[0,2]"), run)
    counts = embed(here)
    found = pd.read_csv(here.out / "probe.csv").set_index("source")
    assert list(found.index) == ["k-mers 1-4", "majority", "layer 0", "layer 2"]
    assert found.at["layer 0", "mean"] > 0.95 > found.at["k-mers 1-4", "mean"]
    assert str(counts["probe"]).startswith("layer 0 of 0..2: balanced accuracy")
    with pytest.raises(InputError, match=r"x\.csv has no column end; it has dna, ends: choose one with embed\.probe"):
        embed(context(settings(*given, "embed.probe=end"), run))


def test_refusals_come_before_the_work(settings: Any, run: Path) -> None:
    for more, fault in (
        (("embed.layers=7",), r"embed\.layers=7: there is no such layer; give 0 to 6"),
        (
            ("embed.position=13",),
            r"embed\.position=13 lies beyond sequence read11 \(reads\.fa, line 23\), which has 12 bases",
        ),
        (("embed.overlap=300",), r"embed\.overlap=300 leaves nothing of embed\.chunk=300"),
        (("backend.keep_raw=true",), r"backend\.keep_raw=true"),
        (("embed.probe=label",), r"embed\.probe=label is a column of a table, and .*reads\.fa is none"),
        (("embed.model=base", "train=scratch"), r"with train=scratch there is no base model"),
    ):
        with pytest.raises(InputError, match=fault):
            embed(context(settings(*more), run))
    with pytest.raises(GateError, match="read together"):
        embed(context(settings("embed.chunk=600", "model.context_length=512"), run))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"windows": "tiling"}, "embed.input and embed.windows are both given"),
        ({"split": "test"}, "embed.split=test is of embed.windows=SET"),
        ({"chunk": 0}, "embed.chunk=0 must be positive"),
        ({"overlap": -1}, "embed.overlap=-1 must not be negative"),
        ({"shard": 0}, "embed.shard=0 is a part of how many? Give embed.shards=N"),
        ({"shard": 2, "shards": 2}, "embed.shard=2 is none of embed.shards=2: they count from 0 to 1"),
        ({"pooling": "cls"}, "embed.pooling=cls is not a choice"),
        ({"dtype": "int8"}, "embed.dtype=int8 is not a choice"),
        ({"position": 3, "pooling": "mean"}, "embed.position=3 is of embed.pooling=both_strands"),
        ({"probe": "x", "pooling": "all"}, "embed.probe needs one vector a sequence"),
        ({"probe": "x", "input": None}, "embed.probe=x is a column of a table"),
    ],
)
def test_settings_that_make_no_sense(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError, match=re.escape(fault)):
        EmbedConfig(**({"input": "reads.fa"} | given))


def test_a_dry_run_tells_what_would_be_done(settings: Any, reads: Path) -> None:
    told = "\n".join(forecast(settings("embed.pooling=all", "embed.dtype=float16")))
    assert f"embeds {reads} with the base model: layers 1, 6 of 0..6, pooling all, 112 numbers of float16" in told
    assert "at most 300 bases together; longer sequences in stretches with 75 bases of context" in told


def test_bad_input_leaves_what_was_there(settings: Any, converted: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.fq"
    bad.write_text("@a\nACGT\n+\nIII\n")
    config = settings(f"runs_folder={converted.parent}", "run_name=embedding", f"embed.input={bad}")
    with pytest.raises(InputError, match=r"bad\.fq, line 4: record a has 3 qualities for 4 bases"):
        Run(replace(config, stage="embed")).execute()
    assert not (converted / "embed").exists() and (converted / "convert" / "model.safetensors").exists()
