"""The schema of a run: one dataclass a section, checked when the configuration is read.

Each section has a group of YAML files in `configs/` or stands on its defaults here. An unknown key or a
wrong type is refused by Hydra; what only shows in the combination of values is checked in `__post_init__`.
"""

from workflow.config.backend import PRECISIONS, BackendConfig, ParallelConfig
from workflow.config.classify import ClassifyConfig
from workflow.config.embed import EmbedConfig
from workflow.config.genome import (
    SPLITS,
    WINDOW_KINDS,
    GenomeConfig,
    MixtureConfig,
    SplitConfig,
    WindowsConfig,
    WindowSetConfig,
)
from workflow.config.launcher import LauncherConfig
from workflow.config.model import CodonConfig, LoraConfig, ModelConfig, TrainConfig
from workflow.config.run import SHARDED, STAGES, Config, GatesConfig, register_schema
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

__all__ = [
    "PRECISIONS",
    "SHARDED",
    "SPLITS",
    "STAGES",
    "WINDOW_KINDS",
    "BackendConfig",
    "ClassifyConfig",
    "CodonConfig",
    "Config",
    "ElementsConfig",
    "EmbedConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "GatesConfig",
    "GenomeConfig",
    "InferConfig",
    "LauncherConfig",
    "LoraConfig",
    "MixtureConfig",
    "ModelConfig",
    "ParallelConfig",
    "PredictConfig",
    "SplitConfig",
    "StepPlan",
    "SweepConfig",
    "TrackingConfig",
    "TrainConfig",
    "VariantsConfig",
    "WindowSetConfig",
    "WindowsConfig",
    "register_schema",
]
