import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workflow
from tests.server import Server, serving
from workflow.artifacts import MANIFEST, describe_file, fingerprint, read_json, read_manifest, run_lock, write_json
from workflow.config import (
    STAGES,
    Config,
    ElementsConfig,
    ExperimentConfig,
    GatesConfig,
    InferConfig,
    LoraConfig,
    SplitConfig,
    VariantsConfig,
    WindowsConfig,
)
from workflow.dry_run import describe
from workflow.errors import GateError, InputError
from workflow.pipeline import PIPELINE, Run
from workflow.stages.context import StageContext
from workflow.stages.download import download

ROOT = Path(__file__).parent.parent.parent
PHIX = ROOT / "data" / "demo" / "phix174_NC_001422.1.fa"
UNCHANGED = "done with the same settings and inputs"


def use_real_download() -> None:
    """Takes the stand-in out of the place of `download`."""
    PIPELINE["download"] = replace(PIPELINE["download"], run=download)


def run(config: Config, **changes: Any) -> Path:
    """Run with some settings changed; the run folder."""
    run = Run(replace(config, **changes))
    run.execute()
    return run.folder


def reasons(config: Config, **changes: Any) -> dict[str, str]:
    """Why each stage would run; `UNCHANGED` when it would be skipped."""
    steps = Run(replace(config, **changes)).plan()
    assert all(step.skip == (step.reason == UNCHANGED) for step in steps)
    return {step.stage.name: step.reason for step in steps}


def tree(folder: Path) -> dict[str, bytes]:
    """Files of the stages; what is told of the run beside them changes with each start."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    told = ("failed.json", "run.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name not in told}


def stages_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def manifests(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(folder).items() if name.endswith(MANIFEST)}


# ---------------------------------------------------------------- real stages


def test_stages_are_published_and_then_skipped(settings: Config, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run(settings)
    assert folder == Path(settings.runs_folder) / "demo"
    printed = capsys.readouterr().out
    assert "prepare: not done yet\nprepare: done in" in printed
    assert "  bases                         5,386" in printed
    assert stages_in(folder) == ["download", "prepare", "preprocess"]
    before = tree(folder)
    run(settings)
    assert tree(folder) == before
    assert capsys.readouterr().out.splitlines() == [
        f"download: skipped, {UNCHANGED}",
        f"prepare: skipped, {UNCHANGED}",
        f"preprocess: skipped, {UNCHANGED}",
    ]


def test_manifest(settings: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "genome.name=a b", "hub_token=hunter2"])
    folder = run(settings) / "prepare"
    manifest = read_manifest(folder)
    assert (manifest["stage"], manifest["status"], manifest["run_name"]) == ("prepare", "done", "demo")
    assert manifest["config"] == asdict(settings)
    assert manifest["fingerprint"] == fingerprint(manifest["identity"])
    assert manifest["inputs"] == [describe_file(Path(settings.genome.fasta))]
    assert manifest["inputs"][0]["bytes"] == PHIX.stat().st_size
    assert manifest["counts"]["bases"] == 5386
    assert manifest["gates"] and all(gate["passed"] for gate in manifest["gates"])
    outputs = {item["path"]: item["bytes"] for item in manifest["outputs"]}
    assert outputs == {name: len(data) for name, data in tree(folder).items() if name != MANIFEST}
    assert {"genome.fa", "split.parquet", "windows/tiling.parquet", "accounting.json"} <= outputs.keys()
    assert manifest["versions"]["workflow"] == workflow.__version__
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["host"]["cores"] >= 1
    assert manifest["accelerator"]
    (command,) = manifest["commands"]
    assert command.endswith("'genome.name=a b' 'hub_token=***'")
    assert 0 < manifest["timings"]["seconds"] < 60
    assert manifest["timings"]["started"].endswith("+00:00")


def test_manifest_holds_no_secret(settings: Config) -> None:
    source = "https://ana:hunter2@archive.org/x.fa"
    folder = run(settings, genome=replace(settings.genome, source=source), stage="prepare")
    text = (folder / "prepare" / MANIFEST).read_text()
    assert "https://***@archive.org/x.fa" in text
    assert "hunter2" not in text
    assert reasons(settings, genome=replace(settings.genome, source=source)) == {
        "download": UNCHANGED,
        "prepare": UNCHANGED,
        "preprocess": "not done yet",
    }


def test_same_result_from_another_run(settings: Config) -> None:
    one, other = run(settings), run(settings, run_name="other")
    files = {name: data for name, data in tree(one).items() if not name.endswith((MANIFEST, ".yaml"))}
    assert len(files) > 10
    assert files == {name: data for name, data in tree(other).items() if name in files}


def test_fault_of_a_stage_leaves_nothing_half_written(settings: Config) -> None:
    Path(settings.genome.fasta).write_text(">a\nACGT!\n")
    with pytest.raises(InputError, match=r"genome\.fa, line 2"):
        run(settings)
    assert stages_in(Path(settings.runs_folder, "demo")) == ["download"]


def test_fault_of_a_stage_leaves_what_was_published(settings: Config) -> None:
    folder = run(settings)
    before = tree(folder)
    with pytest.raises(InputError, match=r"split\.method|three are needed"):
        run(settings, split=SplitConfig(method="sequence"))
    assert tree(folder) == before


def test_missing_input(settings: Config) -> None:
    Path(settings.genome.fasta).unlink()
    with pytest.raises(InputError, match=r"genome\.fa does not exist \(the archive\)$"):
        run(settings)
    assert not Path(settings.runs_folder).exists()


# ---------------------------------------------------------------- order


def test_all_stages_run_in_order(settings: Config, ran: list[str]) -> None:
    folder = run(settings, stage="all")
    assert tuple(ran) == STAGES
    assert all((folder / stage / MANIFEST).exists() for stage in STAGES)
    run(settings, stage="all")
    assert tuple(ran) == STAGES


def test_a_stage_runs_after_what_it_reads() -> None:
    for stage in PIPELINE.values():
        assert all(STAGES.index(name) < STAGES.index(stage.name) for name in stage.after)


def test_sections_of_the_pipeline_are_keys_of_the_configuration(settings: Config) -> None:
    for stage in PIPELINE.values():
        for key in stage.sections:
            value: Any = settings
            for part in key.split("."):
                value = getattr(value, part)


def test_earlier_stages_are_published_when_a_later_one_fails(
    settings: Config, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(context: StageContext) -> dict[str, object]:
        (context.out / "half").write_text("x")
        raise InputError("no")

    working = PIPELINE["convert"]
    monkeypatch.setitem(PIPELINE, "convert", replace(working, run=fail))
    with pytest.raises(InputError, match=r"^no$"):
        run(settings, stage="all")
    folder = Path(settings.runs_folder, "demo")
    assert stages_in(folder) == ["download", "prepare", "preprocess"]
    monkeypatch.setitem(PIPELINE, "convert", working)
    run(settings, stage="all")
    assert tuple(ran) == STAGES, "what was done is not done again"


def test_without_training(settings: Config, ran: list[str]) -> None:
    zero_shot = replace(settings, train=replace(settings.train, method="none"), stage="all")
    run(zero_shot)
    assert ran == [stage for stage in STAGES if stage != "train"]
    assert set(reasons(zero_shot).values()) == {UNCHANGED}


def test_from_scratch_reads_no_checkpoint(settings: Config, ran: list[str]) -> None:
    Path(settings.model.checkpoint or "").unlink()
    folder = run(settings, train=replace(settings.train, method="scratch"), stage="convert")
    assert read_manifest(folder / "convert")["inputs"] == []
    with pytest.raises(InputError, match=r"model\.safetensors does not exist"):
        run(settings, stage="convert")


def test_report_includes_generation_only_where_there_is_one(settings: Config, ran: list[str]) -> None:
    without = [stage for stage in STAGES if stage != "infer"]
    run(settings, stage=without)
    assert ran == without
    run(settings, stage="infer")
    assert reasons(settings, stage="evaluate") == {"evaluate": "infer changed"}
    run(settings, stage="evaluate")
    assert ran[-2:] == ["infer", "evaluate"]
    outdated = {"stage": "evaluate", "infer": InferConfig(samples=9)}
    assert reasons(settings, **outdated) == {"evaluate": "infer is no longer part of the run"}


# ---------------------------------------------------------------- the reason to run or skip


def test_nothing_done_yet(settings: Config) -> None:
    assert reasons(settings) == dict.fromkeys(["download", "prepare", "preprocess"], "not done yet")


def test_changed_setting_is_told(settings: Config, ran: list[str]) -> None:
    run(settings)
    assert reasons(settings, windows=WindowsConfig(length=512, min_length=200), seed=1) == {
        "download": UNCHANGED,
        "prepare": "seed was 42, is 1; windows.length was 256, is 512; windows.min_length was 128, is 200",
        "preprocess": "a stage before it runs",
    }
    fractions = {"train": 0.7, "val": 0.2, "test": 0.1}
    assert reasons(settings, stage="prepare", split=SplitConfig(fractions=fractions)) == {
        "download": UNCHANGED,
        "prepare": "split.fractions.train was 0.8, is 0.7; split.fractions.val was 0.1, is 0.2",
    }


@pytest.mark.parametrize(
    ("section", "changed", "first", "unaffected"),
    [
        ("genome", {"unplaced_names": "un.*"}, "prepare", {"download", "convert"}),
        ("split", {"purge": 10}, "prepare", {"download", "convert"}),
        ("model", {"architecture": "other"}, "convert", {"download", "prepare", "preprocess"}),
        ("model", {"name": "other", "source": "x"}, None, set(STAGES)),
        ("train", {"steps": 5}, "train", {"download", "prepare", "preprocess", "convert"}),
        ("train", {"lora": LoraConfig(rank=4)}, "train", {"download", "prepare", "preprocess", "convert"}),
        ("predict", {"batch_tokens": 99}, "predict", set(STAGES) - {"predict", "evaluate"}),
        ("infer", {"samples": 1}, "infer", set(STAGES) - {"infer", "evaluate"}),
        ("evaluation", {"confidence": 0.9}, "classify", set(STAGES) - {"classify", "evaluate"}),
        ("gates", {"adapters_move": "warn"}, None, set(STAGES)),
        ("backend", {"device": "auto"}, None, set(STAGES)),
    ],
)
def test_stages_that_a_setting_concerns(
    settings: Config, ran: list[str], section: str, changed: dict[str, Any], first: str | None, unaffected: set[str]
) -> None:
    run(settings, stage="all")
    told = reasons(settings, stage="all", **{section: replace(getattr(settings, section), **changed)})
    assert {stage for stage, reason in told.items() if reason == UNCHANGED} == unaffected
    if first:
        assert told[first].startswith(f"{section}.{next(iter(changed))}")
    affected = set(STAGES) - unaffected - {first}
    assert all(told[stage] == "a stage before it runs" for stage in affected)


def test_changed_input_file(settings: Config, ran: list[str]) -> None:
    run(settings)
    fasta = Path(settings.genome.fasta)
    os.utime(fasta)
    assert reasons(settings)["prepare"] == UNCHANGED, "touched, and the same as before"
    fasta.write_text(fasta.read_text() + "A\n")
    assert reasons(settings) == {
        "download": "an input file changed",
        "prepare": "an input file changed",
        "preprocess": "a stage before it runs",
    }
    fasta.write_text(PHIX.read_text())
    assert reasons(settings)["prepare"] == UNCHANGED, "changed back"


def test_added_input_file(settings: Config, ran: list[str], tmp_path: Path) -> None:
    run(settings, stage="all")
    (tmp_path / "prompts.fa").write_text(">a\nACGT\n")
    told = reasons(settings, stage="all", infer=InferConfig(prompt_file=str(tmp_path / "prompts.fa")))
    assert told["infer"] == f"infer.prompt_file was None, is {tmp_path / 'prompts.fa'}; an input file changed"
    (tmp_path / "others.vcf").write_text("##fileformat=VCFv4.2\n")
    told = reasons(settings, stage="all", variants=replace(settings.variants, table=str(tmp_path / "others.vcf")))
    assert "an input file changed" in told["variants"]
    assert {name for name, reason in told.items() if reason != UNCHANGED} == {"variants", "evaluate"}


def test_tasks_without_input_are_left_out_of_all(settings: Config, ran: list[str]) -> None:
    run(settings, stage="all", variants=VariantsConfig(), elements=ElementsConfig(), experiment=ExperimentConfig())
    assert ran == [stage for stage in STAGES if stage not in ("variants", "elements", "experiment")]


def test_force_concerns_the_stages_asked_for(settings: Config, ran: list[str]) -> None:
    run(settings)
    assert reasons(settings, force=True) == {
        "download": UNCHANGED,
        "prepare": "force=true",
        "preprocess": "force=true",
    }
    assert reasons(settings, force=True, stage="preprocess") == {"preprocess": "force=true"}
    run(settings, force=True, stage="preprocess")
    assert ran == ["download", "prepare", "preprocess", "preprocess"]


def test_stage_before_it_ran_with_other_settings(settings: Config, ran: list[str]) -> None:
    run(settings)
    changed = replace(settings, windows=WindowsConfig(length=512))
    run(changed, stage="prepare")
    assert reasons(changed) == {"download": UNCHANGED, "prepare": UNCHANGED, "preprocess": "prepare changed"}
    run(changed)
    assert ran == ["download", "prepare", "preprocess", "prepare", "preprocess"]


def test_stage_before_it_ran_again_with_the_same_settings(settings: Config, ran: list[str]) -> None:
    run(settings)
    run(settings, stage="prepare", force=True)
    assert reasons(settings, stage="preprocess") == {"preprocess": UNCHANGED}


def test_training_is_left_out(settings: Config, ran: list[str]) -> None:
    run(settings, stage="all")
    told = reasons(settings, stage="all", train=replace(settings.train, method="none"))
    assert told["convert"] == "done with the same settings and inputs", "the checkpoint is the same"
    assert told["predict"] == "train is no longer part of the run"
    assert "train" not in told
    folder = run(settings, stage="all", train=replace(settings.train, method="none"))
    assert (folder / "train" / MANIFEST).exists(), "days of work of a GPU"


def test_new_format(settings: Config, ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run(settings)
    monkeypatch.setitem(PIPELINE, "prepare", replace(PIPELINE["prepare"], version=99))
    assert reasons(settings)["prepare"] == "the format is now version 99"


def test_setting_that_the_last_version_did_not_have(settings: Config, ran: list[str]) -> None:
    """A new key that is unset changes the fingerprint, and must not be told as `the same settings`."""
    folder = run(settings, stage="prepare") / "prepare"
    manifest = read_manifest(folder)
    del manifest["identity"]["config"]["genome.unplaced_names"]
    write_json(folder / MANIFEST, manifest | {"fingerprint": fingerprint(manifest["identity"])})
    assert "genome.unplaced_names was absent" in reasons(settings, stage="prepare")["prepare"]


def test_damaged_manifest_is_named(settings: Config, ran: list[str]) -> None:
    folder = run(settings)
    (folder / "prepare" / MANIFEST).write_text("{")
    with pytest.raises(InputError, match=r"prepare.manifest\.json, line 1: not valid JSON"):
        run(settings)


# ---------------------------------------------------------------- a stage alone


def test_stage_alone_whose_input_is_missing(settings: Config) -> None:
    with pytest.raises(InputError) as caught:
        run(settings, stage="preprocess")
    folder = Path(settings.runs_folder, "demo")
    assert str(caught.value) == (
        f"stage prepare has to run first in {folder} (not done yet): use stage=[prepare,preprocess]"
    )
    assert not folder.exists()


def test_stage_alone_whose_input_has_other_settings(settings: Config, ran: list[str]) -> None:
    folder = run(settings)
    before = tree(folder)
    with pytest.raises(
        InputError,
        match=r"^stage prepare has to run first in .* \(windows\.length was 256, is 512\): use stage=\[prepare,prep",
    ):
        run(settings, stage="preprocess", windows=WindowsConfig(length=512))
    assert tree(folder) == before


@pytest.mark.parametrize("stage", [stage for stage in STAGES if PIPELINE[stage].after])
def test_advice_of_the_message_works(settings: Config, ran: list[str], stage: str) -> None:
    with pytest.raises(InputError) as caught:
        run(settings, stage=stage)
    advised = str(caught.value).split("use stage=[")[1].rstrip("]").split(",")
    run(settings, stage=advised)
    assert ran == (["download", *advised] if "prepare" in advised else advised)
    assert ran[-1] == stage


def test_stage_alone_whose_input_is_there(settings: Config, ran: list[str]) -> None:
    run(settings, stage="prepare")
    run(settings, stage="preprocess")
    run(settings, stage="convert")
    assert ran == ["download", "prepare", "preprocess", "convert"]


# ---------------------------------------------------------------- lock, dry run


def test_run_folder_is_locked(settings: Config, ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """While a stage runs, the command in another process is refused."""
    options = [f"runs_folder={settings.runs_folder}", "run_name=demo", "genome=phix174"]
    refused = []

    def stage_that_is_disturbed(context: StageContext) -> dict[str, object]:
        line = [sys.executable, "-m", "workflow.run", "stage=prepare", *options]
        refused.append(subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False))
        return {}

    monkeypatch.setitem(PIPELINE, "prepare", replace(PIPELINE["prepare"], run=stage_that_is_disturbed))
    folder = run(settings, stage="prepare")
    assert refused[0].returncode == 2
    assert refused[0].stdout == ""
    assert refused[0].stderr == f"error: another process works on {folder}: wait for it, or give run_name=…\n"
    assert stages_in(folder) == ["download", "prepare"]


def test_lock_is_let_go(settings: Config, ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def disturbed(context: StageContext) -> dict[str, object]:
        with pytest.raises(InputError, match="another process works on"):
            run(settings, stage="convert")
        run(settings, stage="convert", run_name="other")
        raise InputError("no")

    working = PIPELINE["prepare"]
    monkeypatch.setitem(PIPELINE, "prepare", replace(working, run=disturbed))
    with pytest.raises(InputError, match=r"^no$"):
        run(settings)
    monkeypatch.setitem(PIPELINE, "prepare", working)
    run(settings)
    assert ran == ["download", "convert", "prepare", "preprocess"]


def test_dry_run(settings: Config, ran: list[str], tmp_path: Path) -> None:
    before = tree(tmp_path)
    told = describe(Run(replace(settings, dry_run=True)))
    folder = Path(settings.runs_folder, "demo")
    seqid = Path(settings.genome.fasta).read_text().split()[0].removeprefix(">")
    lines = told.splitlines()
    assert "  disk: about 0.0 MiB for token files; " in told
    assert [line for line in lines if not line.startswith("  disk: ")] == [
        f"run {folder}",
        "download: would run, not done yet",
        f"  reads  {settings.genome.fasta}",
        f"  writes {folder / 'download'}",
        "prepare: would run, not done yet",
        "  karyotype: 1 sequences, 0.01 Mb, 1 groups",
        f"    group {seqid}: 1 × ({seqid} 0.01 Mb)",
        f"  reads  {settings.genome.fasta}",
        f"  writes {folder / 'prepare'}",
        "preprocess: would run, not done yet",
        f"  reads  {folder / 'prepare'}",
        f"  writes {folder / 'preprocess'}",
    ]
    assert not folder.exists()
    assert tree(tmp_path) == before

    run(settings, stage="prepare")
    before = tree(tmp_path)
    told = describe(Run(replace(settings, dry_run=True)))
    assert f"prepare: would be skipped, {UNCHANGED}\n" in told
    assert tree(tmp_path) == before
    assert ran == ["download", "prepare"]


# ---------------------------------------------------------------- files that are downloaded


@pytest.fixture
def remote(settings: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Config, Server]]:
    """The same run with its genome at a URL, and the server."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    with serving(PHIX.read_bytes()) as server:
        yield replace(settings, genome=replace(settings.genome, fasta=server.url("phix.fa"))), server


def test_prepare_begins_with_the_download(remote: tuple[Config, Server], tmp_path: Path) -> None:
    config, server = remote
    place = tmp_path / "data" / "phix" / "phix.fa"
    awaited = "a file is not downloaded yet"
    assert reasons(config) == {"download": awaited, "prepare": awaited, "preprocess": "not done yet"}
    told = describe(Run(config))
    assert f"  fetches {server.url('phix.fa')}, to {place}\n" in told and f"prepare: would run, {awaited}\n" in told
    assert server.asked == [] and not place.exists()
    folder = run(config, stage="prepare")
    assert place.read_bytes() == PHIX.read_bytes()
    manifest = read_manifest(folder / "prepare")
    assert manifest["identity"]["files"] == [describe_file(PHIX)["sha256"]]
    assert manifest["counts"]["bases"] == 5386
    assert reasons(config) == {"download": UNCHANGED, "prepare": UNCHANGED, "preprocess": "not done yet"}
    assert len(server.asked) == 1


def test_same_content_from_another_place_is_not_prepared_again(remote: tuple[Config, Server], settings, ran) -> None:
    config, _ = remote
    run(settings)
    assert reasons(config)["download"] == "a file is not downloaded yet"
    use_real_download()
    run(config)
    assert ran == ["download", "prepare", "preprocess"], "what came is the file that was there"
    assert reasons(config) == dict.fromkeys(["download", "prepare", "preprocess"], UNCHANGED)


def test_download_that_was_deleted(remote: tuple[Config, Server], ran: list[str], tmp_path: Path) -> None:
    config, server = remote
    use_real_download()
    run(config)
    place = tmp_path / "data" / "phix" / "phix.fa"
    place.unlink()
    with pytest.raises(InputError, match=r"^stage prepare has to run first .*\(a file is not downloaded yet\)"):
        run(config, stage="preprocess")
    run(config)
    assert place.exists() and ran == ["prepare", "preprocess"]
    place.unlink()
    server.content += b"A\n"
    run(config)
    assert ran == ["prepare", "preprocess"] * 2, "another file came"


def test_gates_are_asked_before_the_download(remote: tuple[Config, Server], tmp_path: Path) -> None:
    config, server = remote
    with pytest.raises(GateError):
        run(short_context(config, train=64))
    assert server.asked == []


def test_file_that_was_moved(settings: Config, ran: list[str], tmp_path: Path) -> None:
    run(settings)
    moved = shutil.move(settings.genome.fasta, tmp_path / "moved.fa")
    told = reasons(settings, genome=replace(settings.genome, fasta=str(moved)))
    assert told["download"].startswith("genome.fasta was ")
    assert (told["prepare"], told["preprocess"]) == (UNCHANGED, UNCHANGED)


# ---------------------------------------------------------------- a stage that works in place


def run_with_training(config: Config, monkeypatch: pytest.MonkeyPatch, training: Callable[..., Any], **options) -> Path:
    monkeypatch.setitem(PIPELINE, "train", replace(PIPELINE["train"], run=training))
    return run(config, stage=["prepare", "preprocess", "convert", "train"], **options)


def interrupted(context: StageContext) -> dict[str, object]:
    (context.out / "state").write_text("half")
    raise KeyboardInterrupt


def test_interrupted_training_goes_on(settings: Config, ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    training = PIPELINE["train"].run
    with pytest.raises(KeyboardInterrupt):
        run_with_training(settings, monkeypatch, interrupted)
    assert reasons(settings, stage="train") == {"train": "goes on from its last state"}
    with pytest.raises(InputError, match="stage train has to run first"):
        run(settings, stage="predict")
    folder = run_with_training(settings, monkeypatch, training)
    assert (folder / "train" / "state").read_text() == "halftrain\n"
    assert reasons(settings, stage="train") == {"train": UNCHANGED}
    assert ran == ["download", "prepare", "preprocess", "convert", "train"]


def test_training_with_other_settings_puts_the_earlier_one_aside(
    settings: Config, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stages = ["prepare", "preprocess", "convert", "train"]
    folder = run(settings, stage=stages)
    longer = replace(settings, train=replace(settings.train, steps=9), stage=stages)
    assert reasons(longer)["train"] == "train.steps was 4, is 9"
    earlier = tree(folder / "train")
    run(longer)
    assert tree(folder / "train.superseded-1") == earlier
    assert f"  the earlier train is kept in {folder / 'train.superseded-1'}\n" in capsys.readouterr().out
    assert read_manifest(folder / "train")["counts"] == {"steps": 9}
    assert (folder / "train" / "state").read_text() == "train\n"
    later = tree(folder / "train")
    run(settings, stage=stages)
    assert (tree(folder / "train.superseded-1"), tree(folder / "train.superseded-2")) == (earlier, later)


def test_interrupted_training_with_other_settings_is_put_aside(
    settings: Config, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = PIPELINE["train"].run
    with pytest.raises(KeyboardInterrupt):
        run_with_training(settings, monkeypatch, interrupted)
    longer = replace(settings, train=replace(settings.train, steps=9))
    assert reasons(longer, stage="train") == {"train": "not done yet"}
    folder = run_with_training(longer, monkeypatch, training)
    assert (folder / "train" / "state").read_text() == "train\n"
    assert (folder / "train.superseded-1" / "state").read_text() == "half"


@pytest.mark.parametrize("finished", [True, False])
def test_forced_training_starts_anew(
    settings: Config, ran: list[str], monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    training = PIPELINE["train"].run
    if finished:
        run_with_training(settings, monkeypatch, training)
    else:
        with pytest.raises(KeyboardInterrupt):
            run_with_training(settings, monkeypatch, interrupted)
    folder = run_with_training(settings, monkeypatch, training, force=True)
    assert (folder / "train" / "state").read_text() == "train\n"
    assert (folder / "train.superseded-1" / "state").read_text() == ("train\n" if finished else "half")


def test_unfinished_training_is_not_taken_for_a_finished_one(settings: Config, monkeypatch, ran: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_with_training(settings, monkeypatch, interrupted)
    with pytest.raises(InputError, match=r"train holds no finished stage"):
        read_manifest(Path(settings.runs_folder, "demo", "train"))


# ---------------------------------------------------------------- gates


def short_context(settings: Config, train: int = 256, windows: int = 256, action: str = "stop") -> Config:
    return replace(
        settings,
        train=replace(settings.train, context_length=train),
        windows=WindowsConfig(length=windows, min_length=32),
        gates=GatesConfig(context_length=action),
        stage="all",
    )


@pytest.mark.parametrize(("lengths", "stage"), [({"train": 64}, "train"), ({"windows": 127}, "predict")])
def test_short_context_stops_before_anything_runs(
    settings: Config, ran: list[str], lengths: dict[str, int], stage: str
) -> None:
    shown = f"{next(iter(lengths.values()))} bases of context asked for in {stage}"
    seen = f"gate context_length: saw {shown}, limit 128 to 256"
    with pytest.raises(GateError, match=seen + r".*gates\.context_length=warn"):
        run(short_context(settings, **lengths))
    assert ran == []
    assert not Path(settings.runs_folder).exists()


def context_gate(stage: Path) -> dict[str, Any]:
    """The one record of the gate `context_length` of a published stage."""
    (record,) = [gate for gate in read_manifest(stage)["gates"] if gate["name"] == "context_length"]
    return record


def test_short_context_with_the_gate_overridden(
    settings: Config, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(short_context(settings, train=64, windows=127, action="warn"))
    assert tuple(ran) == STAGES
    printed = capsys.readouterr().out
    assert printed.count("WARNING gate context_length") == 2
    for stage, saw in (("train", 64), ("predict", 127)):
        record = context_gate(folder / stage)
        assert (record["passed"], record["limit"]) == (False, "128 to 256")
        assert record["saw"] == f"{saw} bases of context asked for in {stage}"


def test_context_at_the_limit(settings: Config, ran: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    folder = run(short_context(settings, train=128, windows=128))
    assert "WARNING" not in capsys.readouterr().out
    assert context_gate(folder / "train")["passed"] and context_gate(folder / "predict")["passed"]
    assert not any(gate["name"] == "context_length" for gate in read_manifest(folder / "prepare")["gates"])


def test_context_does_not_concern_other_stages(settings: Config, ran: list[str]) -> None:
    run(replace(short_context(settings, train=64, windows=64), stage=["prepare", "preprocess"]))
    assert ran == ["download", "prepare", "preprocess"]


def test_gates_of_a_stage_are_in_its_manifest(
    settings: Config, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(context: StageContext) -> dict[str, object]:
        context.gates.check("adapters_move", False, saw="no change", limit="some", why="Nothing was learned.")
        return {}

    monkeypatch.setitem(PIPELINE, "train", replace(PIPELINE["train"], run=check))
    with pytest.raises(GateError, match="gate adapters_move: saw no change"):
        run(settings, stage="all")
    assert "predict" not in ran
    folder = run(settings, stage="all", gates=GatesConfig(adapters_move="warn"))
    records = read_json(folder / "train" / MANIFEST)["gates"]
    assert [record["name"] for record in records if not record["passed"]] == ["adapters_move"]
    assert {"context_length", "checkpoint_precision", "parallel_sizes"} < {record["name"] for record in records}
    assert json.dumps(records)


# ---------------------------------------------------------------- parts of predict


def test_a_shard_is_made_beside_a_working_run(
    settings: Config, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int | None, str]] = []

    def make(context: StageContext) -> None:
        made.append((context.config.predict.shard, context.fingerprint))

    monkeypatch.setitem(PIPELINE, "predict", replace(PIPELINE["predict"], make_shard=make))
    before = replace(settings, stage=["prepare", "preprocess", "convert", "train"])
    folder = run(before)
    asked = replace(settings, stage="predict", predict=replace(settings.predict, shards=4, shard=2))
    with run_lock(folder):
        run(asked)
    (step,) = Run(replace(asked, predict=replace(asked.predict, shard=None))).plan()
    assert made == [(2, step.fingerprint)], "it is a part of what the whole stage would make"
    assert not (folder / "predict").exists()


def test_a_shard_is_of_one_stage(settings: Config, ran: list[str]) -> None:
    run(replace(settings, stage=["prepare", "preprocess", "convert", "train"]))
    asked = replace(settings, stage=["convert", "predict"], predict=replace(settings.predict, shards=4, shard=2))
    with pytest.raises(InputError, match=r"predict\.shard=2 makes a part of one stage: use stage=predict"):
        run(asked)
