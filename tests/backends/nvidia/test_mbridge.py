"""Commands of mbridge, spelt by the contract of every version."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.backends.base import Prompt
from workflow.backends.contracts import contract_versions, load_contract
from workflow.backends.nvidia.mbridge import MegatronBridge, lora_modules
from workflow.backends.nvidia.settings import Source
from workflow.config import Config
from workflow.errors import InputError

Configure = Callable[..., Config]
VERSIONS = contract_versions("mbridge")
BASE, DATA, OUT, FASTA = Path("/base"), Path("/tokens/data.yaml"), Path("/out"), Path("/windows.fa")
MANY = ("parallel.nodes=2", "parallel.devices=8", "parallel.tensor=2")
ADAPTERS = ("train=lora", "train.lora.rank=16", "train.lora.alpha=32", "train.lora.dropout=0.05")
TOKENIZER = "/tok/nucleotide_fast_tokenizer_512"

TRAIN = f"""train_evo2 --dataset-config /tokens/data.yaml --model-size evo2_7b --hf-tokenizer-model-path {TOKENIZER}
 --seq-length 8192 --tensor-model-parallel-size 2 --pipeline-model-parallel-size 1 --context-parallel-size 1
 --micro-batch-size 2 --global-batch-size 64 --mixed-precision-recipe bf16-with-fp8-delayed-scaling-mixed
 --max-steps 150 --warmup-steps 20 --constant-steps 0 --decay-steps 150 --lr 0.0003 --min-lr 3e-05 --wd 0.01
 --clip-grad 1.0 --seed 42 --eval-interval 25 --eval-iters 1 --log-interval 1 --result-dir /out
 --experiment-name evo2 --most-recent-k -1 --enable-preemption --finetune-ckpt-dir /base
 --no-activation-checkpointing"""

LORA = f"""train_evo2 --dataset-config /tokens/data.yaml --model-size evo2_7b --hf-tokenizer-model-path {TOKENIZER}
 --seq-length 8192 --tensor-model-parallel-size 1 --pipeline-model-parallel-size 1 --context-parallel-size 1
 --micro-batch-size 8 --global-batch-size 8 --mixed-precision-recipe bf16-mixed --max-steps 150 --warmup-steps 20
 --constant-steps 0 --decay-steps 150 --lr 0.001 --min-lr 0.0001 --wd 0.01 --clip-grad 1.0 --seed 42
 --eval-interval 25 --eval-iters 8 --log-interval 1 --result-dir /out --experiment-name evo2 --most-recent-k -1
 --enable-preemption --finetune-ckpt-dir /base --lora-finetune --lora-dim 16 --lora-alpha 32 --lora-dropout 0.05
 --lora-target-modules dense_projection,dense,linear_qkv,linear_proj,linear_fc1,linear_fc2
 --disable-tensorboard-logger"""


def tools(version: str = VERSIONS[-1]) -> MegatronBridge:
    return MegatronBridge(load_contract("mbridge", version))


def words(command: object, version: str = VERSIONS[-1]) -> list[str]:
    """The command's words; argparse takes -1 for a value, however it is joined to its flag."""
    argv = tools(version).contract.spell(command)  # type: ignore[arg-type]
    return [part for word in argv for part in (word.split("=") if word.endswith("=-1") else [word])]


# ---------------------------------------------------------------- train


def test_full_training(mbridge: Configure) -> None:
    config = mbridge(*MANY, "train.batch_size=2", "train.accumulate=4", "train.precision=fp8")
    command = tools().train(config, BASE, DATA, OUT)
    assert words(command) == TRAIN.split()
    assert command.processes == 8
    assert command.environment.keys() == {
        "PYTHONHASHSEED",
        "TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC",
        "TORCH_NCCL_ASYNC_ERROR_HANDLING",
        "CUDA_DEVICE_MAX_CONNECTIONS",
    }
    assert command.environment.keys() <= command.why.keys()


def test_lora_training(mbridge: Configure) -> None:
    command = tools().train(mbridge(*ADAPTERS, "train.activation_checkpointing=true"), BASE, DATA, OUT)
    assert words(command) == LORA.split()
    assert "main_grad" in command.why["--disable-tensorboard-logger"]
    assert command.processes == 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("recompute", [True, False])
def test_training_from_scratch(mbridge: Configure, version: str, recompute: bool) -> None:
    tokenizer = "backend.tokenizer=/tok/nucleotide_fast_tokenizer_256"
    config = mbridge("train=scratch", tokenizer, f"train.activation_checkpointing={recompute}")
    command = tools(version).train(config, None, DATA, OUT)
    read = tools(version).contract.parser("train_evo2").parse_args(words(command, version)[1:])
    assert read.finetune_ckpt_dir is None
    assert read.hf_tokenizer_model_path == Path("/tok/nucleotide_fast_tokenizer_256")
    assert read.no_activation_checkpointing is not recompute
    assert not read.disable_tensorboard_logger
    assert (read.max_steps, read.decay_steps, read.warmup_steps) == (1000, 1000, 100)


def test_nothing_is_given_that_is_not_read(mbridge: Configure) -> None:
    contract = tools().contract
    trained = tools().train(mbridge("train=lora", *MANY), BASE, DATA, OUT)
    scored = tools().predict(mbridge(*MANY), BASE, None, FASTA, OUT, longest=100)
    assert contract.ignored(trained) == contract.ignored(scored) == []


@pytest.mark.parametrize(
    ("targets", "modules"),
    [
        (["projections", "out_filter_dense"], ("dense_projection", "dense")),
        (["l3", "l2", "l1"], ("linear_fc1", "linear_fc2")),
        (["out_proj", "Wqkv"], ("linear_qkv", "linear_proj")),
    ],
)
def test_targets_become_modules(targets: list[str], modules: tuple[str, ...]) -> None:
    assert lora_modules(targets) == modules


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (
            ["l1"],
            r"^train\.lora\.targets: l1 and l2 are one layer in Megatron \(linear_fc1\): name both of them, or none$",
        ),
        (["l2", "l3"], r"l1 and l2 are one layer"),
        (["dense"], r"^train\.lora\.targets: dense is no layer: use some of projections, out_filter_dense, Wqkv,"),
    ],
)
def test_targets_that_are_no_modules_are_refused(targets: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lora_modules(targets)


# ---------------------------------------------------------------- predict, embed

PREDICT = """predict_evo2 --fasta /windows.fa --ckpt-dir /base --output-dir /out --tensor-parallel-size 2
 --micro-batch-size 4 --prepend-bos --write-interval batch --mixed-precision-recipe bf16-mixed"""


@pytest.mark.parametrize("version", VERSIONS)
def test_prediction(mbridge: Configure, version: str) -> None:
    command = tools(version).predict(mbridge(*MANY), BASE, None, FASTA, OUT, longest=4096)
    assert words(command, version) == PREDICT.split()
    assert command.processes == 8
    assert command.environment == {"PYTHONHASHSEED": "42"}


@pytest.mark.parametrize("collapse", ["sum", "mean", "per_token"])
def test_prediction_of_log_probabilities(mbridge: Configure, collapse: str) -> None:
    command = tools().predict(mbridge(), BASE, None, FASTA, OUT, longest=1, collapse=collapse)  # type: ignore[arg-type]
    assert words(command)[-3:] == ["--output-log-prob-seqs", "--log-prob-collapse-option", collapse]


def test_fp8_is_that_of_the_projections(mbridge: Configure) -> None:
    argv = words(tools().predict(mbridge("predict.precision=fp8"), BASE, None, FASTA, OUT, longest=1))
    assert argv[-3:] == ["--mixed-precision-recipe", "bf16-mixed", "--vortex-style-fp8"]


def test_adapters_are_given_instead_of_their_base(mbridge: Configure) -> None:
    command = tools().predict(mbridge(), BASE, Path("/lora"), FASTA, OUT, longest=1)
    argv = words(command)
    assert argv[argv.index("--ckpt-dir") + 1] == "/lora" and "/base" not in argv
    assert "run_config.yaml" in command.why["--ckpt-dir"]


@pytest.mark.parametrize("layer", [0, -1])
def test_embedding(mbridge: Configure, layer: int) -> None:
    command = tools().embed(mbridge(), BASE, None, FASTA, OUT, layer=layer, longest=4096)
    read = tools().contract.parser("predict_evo2").parse_args(words(command)[1:])
    assert (read.embedding_layer, read.prepend_bos, read.micro_batch_size) == (layer, True, 4)


# ---------------------------------------------------------------- infer

INFER = """infer_evo2 --ckpt-dir /base --prompt-file /out/prompts_00000.jsonl --output-file /out/generations_00000.jsonl
 --max-new-tokens 400 --temperature 1.0 --top-k 4 --top-p 0.0 --seed 7 --return-log-probs --max-seq-length 416
 --tensor-parallel-size 2 --mixed-precision-recipe bf16-mixed"""


@pytest.mark.parametrize("version", VERSIONS)
def test_many_prompts_share_a_start(mbridge: Configure, version: str) -> None:
    prompts = [Prompt("ACGT", 7), Prompt("ACGT", 8), Prompt("TT", 9), Prompt("TT", 10)]
    first, second = tools(version).infer(mbridge(*MANY), BASE, None, prompts, OUT)
    assert words(first.command, version) == INFER.split()
    assert first.command.processes == 2, "further ranks would only generate the same again"
    assert (first.prompts, second.prompts) == ((0, 2), (1, 3))
    assert second.command.options["--seed"] == 8
    assert first.output == OUT / "generations_00000.jsonl"
    ((path, text),) = second.files.items()
    assert path == second.command.options["--prompt-file"]
    assert [json.loads(line) for line in text.splitlines()] == [
        {"id": "1", "prompt": "ACGT"},
        {"id": "3", "prompt": "TT"},
    ]


@given(st.lists(st.text("AC", min_size=1, max_size=2), max_size=12))
def test_every_prompt_is_continued_once(mbridge: Configure, texts: list[str]) -> None:
    prompts = [Prompt(text, seed) for seed, text in enumerate(texts)]
    generations = tools().infer(mbridge(), BASE, None, prompts, OUT)
    assert sorted(place for generation in generations for place in generation.prompts) == list(range(len(texts)))
    assert len(generations) == max((texts.count(text) for text in texts), default=0)
    for generation in generations:
        continued = [texts[place] for place in generation.prompts]
        assert len(set(continued)) == len(continued)


def test_the_length_holds_prompt_and_continuation(mbridge: Configure) -> None:
    (generation,) = tools().infer(mbridge("infer.length=1000"), BASE, None, [Prompt("A" * 9001, 1)], OUT)
    length = generation.command.options["--max-seq-length"]
    assert isinstance(length, int) and length >= 10_001 and length % 16 == 0


def test_generation_with_fp8_and_adapters(mbridge: Configure) -> None:
    (generation,) = tools().infer(mbridge("predict.precision=fp8"), BASE, Path("/lora"), [Prompt("A", 1)], OUT)
    argv = words(generation.command)
    assert argv[1:3] == ["--ckpt-dir", "/lora"]
    assert argv[-1] == "--vortex-style-fp8"


# ---------------------------------------------------------------- convert and the rest


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("source", "start"),
    [
        (
            Source("hub", "hf://arcinstitute/savanna_evo2_7b"),
            "evo2_convert_savanna_to_mbridge --savanna-ckpt-path arcinstitute/savanna_evo2_7b",
        ),
        (Source("savanna", "/models/evo2.pt"), "evo2_convert_savanna_to_mbridge --savanna-ckpt-path /models/evo2.pt"),
        (Source("nemo2", BASE), "evo2_convert_nemo2_to_mbridge --nemo2-ckpt-dir /base"),
    ],
)
def test_conversion(mbridge: Configure, version: str, source: Source, start: str) -> None:
    (command,) = tools(version).convert(mbridge(), source, OUT)
    rest = f"--mbridge-ckpt-dir /out --model-size evo2_7b --tokenizer-path {TOKENIZER} --seq-length 1048576"
    assert words(command, version) == f"{start} {rest}".split()
    assert command.processes is None


def test_mbridge_checkpoints_are_used_as_they_are(mbridge: Configure) -> None:
    assert tools().convert(mbridge(), Source("mbridge", BASE), OUT) == []


@pytest.mark.parametrize(("method", "size"), [("full", 512), ("scratch", 256)])
def test_a_missing_tokenizer_is_explained(configure: Configure, method: str, size: int) -> None:
    config = configure("backend=mbridge", "model=evo2_7b", f"train={method}")
    message = (
        rf"^backend\.tokenizer is not set: give the folder nucleotide_fast_tokenizer_{size} of the recipe evo2_meg"
    )
    with pytest.raises(InputError, match=message):
        tools().refuse(config, "train")
    with pytest.raises(InputError, match=message):
        tools().train(config, BASE, DATA, OUT)
    with pytest.raises(InputError, match=message):
        tools().convert(config, Source("nemo2", BASE), OUT)
    assert tools().convert(config, Source("mbridge", BASE), OUT) == []


def test_the_tokenizer_of_another_vocabulary_is_refused(mbridge: Configure) -> None:
    config = mbridge("backend.tokenizer=/tok/nucleotide_fast_tokenizer_256/")
    with pytest.raises(
        InputError, match=r"^backend\.tokenizer=/tok/.* has 256 tokens, .* give nucleotide_fast_tokenizer_512$"
    ):
        tools().train(config, BASE, DATA, OUT)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_other_tools(mbridge: Configure, version: str) -> None:
    toolchain, config = tools(version), mbridge()
    commands = {
        "download_bionemo_data evo2/7b-8k:1.0 --source ngc": toolchain.download("ngc://evo2/7b-8k:1.0"),
        "preprocess_evo2 --config /p.yaml": toolchain.preprocess(config, Path("/p.yaml")),
        "splice_evo2 --fasta-path /windows.fa --gtf-path /genes.gtf --output-path /out --transcript-type default": (
            toolchain.splice(config, FASTA, Path("/genes.gtf"), OUT)
        ),
        "evo2_remove_optimizer --src-ckpt-dir /base --dst-ckpt-dir /out": toolchain.remove_optimizer(config, BASE, OUT),
        "evo2_export_mbridge_to_vortex --mbridge-ckpt-dir /base --output-path /out --model-size evo2_7b": (
            toolchain.export(config, BASE, OUT)
        ),
    }
    for line, command in commands.items():
        assert words(command, version) == line.split()
        assert command.processes is None


# ---------------------------------------------------------------- refusals and notes


@pytest.mark.parametrize(
    ("stage", "overrides", "message"),
    [
        ("train", ["train.precision=fp32"], r"^train\.precision=fp32: "),
        ("train", ["train.early_stopping=3"], r"^train\.early_stopping=3: "),
        ("train", ["train.batch_ramp=0.05"], r"^train\.batch_ramp=0\.05: .*backend=local"),
        ("train", ["train.repeat_weight=1"], r"^train\.repeat_weight=1\.0: "),
        ("train", ["train.warmup_steps=200"], r"^train\.warmup_steps=200 must be smaller"),
        ("train", ["train=lora", "train.lora.targets=[l1]"], r"^train\.lora\.targets: l1 and l2"),
        ("predict", ["predict.precision=fp32"], r"^predict\.precision=fp32: "),
        ("predict", ["parallel.context=2"], r"^parallel\.context=2: "),
        ("infer", ["parallel.pipeline=2"], r"^parallel\.pipeline=2: "),
        ("infer", ["infer.top_p=0.5"], r"^infer\.top_k=4 and infer\.top_p=0\.5"),
        (
            "predict",
            ["+backend.extra.evo2_convert_to_nemo2={}"],
            r"^backend\.extra: evo2_convert_to_nemo2 is not a tool",
        ),
    ],
)
def test_settings_that_would_be_dropped_are_refused(
    mbridge: Configure, stage: str, overrides: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        tools().refuse(mbridge(*overrides), stage)
    assert "\n" not in str(caught.value)


def test_a_size_that_the_version_lacks_is_refused_with_the_list(mbridge: Configure) -> None:
    command = tools().train(mbridge("model.tool_sizes.mbridge=evo2_8b"), BASE, DATA, OUT)
    with pytest.raises(
        InputError, match=r"--model-size=evo2_8b is not a choice of this version: use one of evo2_1b_base,"
    ):
        words(command)


@pytest.mark.parametrize("stage", ["download", "prepare", "preprocess", "convert", "train", "predict", "infer"])
def test_what_works_is_not_refused(mbridge: Configure, stage: str) -> None:
    tools().refuse(mbridge("train=lora", *MANY), stage)


def test_notes(mbridge: Configure) -> None:
    (strand,) = tools().notes(mbridge("train=lora"), "train")
    assert strand.startswith("train.reverse_complement=0.5 is not followed")
    (seeds,) = tools().notes(mbridge(), "infer")
    assert "one seed a start" in seeds
    assert tools().notes(mbridge("infer.samples=1"), "infer") == tools().notes(mbridge(), "predict") == []
