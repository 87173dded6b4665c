"""What runs the model: the backend and the devices."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from workflow.config.checks import require_choice, require_positive

#: Arithmetic of training and scoring.
PRECISIONS = ("fp32", "bf16", "fp8")


@dataclass
class BackendConfig:
    """What runs the model.

    Attributes
    ----------
    name : str
        `local`: the embedded engine. `nemo2`: NVIDIA's NGC container bionemo-framework 2.5 to 2.7.1.
        `mbridge`: its successor, the recipe evo2_megatron.
    precision : str
        Arithmetic that `train.precision` and `predict.precision` begin with: `fp32`, `bf16` or `fp8`.
    device : str
        `auto` (a GPU where there is one), `cpu` or `cuda`; of the local backend only.
    version : str
        Version of NVIDIA's tools, such as 2.7.1; `auto` asks the installed ones.
    tokenizer : str, optional
        Folder of `nucleotide_fast_tokenizer_512`, which the tools of mbridge must be given (`…_256` for
        `train=scratch`).
    keep_raw : bool
        Keep the tools' own prediction files once they are converted.
    raw_gigabytes : float
        Disk that these may take at a time: windows are scored in as many parts as this needs, 2 kB a base.
    silence_minutes : float
        A tool that prints nothing for so long is stopped as hung.
    extra : dict
        Further flags of single tools by tool and flag, such as `predict_evo2: {--files-per-subdir: 100}`;
        checked like all others.
    """

    name: str = MISSING
    precision: str = "fp32"
    device: str = "auto"
    version: str = "auto"
    tokenizer: str | None = None
    keep_raw: bool = False
    raw_gigabytes: float = 40.0
    silence_minutes: float = 60.0
    extra: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_choice("backend.precision", self.precision, PRECISIONS)
        require_choice("backend.device", self.device, ("auto", "cpu", "cuda"))
        require_positive("backend", self, "raw_gigabytes", "silence_minutes")


@dataclass
class ParallelConfig:
    """How a model is spread over devices.

    Attributes
    ----------
    nodes, devices : int
        Machines, and GPUs of each; of the local backend without a GPU, processes of each.
    tensor, pipeline, context : int
        Sizes of Megatron's parallel groups, of NVIDIA's tools alone; what is left of nodes · devices is data parallel.
    strategy : str
        How several processes of the local backend train together: `ddp`, each with the whole model, or `fsdp`, each
        with its part of every layer. The result is the same.
    gpu : str, optional
        Kind of GPU that the run is planned for, where it is not the one that is seen here: one of
        `workflow.preflight.hardware.GPUS`, such as H100-80GB.
    """

    nodes: int = 1
    devices: int = 1
    tensor: int = 1
    pipeline: int = 1
    context: int = 1
    strategy: str = "ddp"
    gpu: str | None = None

    def __post_init__(self) -> None:
        require_positive("parallel", self, "nodes", "devices", "tensor", "pipeline", "context")
        require_choice("parallel.strategy", self.strategy, ("ddp", "fsdp"))

    @property
    def processes(self) -> int:
        """Devices of all machines; of the local backend, the processes that train together."""
        return self.nodes * self.devices

    @property
    def model_parallel(self) -> int:
        """GPUs that one copy of the model is spread over."""
        return self.tensor * self.pipeline * self.context

    @property
    def data_parallel(self) -> int:
        """Copies of the model that train side by side."""
        return max(1, self.processes // self.model_parallel)
