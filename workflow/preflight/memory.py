"""Gate `gpu_memory`: an estimate of what a stage needs on each GPU.

Weights, gradients and optimizer follow from the number of parameters. What is kept of a layer for the backward
pass is counted tensor by tensor, as Korthikanti et al. 2022 (arXiv:2205.05198) do it for transformers. Of their
34 bytes for a position and channel, dropout's masks fall away here, and the mixers are others. With e bytes an
element, r bytes an element of the residual stream, and w the MLP's width over the model's:

- two norms, each with its input, the normalised and the scaled: 6r;
- the gated MLP, with both inner signals and their product: 3we;
- attention, with q, k and v, the rotated q and k, the result and a copy of it: 7e;
- hyena: the projections in float32 for the short convolution, 3 · 4; what comes out of it, 3e; the gated input,
  the filtered and the gated signal, 3e; in `D` and `H` layers spectra of the Fourier transforms in float32;
- the filters' own spectra, which do not depend on the batch.

Where weights are frozen (LoRA of the local backend), the inputs of linear layers are not kept, but each adapter
keeps its own. The counts were compared with what PyTorch keeps of the local engine: they are within a tenth,
and tests hold them there. NVIDIA's tools fuse some of these steps; for them this is an upper estimate. They hand
float32 from block to block, and recompute several blocks together, whose activations are then there at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from workflow.config import Config, ParallelConfig
from workflow.console import say
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.preflight.hardware import GIB, Gpu, host_memory
from workflow.preflight.parallel import tensor_faults

if TYPE_CHECKING:
    from workflow.striped_hyena.config import ModelConfig as Shape

#: Share of a GPU that may be planned for; the rest goes to fragments and to what is not counted.
_USABLE = 0.9
#: CUDA's context, libraries and buffers of NCCL.
_RUNTIME = 1.5 * GIB
#: Passing memory of the widest step, bytes for a position and channel: measured on the local engine.
_SCORING_BYTES, _BACKWARD_BYTES = 58, 40
#: Spectra that are kept for a position and channel of a `D` or `H` layer: of the signal, and of the filter.
_SIGNAL_SPECTRA = {"S": 0, "D": 10, "H": 18, "*": 0}
_FILTER_SPECTRA = {"S": 0, "D": 10, "H": 22, "*": 0}
#: Logits, their log-softmax and its gradient, in float32.
_LOGITS_BYTES = 3 * 4
#: Blocks that NVIDIA's tools recompute together, by the blocks of the model; of others, as of most, four.
_RECOMPUTED_TOGETHER = {25: 5, 50: 2}
_MOSTLY_TOGETHER = 4
_TOGETHER_FLAG = "--activation-checkpoint-recompute-num-layers"
#: Stages that the local backend spreads over processes.
_IN_PROCESSES = ("train", "predict", "embed")
#: What a remedy may ask for.
_MOST_GPUS = 64
#: The patch without which LoRA on nemo2 must keep its activations.
_RECOMPUTE_PATCH = "nemo2-lora-recompute"
_LAYERS_OF_TARGET = {"projections": "SDH", "out_filter_dense": "SDH", "Wqkv": "*", "out_proj": "*"}


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on one GPU."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    runtime: float

    @property
    def total(self) -> float:
        """All of it."""
        return float(sum(asdict(self).values()))

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size / GIB:.1f}" for name, size in asdict(self).items() if size >= 0.05 * GIB)
        return f"{self.total / GIB:.1f} GiB" + (f" ({parts})" if parts else "")


@dataclass(frozen=True)
class Work:
    """What is in memory at a time: samples, and positions of each."""

    samples: int
    length: int


@dataclass(frozen=True)
class _Numbers:
    """Bytes of numbers in one kind of run.

    Attributes
    ----------
    weight, gradient, state : float
        Of a parameter that is there; of one that is trained, its gradient, and the optimizer's state.
    residual, element, adapter : float
        Of an element of the residual stream, of other activations, and of what an adapter keeps of its input.
    handed_on : float
        Of an element of the stream between blocks.
    frozen : bool
        Whether inputs of linear layers need not be kept.
    """

    weight: float
    gradient: float
    state: float
    residual: float
    element: float
    handed_on: float
    adapter: float = 0
    frozen: bool = False


#: Bases of a sequence whose length is told by a table: what counts is how many bases are in memory at a time.
_SHORT = 1024


def work_of(config: Config, stage: str) -> Work:
    """What a stage has in memory at a time."""
    if stage == "train":
        return Work(config.train.batch_size, config.train.context_length)
    if stage == "embed":
        length = config.embed.chunk_of(config.model.context_length)
        return Work(max(1, config.embed.batch_tokens // length), length)
    if stage == "classify":
        asked = config.classify
        return Work(asked.batch_size, asked.max_length or config.model.context_length)
    if stage != "infer":
        lengths = {"predict": config.windows.length, "variants": config.variants.window}
        length = lengths.get(stage, _SHORT)
        return Work(max(1, config.predict.batch_tokens // length), length)
    samples = config.infer.batch_size if config.backend.name == "local" else 1
    return Work(samples, config.infer.prompt_length + config.infer.length)


def estimate_memory(
    config: Config, stage: str, shape: Shape, work: Work | None = None, recompute: bool | None = None
) -> MemoryEstimate:
    """What a stage needs on each GPU.

    Parameters
    ----------
    stage : str
        One that computes with the model.
    work : Work, optional
        In place of what the configuration says.
    recompute : bool, optional
        In place of `recomputes`.
    """
    work = work or work_of(config, stage)
    trains = stage == "train"
    numbers = _numbers(config, trains)
    parallel = config.parallel
    is_local = config.backend.name == "local"
    is_sharded = is_local and trains and parallel.processes > 1 and parallel.strategy == "fsdp"
    spread = (parallel.processes if is_sharded else 1) if is_local else parallel.tensor * parallel.pipeline
    # The distributed optimizer spreads its state over all GPUs that hold the same weights.
    copies = 1 if is_local else parallel.data_parallel * parallel.context
    adapters = adapter_parameters(shape, config.train.lora.rank, config.train.lora.targets)
    is_lora = config.train.method == "lora"
    trained = (adapters if is_lora else shape.parameters) if trains else 0
    there = shape.parameters + (adapters if is_lora else 0)
    if trains:
        recompute = recomputes(config) if recompute is None else recompute
        activations = _training_activations(config, shape, work, numbers, recompute)
    else:
        activations = _scoring_activations(config, shape, work, numbers)
    logits = work.samples * work.length * shape.vocabulary * _LOGITS_BYTES
    # FSDP gathers the block that computes and the one after it.
    gathered = 2 * there / len(shape.pattern) if is_sharded else 0
    return MemoryEstimate(
        weights=(there / spread + gathered) * numbers.weight,
        gradients=trained * numbers.gradient / spread,
        optimizer=trained * numbers.state / spread / copies,
        activations=activations,
        logits=logits if is_local else logits / (parallel.tensor * parallel.context),
        runtime=_RUNTIME,
    )


def largest_micro_batch(config: Config, stage: str, shape: Shape, gpu_gib: float, recompute: bool | None = None) -> int:
    """Most samples that fit at a time on a GPU of that memory; 0 where not even one does."""
    length = work_of(config, stage).length
    one, two = (estimate_memory(config, stage, shape, Work(samples, length), recompute).total for samples in (1, 2))
    room = _USABLE * gpu_gib * GIB - one
    return 0 if room < 0 else 1 + int(room / (two - one))


def check_memory(config: Config, stage: str, shape: Shape, gpus: Sequence[Gpu], gates: GateLog) -> None:
    """Gate `gpu_memory` on the smallest GPU; without one, a warning where the main memory is too small.

    Parameters
    ----------
    gpus : sequence of Gpu
        Those of one machine that are used; empty where they are not known, and on the CPU.
    """
    known = [gpu for gpu in gpus if gpu.memory_gib]
    need = estimate_memory(config, stage, shape)
    if not known:
        if config.backend.name == "local":
            _warn_of_main_memory(need, config.parallel.devices if stage in _IN_PROCESSES else 1)
        return
    smallest = min(known, key=lambda gpu: gpu.memory_gib or 0)
    memory_gib, work = smallest.memory_gib or 0.0, work_of(config, stage)
    fits = need.total <= _USABLE * memory_gib * GIB
    gates.check(
        "gpu_memory",
        fits,
        saw=f"about {need} a GPU for {work.samples} × {work.length:,} positions at a time",
        limit=f"{_USABLE * memory_gib:.1f} GiB, {_USABLE:.0%} of {smallest.name}",
        why="It would run out of memory." + ("" if fits else f" {_remedy(config, stage, shape, memory_gib)}"),
    )


def memory_lines(config: Config, stage: str, shape: Shape, gpus: Sequence[Gpu]) -> list[str]:
    """The estimate, and the largest micro-batch, for a dry run."""
    lines = [f"memory: about {estimate_memory(config, stage, shape)} on each device"]
    known = [gpu.memory_gib for gpu in gpus if gpu.memory_gib]
    if known and _has_batches(config, stage):
        largest = largest_micro_batch(config, stage, shape, min(known))
        fitting = _setting(config, stage, largest) if largest else "none"
        lines.append(f"memory: the largest micro-batch that fits {min(known):.1f} GiB is {fitting}")
    elif not known and config.backend.name != "local":
        lines.append("memory: no GPU is seen here; plan for one with parallel.gpu=H100-80GB or the like")
    return lines


def adapter_parameters(shape: Shape, rank: int, targets: Sequence[str]) -> int:
    """Parameters of low-rank adapters: rank · (inputs + outputs) of each layer that gets one."""
    width, inner = shape.width, shape.mlp_width
    sizes = {
        "projections": 4 * width,
        "out_filter_dense": 2 * width,
        "Wqkv": 4 * width,
        "out_proj": 2 * width,
        "l1": width + inner,
        "l2": width + inner,
        "l3": inner + width,
    }
    return rank * sum(
        sizes.get(target, 0) for kind in shape.pattern for target in targets if kind in _layers_of(target)
    )


# ---------------------------------------------------------------- numbers and activations


def _numbers(config: Config, trains: bool) -> _Numbers:
    """Bytes of numbers: Megatron's mixed precision is 2 + 4 + 12, 18 in all; Lightning's 4 + 4 + 8."""
    precision = config.train.precision if trains else config.predict.precision
    is_lora = config.train.method == "lora"
    if config.backend.name == "local":
        element = 4 if precision == "fp32" else 2
        if not trains or is_lora:
            return _Numbers(element, 4, 8, element, element, element, adapter=element + 4, frozen=True)
        # Autocast keeps bfloat16 copies of the float32 weights through a step; the residual stream is float32.
        return _Numbers(4 if precision == "fp32" else 6, 4, 8, 4, element, 4)
    # FP8 copies of the weights stand beside them: one for the forward pass, one turned for the backward pass.
    copies = (2 if trains else 1) if precision == "fp8" else 0
    return _Numbers(2 + copies, 4, 12, 2, 2, 4, adapter=3 if is_lora else 0)


def _training_activations(config: Config, shape: Shape, work: Work, numbers: _Numbers, recompute: bool) -> float:
    """What stays for the backward pass, and the passing memory of the widest step."""
    tensor, pipeline, context = _split(config)
    positions = work.samples * work.length / context
    targets = config.train.lora.targets if config.train.method == "lora" else []
    layers = Counter(shape.pattern)
    block = {kind: positions * _kept_of_block(kind, shape, numbers, targets, tensor) for kind in layers}
    filters = {kind: work.length * shape.width * _FILTER_SPECTRA[kind] / tensor / context for kind in layers}
    if numbers.frozen:
        filters = {kind: size / 2 for kind, size in filters.items()}
    passing = positions * shape.width * _BACKWARD_BYTES / tensor
    if recompute:
        size = blocks_recomputed_together(config, shape)
        units = [shape.pattern[at : at + size] for at in range(0, len(shape.pattern), size)]
        inputs = positions * shape.width * numbers.handed_on * len(units) / pipeline
        return inputs + max(sum(block[kind] + filters[kind] for kind in unit) for unit in units) + passing
    # With p stages of a pipeline, the first holds p micro-batches of its share of the layers: as much as all layers.
    return sum(count * (block[kind] + filters[kind]) for kind, count in layers.items()) + passing


def blocks_recomputed_together(config: Config, shape: Shape) -> int:
    """Blocks between two activations that stay, where activations are recomputed."""
    if config.backend.name == "local":
        return 1
    asked = config.backend.extra.get("train_evo2", {}).get(_TOGETHER_FLAG, "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return _RECOMPUTED_TOGETHER.get(len(shape.pattern), _MOSTLY_TOGETHER)


def _kept_of_block(kind: str, shape: Shape, numbers: _Numbers, targets: Sequence[str], tensor: int) -> float:
    """Bytes that a block keeps for each position."""
    width, inner, e, frozen = shape.width, shape.mlp_width, numbers.element, numbers.frozen
    norms = (4 if frozen else 6) * numbers.residual * width
    mlp = (2 if frozen else 3) * e * inner
    if kind == "*":
        mixer = (5 if frozen else 7) * e * width
    else:
        spectra = _SIGNAL_SPECTRA[kind] / (3 if frozen else 1)
        mixer = (3 * 4 + (4 if frozen else 6) * e + spectra) * width
    adapted = sum((inner if target == "l3" else width) for target in targets if kind in _layers_of(target))
    return norms + (mlp + mixer + numbers.adapter * adapted) / tensor


def _layers_of(target: str) -> str:
    """Letters of the layers that have a linear layer of that name; the MLP's are in all."""
    return _LAYERS_OF_TARGET.get(target, "SDH*")


def _scoring_activations(config: Config, shape: Shape, work: Work, numbers: _Numbers) -> float:
    """The widest step, and in generation the attention layers' keys and values."""
    tensor, _, context = _split(config)
    positions = work.samples * work.length / context
    widest = positions * shape.width * _SCORING_BYTES / tensor
    cache = positions * shape.pattern.count("*") * 2 * shape.width * numbers.element / tensor
    return widest + cache


def _split(config: Config) -> tuple[int, int, int]:
    """Sizes of the tensor, pipeline and context groups."""
    parallel = config.parallel
    return (1, 1, 1) if config.backend.name == "local" else (parallel.tensor, parallel.pipeline, parallel.context)


def recomputes(config: Config) -> bool:
    """Whether activations are recomputed in the backward pass.

    LoRA on nemo2 must keep them, whatever is asked for, unless the patch is applied that mends its gradients.
    What the tools call selective recomputation is that of attention scores, which are not kept anyway.
    """
    return config.train.activation_checkpointing and not _lacks_patch(config)


def _lacks_patch(config: Config) -> bool:
    if config.backend.name != "nemo2" or config.train.method != "lora":
        return False
    if config.launcher.name == "docker":
        return not config.launcher.patched
    from workflow.patching import is_applied

    return not is_applied(_RECOMPUTE_PATCH)


# ---------------------------------------------------------------- remedies


@dataclass(frozen=True)
class _Change:
    """Settings that need less memory, and how to ask for them."""

    config: Config
    recompute: bool
    told: str


def _remedy(config: Config, stage: str, shape: Shape, memory_gib: float) -> str:
    largest = largest_micro_batch(config, stage, shape, memory_gib)
    if largest:
        return f"The largest micro-batch that fits is {_setting(config, stage, largest)}."
    for change in _changes(config, stage, shape):
        if largest := largest_micro_batch(change.config, stage, shape, memory_gib, change.recompute):
            at_most = f", with at most {_setting(change.config, stage, largest)}" if _has_batches(config, stage) else ""
            return f"Use {change.told}{at_most}."
    return f"Neither recomputation nor up to {_MOST_GPUS} GPUs make room: shorten the context or take a smaller model."


def _has_batches(config: Config, stage: str) -> bool:
    """Whether a setting says how many samples are there at a time: NVIDIA's tools generate as they will."""
    return stage != "infer" or config.backend.name == "local"


def _setting(config: Config, stage: str, samples: int) -> str:
    if stage == "train":
        return f"train.batch_size={samples}"
    if stage == "infer":
        return f"infer.batch_size={samples}"
    return f"predict.batch_tokens={samples * work_of(config, stage).length}"


def _changes(config: Config, stage: str, shape: Shape) -> Iterator[_Change]:
    """The cheapest first: recomputation, then more GPUs, then both."""
    starts = [_Change(config, recomputes(config), "")]
    if stage == "train" and not starts[0].recompute:
        train = replace(config.train, activation_checkpointing=True)
        starts.append(_Change(replace(config, train=train), True, _ask_for_recomputation(config)))
        yield starts[1]
    if config.backend.name == "local" and stage != "train":
        return
    for size in (2, 4, 8, 16, 32, _MOST_GPUS):
        for start in starts:
            for parallel in _spread(config, size, shape, stage):
                changed = [told for told in _sizes_of(parallel) if told not in _sizes_of(config.parallel)]
                if parallel.nodes > 1 and config.launcher.name != "torchrun":
                    changed.append("launcher=torchrun launcher.rendezvous=HOST:PORT")
                told = " and ".join([" ".join(changed), *filter(None, [start.told])])
                with suppress(InputError):  # a budget of tokens that does not pay for such steps, say
                    yield _Change(replace(start.config, parallel=parallel), start.recompute, told)


def _ask_for_recomputation(config: Config) -> str:
    asked = "train.activation_checkpointing=true"
    if not _lacks_patch(config):
        return asked
    if config.launcher.name == "docker":
        return f"{asked} launcher.patched=true with an image of docker/Dockerfile"
    return f"{asked} after `python -m workflow.patches apply {_RECOMPUTE_PATCH}`"


def _spread(config: Config, size: int, shape: Shape, stage: str) -> Iterator[ParallelConfig]:
    """One model over `size` GPUs; then `size` GPUs for one optimizer."""
    now = config.parallel
    if config.backend.name == "local":
        if size > now.processes:
            yield replace(now, devices=-(-size // now.nodes), strategy="fsdp")
        return
    wanted = [replace(now, tensor=size)] if size > now.tensor and not tensor_faults(shape, size) else []
    wanted += [now] if stage == "train" else []
    for parallel in wanted:
        least = max(parallel.model_parallel, size, now.nodes * now.devices)
        each = now.devices if now.devices > 1 else min(least, 8)
        nodes = -(-least // each)
        spread = replace(parallel, nodes=nodes, devices=each)
        if spread != now and (nodes * each) % spread.model_parallel == 0:
            yield spread


def _sizes_of(parallel: ParallelConfig) -> list[str]:
    return [f"parallel.{key}={value}" for key, value in asdict(parallel).items()]


def _warn_of_main_memory(need: MemoryEstimate, processes: int) -> None:
    memory = host_memory()
    if memory and processes * need.total > memory.available_gib * GIB:
        each = f"{processes} × " if processes > 1 else ""
        say(f"  WARNING about {each}{need} of main memory are needed, {memory.available_gib:.1f} GiB are free")
