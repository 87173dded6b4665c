"""A whole run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from workflow.config.backend import BackendConfig, ParallelConfig
from workflow.config.checks import require, require_choice, require_name
from workflow.config.classify import ClassifyConfig
from workflow.config.embed import EmbedConfig
from workflow.config.genome import GenomeConfig, MixtureConfig, SplitConfig, WindowsConfig
from workflow.config.launcher import LauncherConfig
from workflow.config.model import ModelConfig, TrainConfig
from workflow.config.scoring import (
    ElementsConfig,
    EvaluationConfig,
    ExperimentConfig,
    InferConfig,
    PredictConfig,
    VariantsConfig,
)
from workflow.config.steps import StepPlan
from workflow.config.sweep import SweepConfig
from workflow.config.tracking import TrackingConfig

STAGES = (
    "download",
    "prepare",
    "preprocess",
    "convert",
    "train",
    "predict",
    "infer",
    "variants",
    "elements",
    "experiment",
    "embed",
    "classify",
    "evaluate",
)


#: Stages that `all` leaves out where they are given nothing, and what they need.
_TASKS = {
    "variants": "variants.table=FILE",
    "elements": "elements.source=promoters or elements.source=FILE.bed",
    "experiment": "experiment.table=FILE",
    "embed": "embed.input=FILE or embed.windows=SET",
    "classify": "classify.table=FILE to train, or classify.model=FOLDER and classify.input=FILE to label",
}


#: Stages whose work can be cut into parts that are made anywhere: `STAGE.shards=8 STAGE.shard=0`.
SHARDED = ("predict", "embed")

#: Stages that compute with the model.
_COMPUTING = ("train", "predict", "infer", "variants", "elements", "experiment", "embed", "classify")


@dataclass
class GatesConfig:
    """What happens when a gate sees a meaningless number coming: `stop` or `warn`."""

    checkpoint_precision: str = "stop"
    context_length: str = "stop"
    first_validation_loss: str = "stop"
    finite_loss: str = "stop"
    adapters_move: str = "stop"
    parallel_sizes: str = "stop"
    gpu_memory: str = "stop"
    disk_space: str = "stop"
    training_data: str = "warn"
    mass_outside_acgt: str = "stop"
    train_test_similarity: str = "stop"
    split_fractions: str = "warn"
    beats_baseline: str = "warn"
    forgetting: str = "warn"
    prompt_sensitivity: str = "warn"

    def __post_init__(self) -> None:
        for key, action in vars(self).items():
            require_choice(f"gates.{key}", action, ("stop", "warn"))


@dataclass
class Config:
    """A whole run.

    Attributes
    ----------
    stage : str or list of str
        Stage names, or `all`.
    runs_folder, run_name : str
        The run lives in `runs_folder/run_name`.
    seed : int
        Of everything random.
    dry_run, force, debug : bool
        Show what would run; redo what is already there; show tracebacks.
    """

    genome: GenomeConfig = MISSING
    split: SplitConfig = field(default_factory=SplitConfig)
    windows: WindowsConfig = field(default_factory=WindowsConfig)
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    model: ModelConfig = MISSING
    backend: BackendConfig = MISSING
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    launcher: LauncherConfig = field(default_factory=LauncherConfig)
    train: TrainConfig = MISSING
    predict: PredictConfig = field(default_factory=PredictConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    variants: VariantsConfig = field(default_factory=VariantsConfig)
    elements: ElementsConfig = field(default_factory=ElementsConfig)
    experiment: ExperimentConfig = field(default_factory=ExperimentConfig)
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    classify: ClassifyConfig = field(default_factory=ClassifyConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    gates: GatesConfig = field(default_factory=GatesConfig)
    stage: Any = "all"
    runs_folder: str = "runs"
    run_name: str = MISSING
    seed: int = 42
    dry_run: bool = False
    force: bool = False
    debug: bool = False

    def __post_init__(self) -> None:
        if self.run_name != MISSING:
            require_name("run_name", self.run_name)
        # The others follow the first unless they are set.
        for key, holder in (("seed", self), ("train.seed", self.train), ("sweep.seed", self.sweep)):
            if holder != MISSING:
                require(0 <= holder.seed < 2**32, f"{key}={holder.seed} must lie between 0 and 2**32 − 1")
        sets = ", ".join(self.windows.sets)
        require(
            self.predict.windows in self.windows.sets,
            f"predict.windows={self.predict.windows} is no set of windows; there are {sets}",
        )
        for name in self.mixture.weights:
            require(
                name == "regions" or name in self.windows.sets,
                f"mixture.weights.{name} is no set of windows; there are regions, {sets}",
            )
        asked = self.stage if isinstance(self.stage, list) else [self.stage]
        require(bool(asked), f"stage=[] is empty: use one of {', '.join(STAGES)}, or all")
        for stage in asked:
            require_choice("stage", stage, (*STAGES, "all"))
            require(
                stage not in _TASKS or self.has_work(stage),
                f"stage={stage} has nothing to do: give {_TASKS.get(stage, '')}",
            )
        parts = [stage for stage in SHARDED if getattr(self, stage).shard is not None]
        require(len(parts) < 2, f"{' and '.join(f'{stage}.shard' for stage in parts)} are both set: make one at a time")
        if self.backend != MISSING:
            self._check_processes()
        if self.train != MISSING and self.backend != MISSING:
            kinds = {name: sets.kind for name, sets in self.windows.sets.items() if name in self.mixture.shares}
            self.train.coding_sets(self.backend.name, kinds)
        if self.train != MISSING:
            # The one place where a budget of tokens becomes steps.
            self.train = replace(self.train, steps=self.step_plan.steps)

    def _check_processes(self) -> None:
        """Refuse ways of being parallel that the backend does not have."""
        if self.backend.name != "local":
            strategy = self.parallel.strategy
            require(
                strategy == "ddp",
                f"parallel.strategy={strategy} is of backend=local: NVIDIA's tools spread a model by parallel.tensor",
            )
            return
        for key in ("tensor", "pipeline", "context"):
            size = getattr(self.parallel, key)
            require(
                size == 1,
                f"parallel.{key}={size}: backend=local spreads a model by parallel.devices and parallel.strategy=fsdp "
                f"alone; leave parallel.{key} out, or use backend=nemo2 or backend=mbridge",
            )

    @property
    def step_plan(self) -> StepPlan:
        """The samples of every optimizer step, over all processes."""
        return self.train.plan(self.parallel.data_parallel)

    def starts_programs(self, stage: str) -> bool:
        """Whether a stage starts programs: those of NVIDIA's tools do, and a training of several processes."""
        return self.backend.name != "local" or (stage == "train" and self.parallel.processes > 1)

    def has_work(self, stage: str) -> bool:
        """Whether the settings give a stage something to do; those of `_TASKS` and `train` may have nothing."""
        if stage == "train":
            return self.train.method != "none"
        given = {
            "variants": self.variants.table is not None,
            "elements": self.elements.source is not None,
            "experiment": self.experiment.table is not None,
            "embed": self.embed.has_work,
            "classify": self.classify.has_work,
        }
        return given.get(stage, True)

    def reads(self, stage: str, earlier: str) -> bool:
        """Whether a stage reads what an earlier one made; some do without, by what they are asked for."""
        if stage == "embed":
            model = "train" if self.embed.model == "adapted" else "convert"
            return earlier in ("convert", model) or (earlier == "prepare" and self.embed.windows is not None)
        if stage == "classify":
            model = "train" if self.classify.base == "adapted" else "convert"
            return not self.classify.labels_reads and earlier in ("convert", model)
        return True

    def computes(self, stage: str) -> bool:
        """Whether a stage computes with the model; `variants` does not where its scores were made elsewhere."""
        return stage in _COMPUTING and not (stage == "variants" and self.variants.scores is not None)

    def shards_of(self, stage: str) -> int:
        """Parts that a stage is asked to be cut into."""
        return int(getattr(self, stage).shards) if stage in SHARDED else 1

    @property
    def shard(self) -> tuple[str, int] | None:
        """The only part of a stage that this process makes: stage and number."""
        asked = [(stage, number) for stage in SHARDED if (number := getattr(self, stage).shard) is not None]
        return asked[0] if asked else None

    def processes_of(self, stage: str) -> int:
        """Processes of this machine that share a stage whose work is cut; NVIDIA's tools start their own."""
        shared = stage in SHARDED and self.backend.name == "local" and self.shard is None
        return self.parallel.devices if shared else 1

    def devices_of(self, stage: str) -> int:
        """GPUs of each machine that a stage computes on; the embedded engine spreads training and prediction alone."""
        if self.backend.name != "local" or stage == "train":
            return self.parallel.devices
        return self.processes_of(stage)

    @property
    def prediction_shards(self) -> int:
        """Parts that the stage `predict` makes: one a process, where no number is given."""
        return self.predict.shards if self.predict.shards > 1 else self.processes_of("predict")

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages asked for, in the order in which they run."""
        asked = self.stage if isinstance(self.stage, list) else [self.stage]
        return STAGES if "all" in asked else tuple(stage for stage in STAGES if stage in asked)


def register_schema() -> None:
    """Make the schema known to Hydra under the name that `configs/config.yaml` starts from, and `${min:a,b}`."""
    OmegaConf.register_new_resolver("min", min, replace=True)
    ConfigStore.instance().store(name="schema", node=Config)
