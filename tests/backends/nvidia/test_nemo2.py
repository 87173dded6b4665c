"""Commands of nemo2, spelt by the contract of every version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from workflow.backends.base import Prompt
from workflow.backends.contracts import contract_versions, load_contract
from workflow.backends.nvidia.nemo2 import Nemo2
from workflow.backends.nvidia.settings import Source
from workflow.config import Config
from workflow.errors import InputError

Configure = Callable[..., Config]
VERSIONS = contract_versions("nemo2")
LORA = ("train=lora", "train.lora.rank=32", "train.lora.alpha=32")
BASE, DATA, OUT, FASTA = Path("/base"), Path("/tokens/data.yaml"), Path("/out"), Path("/windows.fa")
MANY = ("parallel.nodes=2", "parallel.devices=8", "parallel.tensor=2")

TRAIN_263 = """train_evo2 --dataset-config /tokens/data.yaml --dataset-dir /tokens --model-size 7b_arc_longcontext
 --seq-length 8192 --num-nodes 2 --devices 8 --tensor-parallel-size 2 --pipeline-model-parallel-size 1
 --context-parallel-size 1 --sequence-parallel --micro-batch-size 2 --global-batch-size 64 --fp8 --max-steps 150
 --warmup-steps 20 --constant-steps 0 --lr 0.0003 --min-lr 3e-05 --wd 0.01 --clip-grad 1.0 --seed 42
 --val-check-interval 25 --limit-val-batches 1 --log-every-n-steps 1 --create-tensorboard-logger --result-dir /out
 --experiment-name evo2 --enable-preemption --save-top-k 5 --ckpt-dir /base --no-activation-checkpointing"""

LORA_271 = """train_evo2 --dataset-config /tokens/data.yaml --dataset-dir /tokens --model-size 7b_arc_longcontext
 --seq-length 8192 --num-nodes 1 --devices 1 --tensor-parallel-size 1 --pipeline-model-parallel-size 1
 --context-parallel-size 1 --micro-batch-size 8 --global-batch-size 8 --max-steps 150 --warmup-steps 20
 --constant-steps 0 --lr 0.001 --min-lr 0.0001 --wd 0.01 --clip-grad 1.0 --seed 42 --val-check-interval 25
 --limit-val-batches 8 --log-every-n-steps 1 --create-tensorboard-logger --result-dir /out --experiment-name evo2
 --enable-preemption --save-top-k 5 --ckpt-dir /base --lora-finetune --lora-dim 32 --lora-alpha 32
 --selective-activation-checkpointing"""

PREDICT = {
    "2.6.3": "--tensor-parallel-size 1 --batch-size 4 --prepend-bos",
    "2.7.1": """--num-nodes 1 --devices 1 --tensor-parallel-size 1 --micro-batch-size 4 --prepend-bos
 --write-interval batch""",
}
CONVERT = """evo2_convert_to_nemo2 --model-path hf://arcinstitute/savanna_evo2_7b --model-size 7b_arc_longcontext
 --output-dir /out"""
SPLICE = "splice_evo2 --fasta-path /windows.fa --gtf-path /genes.gtf --output-path /out --transcript-type"


def tools(version: str = "2.7.1", *, patched: bool = False) -> Nemo2:
    return Nemo2(load_contract("nemo2", version), patched)


def words(toolchain: Nemo2, command: object) -> list[str]:
    return toolchain.contract.spell(command)  # type: ignore[arg-type]


# ---------------------------------------------------------------- train


def test_full_training_of_2_6_3(nemo2: Configure) -> None:
    config = nemo2(*MANY, "train.batch_size=2", "train.accumulate=4", "train.precision=fp8")
    command = tools("2.6.3").train(config, BASE, DATA, OUT)
    assert words(tools("2.6.3"), command) == TRAIN_263.split()
    assert command.environment == {
        "PYTHONHASHSEED": "42",
        "TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC": "7200",
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
        "CUDA_DEVICE_MAX_CONNECTIONS": "1",
    }
    assert set(command.environment) <= set(command.why)
    assert command.processes is None and command.folder is None


def test_lora_training_of_2_7_1(nemo2: Configure) -> None:
    command = tools().train(nemo2(*LORA, "train.activation_checkpointing=true"), BASE, DATA, OUT)
    # argparse takes -1 for a value, however it is joined to its flag.
    assert " ".join(words(tools(), command)) == " ".join(LORA_271.split())
    assert "issue 1136" in command.why["--selective-activation-checkpointing"]
    assert "for the best to be there" in command.why["--save-top-k"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("method", ["full", "scratch"])
@pytest.mark.parametrize("recompute", [True, False])
def test_every_version_takes_the_training(nemo2: Configure, version: str, method: str, recompute: bool) -> None:
    config = nemo2(f"train={method}", *MANY, f"train.activation_checkpointing={recompute}", "train.warmup_steps=5")
    argv = words(tools(version), tools(version).train(config, None if method == "scratch" else BASE, DATA, OUT))
    assert ("--ckpt-dir" in argv) == (method == "full")
    assert ("--no-activation-checkpointing" in argv) == (not recompute)
    assert "--selective-activation-checkpointing" not in argv
    read = tools(version).contract.parser("train_evo2").parse_args(argv[1:])
    assert (read.max_steps, read.constant_steps, read.warmup_steps) == (config.train.steps, 0, 5)
    assert (read.micro_batch_size, read.global_batch_size) == (config.train.batch_size, config.train.batch_size * 8)


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_adapters_have_their_size_where_it_can_be_said(nemo2: Configure, version: str) -> None:
    argv = words(tools(version), tools(version).train(nemo2(*LORA), BASE, DATA, OUT))
    assert "--lora-finetune" in argv
    assert ("--lora-dim" in argv, "--lora-alpha" in argv) == ((version != "2.7"),) * 2


def test_a_patched_nemo_recomputes_everything(nemo2: Configure) -> None:
    config = nemo2(*LORA, "train.activation_checkpointing=true")
    patched = words(tools(), tools(patched=True).train(config, BASE, DATA, OUT))
    assert not [word for word in patched if word.endswith("activation-checkpointing")]


def test_the_model_of_a_full_training_needs_no_selection(nemo2: Configure) -> None:
    argv = words(tools(), tools().train(nemo2("train.activation_checkpointing=true"), BASE, DATA, OUT))
    assert not [word for word in argv if word.endswith("activation-checkpointing")]


def test_further_flags_reach_the_training(nemo2: Configure) -> None:
    config = nemo2("+backend.extra.train_evo2={--save-top-k: 2, --workers: 1}")
    command = tools().train(config, BASE, DATA, OUT)
    assert words(tools(), command)[-4:] == ["--save-top-k", "2", "--workers", "1"]
    assert command.why["--save-top-k"] == "backend.extra asks for 2; without it this would be 5."


# ---------------------------------------------------------------- predict


@pytest.mark.parametrize("version", PREDICT)
def test_prediction(nemo2: Configure, version: str) -> None:
    command = tools(version).predict(nemo2(), BASE, None, FASTA, OUT, longest=4096)
    start = "predict_evo2 --fasta /windows.fa --ckpt-dir /base --output-dir /out --model-size 7b_arc_longcontext "
    assert words(tools(version), command) == (start + PREDICT[version]).split()
    assert command.environment == {"PYTHONHASHSEED": "42"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("collapse", ["sum", "mean"])
def test_every_version_gives_log_probabilities(nemo2: Configure, version: str, collapse: str) -> None:
    toolchain = tools(version)
    command = toolchain.predict(nemo2(*MANY), BASE, None, FASTA, OUT, longest=1, collapse=collapse)  # type: ignore[arg-type]
    read = toolchain.contract.parser("predict_evo2").parse_args(words(toolchain, command)[1:])
    assert (read.output_log_prob_seqs, read.log_prob_collapse_option, read.prepend_bos) == (True, collapse, True)
    assert read.tensor_parallel_size == 2
    if version != "2.6.3":
        assert (read.num_nodes, read.devices, read.micro_batch_size) == (2, 8, 16384)


def test_2_6_3_has_no_log_probabilities_per_token(nemo2: Configure) -> None:
    command = tools("2.6.3").predict(nemo2(), BASE, None, FASTA, OUT, longest=1, collapse="per_token")
    with pytest.raises(InputError, match=r"--log-prob-collapse-option=per_token is not a choice of this version"):
        words(tools("2.6.3"), command)


@pytest.mark.parametrize("version", VERSIONS)
def test_fp8_of_prediction_is_that_of_the_projections(nemo2: Configure, version: str) -> None:
    command = tools(version).predict(nemo2("predict.precision=fp8"), BASE, None, FASTA, OUT, longest=1)
    argv = words(tools(version), command)
    assert "--fp8" in argv and "--full-fp8" not in argv
    assert "--fp8" in command.why


@pytest.mark.parametrize("version", ["2.7.1", "main-2026.03"])
def test_prediction_with_adapters(nemo2: Configure, version: str) -> None:
    argv = words(tools(version), tools(version).predict(nemo2(), BASE, Path("/lora"), FASTA, OUT, longest=1))
    assert argv[argv.index("--ckpt-dir") + 1] == "/base"
    assert argv[argv.index("--lora-checkpoint-path") + 1] == "/lora"


@pytest.mark.parametrize("version", ["2.6.3", "2.7"])
def test_older_versions_cannot_predict_with_adapters(nemo2: Configure, version: str) -> None:
    message = (
        rf"^train=lora: predict_evo2 of nemo2 {version} cannot read adapters \(2\.7\.1, main-2026\.03 can\): .*merge"
    )
    with pytest.raises(InputError, match=message):
        tools(version).predict(nemo2(), BASE, Path("/lora"), FASTA, OUT, longest=1)
    with pytest.raises(InputError, match=message):
        tools(version).refuse(nemo2(*LORA), "predict")


# ---------------------------------------------------------------- infer

INFER = """infer_evo2 --prompt ACGT --ckpt-dir /base --output-file /out/generation_00000.txt --max-new-tokens 400
 --temperature 1.0 --top-k 4 --top-p 0.0 --seed 7 --tensor-parallel-size 1"""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_prompt_a_start(nemo2: Configure, version: str) -> None:
    prompts = [Prompt("ACGT", 7), Prompt("ACGT", 8), Prompt("TT", 9)]
    first, second, third = tools(version).infer(nemo2(), BASE, None, prompts, OUT)
    assert words(tools(version), first.command) == INFER.split()
    assert [g.prompts for g in (first, second, third)] == [(0,), (1,), (2,)]
    assert [g.command.options["--seed"] for g in (first, second, third)] == [7, 8, 9]
    assert third.output == OUT / "generation_00002.txt"
    assert not first.files


@pytest.mark.parametrize("version", VERSIONS)
def test_fp8_of_generation(nemo2: Configure, version: str) -> None:
    (generation,) = tools(version).infer(nemo2("predict.precision=fp8"), BASE, None, [Prompt("A", 1)], OUT)
    expected = ["--vortex-style-fp8", "True"] if version == "2.6.3" else ["1", "--fp8"]
    assert words(tools(version), generation.command)[-2:] == expected


def test_generation_with_adapters_is_refused(nemo2: Configure) -> None:
    with pytest.raises(InputError, match=r"^/lora holds adapters, .* python -m workflow\.checkpoint merge"):
        tools().infer(nemo2(), BASE, Path("/lora"), [Prompt("A", 1)], OUT)
    (note,) = tools().notes(nemo2(*LORA), "infer")
    assert "merged into the weights" in note


def test_a_prompt_that_no_command_line_takes_is_refused(nemo2: Configure) -> None:
    with pytest.raises(InputError, match=r"^prompt 2 has 131072 letters: .* use backend=mbridge"):
        tools().infer(nemo2(), BASE, None, [Prompt("A", 1), Prompt("A" * 131_072, 1)], OUT)


# ---------------------------------------------------------------- convert, download and the rest


@pytest.mark.parametrize("version", VERSIONS)
def test_conversion_from_hugging_face(nemo2: Configure, version: str) -> None:
    source = Source("hub", "hf://arcinstitute/savanna_evo2_7b")
    (command,) = tools(version).convert(nemo2(), source, OUT)
    assert words(tools(version), command) == CONVERT.split()
    assert command.folder is None


@pytest.mark.parametrize("version", VERSIONS)
def test_conversion_of_a_local_file(
    nemo2: Configure, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (command,) = tools(version).convert(nemo2(), Source("savanna", Path("models/evo2.pt")), Path("out"))
    assert words(tools(version), command)[:3] == ["evo2_convert_to_nemo2", "--model-path", "hf://./evo2.pt"]
    assert command.folder == tmp_path / "models"
    assert command.options["--output-dir"] == tmp_path / "out", "it starts in another folder"
    assert "weights_only" in command.why["--model-path"]


def test_nemo2_checkpoints_are_used_as_they_are(nemo2: Configure) -> None:
    assert tools().convert(nemo2(), Source("nemo2", BASE), OUT) == []


@pytest.mark.parametrize("organisation", ["huggingface", "facebook"])
def test_organisations_that_the_converter_mangles_are_refused(nemo2: Configure, organisation: str) -> None:
    with pytest.raises(
        InputError, match=rf"^model\.checkpoint=hf://{organisation}/x: .* letters h and f .* backend=mbridge"
    ):
        tools().convert(nemo2(), Source("hub", f"hf://{organisation}/x"), OUT)


def test_mbridge_checkpoints_are_refused(nemo2: Configure) -> None:
    with pytest.raises(InputError, match=r"^model\.checkpoint=/base is an MBridge checkpoint, .* use backend=mbridge"):
        tools().convert(nemo2(), Source("mbridge", BASE), OUT)


@pytest.mark.parametrize("name", ["evo2/1b-8k-bf16:1.0", "ngc://evo2/1b-8k-bf16:1.0"])
@pytest.mark.parametrize("version", ["2.6.3", "2.7", "2.7.1"])
def test_download(version: str, name: str) -> None:
    argv = words(tools(version), tools(version).download(name))
    assert argv == ["download_bionemo_data", "evo2/1b-8k-bf16:1.0", "--source", "ngc"]


@pytest.mark.parametrize("version", VERSIONS)
def test_preprocessing_and_splicing(nemo2: Configure, version: str) -> None:
    toolchain = tools(version)
    assert words(toolchain, toolchain.preprocess(nemo2(), Path("/p.yaml"))) == [
        "preprocess_evo2",
        "--config",
        "/p.yaml",
    ]
    for stitched, kind in ((False, "default"), (True, "stitched")):
        command = toolchain.splice(nemo2(), FASTA, Path("/genes.gtf"), OUT, stitched=stitched)
        assert words(toolchain, command) == [*SPLICE.split(), kind]


@pytest.mark.parametrize("version", VERSIONS)
def test_removal_of_the_optimizer(nemo2: Configure, version: str) -> None:
    argv = words(tools(version), tools(version).remove_optimizer(nemo2(), BASE, OUT))
    places = ["--model-path", "/base", "--output-dir", "/out"]
    if version == "main-2026.03":
        assert argv == ["evo2_remove_optimizer", *places, "--model-type", "hyena"]
    else:
        size = ["--model-size", "7b_arc_longcontext", "--strip-optimizer"]
        assert argv == ["evo2_convert_to_nemo2", *places, *size]


def test_what_nemo2_cannot_do_is_refused(nemo2: Configure) -> None:
    with pytest.raises(InputError, match=r"^predict_evo2 of nemo2 2\.7\.1 writes no embeddings: use backend=mbridge$"):
        tools().embed(nemo2(), BASE, None, FASTA, OUT, layer=1, longest=1)
    with pytest.raises(
        InputError, match=r"^nemo2 2\.7\.1 has no tool .* python -m workflow\.checkpoint convert /base$"
    ):
        tools().export(nemo2(), BASE, OUT)


# ---------------------------------------------------------------- refusals and notes


@pytest.mark.parametrize(
    ("stage", "overrides", "message"),
    [
        (
            "train",
            ["train.precision=fp32"],
            r"^train\.precision=fp32: .* use train\.precision=bf16, fp8, or backend=local$",
        ),
        ("train", ["train.early_stopping=3"], r"^train\.early_stopping=3: .* train to the last step"),
        ("train", ["train.batch_ramp=0.05"], r"^train\.batch_ramp=0\.05: .* one global batch for all steps"),
        ("train", ["train.repeat_weight=0.5"], r"^train\.repeat_weight=0\.5: .* use train\.repeat_weight=0\.1, or"),
        ("train", ["train.warmup_steps=150"], r"^train\.warmup_steps=150 must be smaller than train\.steps=150"),
        (
            "train",
            ["train=lora", "train.lora.rank=16"],
            r"^train\.lora\.rank=16 and train\.lora\.alpha=32: .* set both to 32, or use backend=mb",
        ),
        ("train", ["model=evo2_20b"], r"^model=evo2_20b: backend=nemo2 cannot run it"),
        ("predict", ["predict.precision=fp32"], r"^predict\.precision=fp32: NVIDIA's tools compute in bfloat16"),
        ("predict", ["parallel.context=2"], r"^parallel\.context=2: predict .* out of order .* parallel\.context=1"),
        ("predict", ["parallel.pipeline=2"], r"^parallel\.pipeline=2: predict .* fails .* parallel\.pipeline=1"),
        ("infer", ["parallel.context=2"], r"^parallel\.context=2: infer "),
        ("infer", ["infer.top_p=0.9"], r"^infer\.top_k=4 and infer\.top_p=0\.9"),
        ("convert", ["+backend.extra.train={--a: b}"], r"^backend\.extra: train is not a tool of nemo2 2\.7\.1"),
    ],
)
def test_settings_that_would_be_dropped_are_refused(
    nemo2: Configure, stage: str, overrides: list[str], message: str
) -> None:
    config = nemo2(*overrides)
    with pytest.raises(InputError, match=message) as caught:
        tools().refuse(config, stage)
        tools().train(config, BASE, DATA, OUT)
    assert "\n" not in str(caught.value)


def test_the_builders_refuse_by_themselves(nemo2: Configure) -> None:
    with pytest.raises(InputError, match=r"train\.early_stopping"):
        tools().train(nemo2("train.early_stopping=3"), BASE, DATA, OUT)
    with pytest.raises(InputError, match=r"parallel\.context"):
        tools().predict(nemo2("parallel.context=2"), BASE, None, FASTA, OUT, longest=1)
    with pytest.raises(InputError, match=r"parallel\.context"):
        tools().infer(nemo2("parallel.context=2"), BASE, None, [Prompt("A", 1)], OUT)


def test_adapters_before_2_7_are_refused(nemo2: Configure) -> None:
    with pytest.raises(
        InputError, match=r"^train=lora: train_evo2 of nemo2 2\.6\.3 has no adapters \(2\.7, 2\.7\.1, main"
    ):
        tools("2.6.3").refuse(nemo2(*LORA), "train")


@pytest.mark.parametrize("stage", ["download", "prepare", "preprocess", "convert", "train", "predict", "infer"])
def test_what_works_is_not_refused(nemo2: Configure, stage: str) -> None:
    tools().refuse(nemo2(*LORA, *MANY), stage)


def test_notes_of_a_lora_training(nemo2: Configure) -> None:
    config = nemo2(*LORA, "train.reverse_complement=0")
    targets, dropout = tools().notes(config, "train")
    assert "linear_qkv, linear_proj, linear_fc1, linear_fc2" in targets and "hyena" in targets
    assert dropout.startswith("train.lora.dropout=0.05 is not followed")
    assert tools().notes(nemo2("train.reverse_complement=0"), "train") == []


def test_notes_of_old_predictions(nemo2: Configure) -> None:
    memory, gpus = tools("2.6.3").notes(nemo2("parallel.devices=4", "parallel.tensor=2"), "predict")
    assert "in memory" in memory and "backend.raw_gigabytes=40" in memory
    assert "uses 2 of 4 GPUs" in gpus
    assert tools("2.7.1").notes(nemo2("parallel.devices=4"), "predict") == []


def test_every_note_is_one_sentence(nemo2: Configure) -> None:
    config = replace(nemo2(*LORA), parallel=nemo2("parallel.devices=4").parallel)
    notes = [note for stage in ("train", "predict", "infer") for note in tools("2.6.3").notes(config, stage)]
    assert len(notes) >= 5
    assert all(note.endswith(".") and "\n" not in note for note in notes)
