import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import MISSING

from workflow.command import resolve
from workflow.config import (
    STAGES,
    BackendConfig,
    ClassifyConfig,
    Config,
    ElementsConfig,
    EmbedConfig,
    EvaluationConfig,
    ExperimentConfig,
    GatesConfig,
    GenomeConfig,
    InferConfig,
    LoraConfig,
    ModelConfig,
    PredictConfig,
    SplitConfig,
    SweepConfig,
    TrackingConfig,
    TrainConfig,
    VariantsConfig,
    WindowsConfig,
)
from workflow.config.launcher import SlurmConfig
from workflow.errors import InputError
from workflow.pipeline import PIPELINE

CONFIGS = Path(__file__).parent.parent / "configs"
OPTIONS = sorted(CONFIGS.glob("*/*.yaml"))
NAMES = [f"{path.parent.name}={path.stem}" for path in OPTIONS]


@pytest.fixture
def composed() -> Iterator[Callable[..., Config]]:
    """The configuration that overrides give, as the command reads it."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIGS)):
        yield lambda *overrides: resolve(compose("config", list(overrides)))


def told(error: BaseException | None) -> str:
    """What Hydra prints of an error: its message and its cause's."""
    return f"{error} {told(error.__cause__)}" if error else ""


# ---------------------------------------------------------------- cross-checks


def training(**settings: Any) -> TrainConfig:
    required = {"method": "lora", "context_length": 128, "steps": 1, "learning_rate": 1e-3}
    return TrainConfig(**required | settings)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (
            SplitConfig,
            {"method": "random"},
            "split.method=random is not a choice: use one of auto, sequence, block, table",
        ),
        (
            SplitConfig,
            {"fractions": {"train": 0.9, "test": 0.1}},
            "split.fractions={'train': 0.9, 'test': 0.1}: give a positive share to each of train, val, test",
        ),
        (
            SplitConfig,
            {"fractions": {"train": 1, "val": 0, "test": 0}},
            "split.fractions={'train': 1, 'val': 0, 'test': 0}: give a positive share to each of train, val, test",
        ),
        (
            SplitConfig,
            {"fractions": {"train": 0.8, "val": 0.1, "test": 0.2}},
            "split.fractions={'train': 0.8, 'val': 0.1, 'test': 0.2} do not add up to 1",
        ),
        (SplitConfig, {"block_length": 0}, "split.block_length must be positive"),
        (SplitConfig, {"purge": -1}, "split.purge=-1 must not be negative"),
        (WindowsConfig, {"min_length": 0}, "windows.min_length=0 must be positive"),
        (BackendConfig, {"device": "tpu"}, "backend.device=tpu is not a choice: use one of auto, cpu, cuda"),
        (LoraConfig, {"rank": 0}, "train.lora.rank=0 must be positive"),
        (LoraConfig, {"targets": []}, "train.lora.targets is empty: no layer would be adapted"),
        (training, {"method": "qlora"}, "train.method=qlora is not a choice: use one of lora, full, scratch, none"),
        (training, {"precision": "fp4"}, "train.precision=fp4 is not a choice: use one of fp32, bf16, fp8"),
        (training, {"context_length": 0}, "train.context_length=0 must be positive"),
        (training, {"steps": -5}, "train.steps=-5 must be positive"),
        (training, {"batch_size": 0}, "train.batch_size=0 must be positive"),
        (training, {"accumulate": 0}, "train.accumulate=0 must be positive"),
        (training, {"validate_every": 0}, "train.validate_every=0 must be positive"),
        (training, {"reverse_complement": 1.1}, "train.reverse_complement=1.1 must lie between 0 and 1"),
        (training, {"repeat_weight": -0.1}, "train.repeat_weight=-0.1 must lie between 0 and 1"),
        (PredictConfig, {"split": "all"}, "predict.split=all is not a choice: use one of train, val, test"),
        (PredictConfig, {"precision": "fp16"}, "predict.precision=fp16 is not a choice: use one of fp32, bf16, fp8"),
        (InferConfig, {"temperature": 0.0}, "infer.temperature must be positive (top_k=1 is greedy)"),
        (InferConfig, {"top_k": -1}, "infer.top_k must be ≥ 0 and infer.top_p in (0, 1]"),
        (InferConfig, {"top_p": 0.0}, "infer.top_k must be ≥ 0 and infer.top_p in (0, 1]"),
        (InferConfig, {"top_p": 1.1}, "infer.top_k must be ≥ 0 and infer.top_p in (0, 1]"),
        (InferConfig, {"samples": 0}, "infer.samples=0 must be positive"),
        (InferConfig, {"length": 0}, "infer.length=0 must be positive"),
        (InferConfig, {"prompt_length": 0}, "infer.prompt_length=0 must be positive"),
        (InferConfig, {"n_prompts": 0}, "infer.n_prompts=0 must be positive"),
        (InferConfig, {"batch_size": 0}, "infer.batch_size=0 must be positive"),
        (EvaluationConfig, {"confidence": 1.0}, "evaluation.confidence must lie between 0 and 1"),
        (EvaluationConfig, {"markov_max_order": 13}, "evaluation.markov_max_order must lie between 0 and 12"),
        (GatesConfig, {"context_length": "off"}, "gates.context_length=off is not a choice: use one of stop, warn"),
        (GatesConfig, {"adapters_move": ""}, "gates.adapters_move= is not a choice: use one of stop, warn"),
    ],
)
def test_cross_checks(make: Callable[..., Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        make(**settings)
    assert str(caught.value) == message
    make()


def test_values_at_the_limits_pass() -> None:
    SplitConfig(purge=0, block_length=1, fractions={"train": 1 / 3, "val": 1 / 3, "test": 1 / 3})
    WindowsConfig(length=128, min_length=128)
    training(reverse_complement=0.0, repeat_weight=1.0, context_length=1)
    InferConfig(top_k=0, top_p=1.0)
    EvaluationConfig(markov_max_order=0)


def test_defaults_are_not_shared() -> None:
    LoraConfig().targets.append("x")
    SplitConfig().fractions["train"] = 0.0
    assert "x" not in LoraConfig().targets
    assert SplitConfig().fractions["train"] == 0.8


# ---------------------------------------------------------------- stages


@pytest.mark.parametrize(
    ("stage", "stages"),
    [
        ("all", STAGES),
        (["all"], STAGES),
        ("train", ("train",)),
        (["evaluate", "prepare", "predict"], ("prepare", "predict", "evaluate")),
        (["train", "train", "prepare", "train"], ("prepare", "train")),
        (list(reversed(STAGES)), STAGES),
    ],
)
def test_stages_run_in_their_order(stage: str | list[str], stages: tuple[str, ...]) -> None:
    tasks = {
        "variants": VariantsConfig(table="a.vcf"),
        "elements": ElementsConfig(source="promoters"),
        "experiment": ExperimentConfig(table="a.csv", id_column="id"),
        "embed": EmbedConfig(input="a.fa"),
        "classify": ClassifyConfig(table="a.csv"),
    }
    assert Config(stage=stage, **tasks).stages == stages


@pytest.mark.parametrize("stage", ["variants", "elements", "experiment"])
def test_a_task_without_input_is_refused_unless_all_is_asked(stage: str) -> None:
    with pytest.raises(InputError, match=rf"^stage={stage} has nothing to do: give {stage}\."):
        Config(stage=["evaluate", stage])
    assert not Config(stage="all").has_work(stage)


@pytest.mark.parametrize("stage", ["trian", ["prepare", "trian"], ["trian", "trian"], [["trian"]]])
def test_unknown_stage(stage: Any) -> None:
    with pytest.raises(
        InputError, match=r"^stage=.*trian.* is not a choice: use one of download, prepare, preprocess, convert,"
    ):
        Config(stage=stage)


@pytest.mark.parametrize("stage", [None, 5, [], ""])
def test_stage_that_is_no_name(stage: Any) -> None:
    with pytest.raises(InputError, match=r"^stage=.*use one of download"):
        Config(stage=stage)


def test_all_beside_other_stages() -> None:
    """`all` is a choice: a message that denies it would mislead."""
    assert Config(stage=["all", "train"]).stages == STAGES


def test_stages_are_those_of_the_pipeline() -> None:
    assert tuple(PIPELINE) == STAGES


# ---------------------------------------------------------------- schema


@pytest.mark.parametrize(
    "schema",
    [
        GenomeConfig,
        SplitConfig,
        WindowsConfig,
        ModelConfig,
        BackendConfig,
        TrainConfig,
        PredictConfig,
        InferConfig,
        EvaluationConfig,
        SlurmConfig,
        SweepConfig,
        TrackingConfig,
    ],
)
def test_every_key_is_explained(schema: type) -> None:
    explained = (schema.__doc__ or "").split("Attributes")[1]
    for field in fields(schema):
        if field.name != "lora":
            assert re.search(rf"\b{field.name}\b", explained), field.name


# ---------------------------------------------------------------- the YAML files


def command(path: Path) -> tuple[str, list[str]]:
    """Module and overrides of the command on a file's first line; a remark may follow the command."""
    found = re.match(r"# python -m (workflow\.\w+)((?: \S+=\S+)*)", path.read_text(encoding="utf-8").splitlines()[0])
    assert found, f"{path} does not begin with the command that uses it"
    return found[1], shlex.split(found[2])


def leaves(value: Any, prefix: str = "config") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    return {key: leaf for name, item in value.items() for key, leaf in leaves(item, f"{prefix}.{name}").items()}


def test_there_is_an_option_for_each_genome_of_the_project() -> None:
    for name in ("XTT22", "R570", "ZZ1", "athaliana_plastid", "phix174"):
        assert f"genome={name}" in NAMES
    for name in ("lora", "full", "scratch", "none"):
        assert f"train={name}" in NAMES
    assert {"model=tiny", "backend=local", "evaluation=default"} <= set(NAMES)


@pytest.mark.parametrize("path", OPTIONS, ids=NAMES)
def test_option_begins_with_the_command_that_uses_it(path: Path, composed: Callable[..., Config]) -> None:
    group = path.parent.name
    module, overrides = command(path)
    assert (CONFIGS.parent / Path(*module.split("."))).with_suffix(".py").exists()
    assert f"{group}={path.stem}" in overrides
    config = composed(*overrides)
    assert MISSING not in leaves(asdict(config)).values()
    arrived, overridden = leaves(asdict(config)[group], group), [override.partition("=")[0] for override in overrides]
    for key, value in leaves(yaml.safe_load(path.read_text(encoding="utf-8")), group).items():
        if not str(value).startswith("${"):
            assert key in overridden or arrived.get(key) == value, key


def test_first_line_of_the_main_file_tells_the_defaults(composed: Callable[..., Config]) -> None:
    _, overrides = command(CONFIGS / "config.yaml")
    assert overrides == ["stage=all", "genome=athaliana_plastid", "model=tiny", "backend=local", "train=lora"]
    assert composed(*overrides) == composed()
    assert composed().stages == STAGES


def test_run_is_named_after_its_choices(composed: Callable[..., Config]) -> None:
    assert composed().run_name == "athaliana_plastid-tiny-lora"
    assert composed("genome=phix174", "train=none").run_name == "phix174-tiny-none"
    assert composed("genome=phix174", "run_name=mine").run_name == "mine"


def test_contexts_follow_the_model(composed: Callable[..., Config]) -> None:
    config = composed("model.context_length=2048")
    assert (config.train.context_length, config.windows.length) == (2048, 2048)
    config = composed("train.context_length=512")
    assert (config.model.context_length, config.train.context_length, config.windows.length) == (1024, 512, 512)
    config = composed("train.context_length=512", "windows.length=256")
    assert (config.train.context_length, config.windows.length) == (512, 256)


def test_files_of_ones_own(composed: Callable[..., Config]) -> None:
    config = composed("genome.name=mine", "genome.fasta=/x/a b.fa", "genome.annotation=null")
    assert (config.genome.fasta, config.genome.annotation) == ("/x/a b.fa", None)
    assert config.run_name == "mine-tiny-lora"


def test_list_of_stages(composed: Callable[..., Config]) -> None:
    assert composed("stage=[predict,prepare]").stages == ("prepare", "predict")
    assert composed("stage=train").stages == ("train",)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("train.stepz=3", "train.stepz"),
        ("genome.fastq=x", "genome.fastq"),
        ("windows.lenght=3", "windows.lenght"),
        ("train.lora.rnak=4", "train.lora.rnak"),
        ("gates.none=warn", "gates.none"),
        ("stages=all", "stages"),
        ("train.steps=many", "train.steps"),
        ("train.steps=1.5", "train.steps"),
        ("train.lora.targets=l1", "train.lora.targets"),
        ("split.fractions.val=much", "split.fractions.val"),
        ("force=perhaps", "force"),
        ("genome.name=null", "genome.name"),
    ],
)
def test_unknown_keys_and_wrong_types_are_named(override: str, key: str, composed: Callable[..., Config]) -> None:
    with pytest.raises(HydraException) as caught:
        composed(override)
    assert key in told(caught.value)


@pytest.mark.parametrize("group", sorted({path.parent.name for path in OPTIONS}))
def test_unknown_option_is_told_with_the_choices(group: str, composed: Callable[..., Config]) -> None:
    with pytest.raises(HydraException) as caught:
        composed(f"{group}=nothing_of_the_kind")
    assert f"{group}/nothing_of_the_kind" in str(caught.value)
    for path in CONFIGS.glob(f"{group}/*.yaml"):
        assert path.stem in str(caught.value)


def test_unknown_key_in_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("defaults: [schema, _self_]\ntrain: {stepz: 3}\n")
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(tmp_path)), pytest.raises(HydraException) as caught:
        compose("config")
    assert "stepz" in told(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.steps=0", r"^train\.steps=0 must be positive$"),
        ("train.learning_rate=???", r"^train\.learning_rate is not set: give"),
        ("run_name=???", r"^run_name is not set: give"),
        ("windows.length=${train.lenght}", r"^windows\.length: .*train\.lenght.* not found$"),
        ("stage=trian", r"^stage=trian is not a choice"),
    ],
)
def test_faults_of_the_combination_are_one_line(override: str, message: str, composed: Callable[..., Config]) -> None:
    with pytest.raises(InputError, match=message) as caught:
        composed(override)
    assert "\n" not in str(caught.value)


def test_short_context_reaches_its_gate(composed: Callable[..., Config]) -> None:
    """A short `train.context_length` is for the gate to judge, not for the check of another key to hide."""
    assert composed("train.context_length=64", "gates.context_length=warn").train.context_length == 64


@pytest.mark.parametrize("key", ["seed", "train.seed", "sweep.seed"])
def test_a_seed_out_of_range_is_told_where_it_was_set(composed: Callable[..., Config], key: str) -> None:
    with pytest.raises(InputError, match=rf"^{re.escape(key)}=-1 must lie between 0 and"):
        composed(f"{key}=-1")
