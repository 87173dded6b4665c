"""The embedded engine as a backend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workflow.artifacts import read_json, write_json
from workflow.backends.base import ModelFiles, Prompt, SequenceSet, Workplace
from workflow.backends.embedded.device import open_device
from workflow.backends.embedded.places import BEST, WEIGHTS
from workflow.backends.embedding import plan_embedding
from workflow.checkpoints import fp8_scales, load_model
from workflow.config import BackendConfig, Config
from workflow.console import say
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.preflight import check_context
from workflow.striped_hyena import PRESETS, StripedHyena2, load_checkpoint, save_checkpoint
from workflow.striped_hyena.checkpoints import inspect_checkpoint
from workflow.striped_hyena.embedding import embedding_rows
from workflow.striped_hyena.fp8 import emulate_fp8
from workflow.striped_hyena.generation import Generated, Sampling, generate
from workflow.striped_hyena.scoring import SequenceScore, score_sequences
from workflow.tracking import open_tracker

FP8_SCALES = "fp8_scales.json"


class LocalBackend:
    """`workflow.striped_hyena` on the CPU or a GPU; in training, on several.

    Raises
    ------
    InputError
        `backend.device=cuda` without a GPU.
    """

    def __init__(self, config: BackendConfig, place: Workplace) -> None:
        if config.device == "cuda" and not torch.cuda.is_available():
            raise InputError("backend.device=cuda, but PyTorch sees no GPU: use backend.device=cpu")
        self.place, self.device = place, open_device(config)
        self._kept: tuple[tuple[ModelFiles, str], StripedHyena2] | None = None

    def script(self, config: Config, stage: str, run: Path) -> list[str]:
        """The torchrun line of a training of several processes; everything else the engine does in this one."""
        if not config.starts_programs(stage):
            return []
        from workflow.backends.embedded import processes

        return [processes.program(config, Workplace(run / stage)).typed]

    def convert(self, config: Config, checkpoint: str | None, out: Path) -> dict[str, Any]:
        """Load strictly, or draw random weights for `train=scratch`, and save as safetensors."""
        architecture = PRESETS.get(config.model.architecture)
        if architecture is None:
            raise InputError(
                f"model.architecture={config.model.architecture} does not exist: use one of {', '.join(PRESETS)}"
            )
        if checkpoint is None:
            torch.manual_seed(config.seed)
            model = StripedHyena2(architecture)
        else:
            model = load_model(Path(checkpoint), architecture)
            _keep_fp8_scales(Path(checkpoint), out)
        save_checkpoint(model, out / WEIGHTS)
        return inspect_checkpoint(model)

    def train(self, config: Config, base: Path, tokens: Path, out: Path, gates: GateLog) -> dict[str, Any]:
        """Adapters or all weights, by Lightning: in this process, or in several that torchrun starts."""
        # Lightning takes seconds to import, which a process that scores need not spend.
        from workflow.backends.embedded import processes
        from workflow.backends.embedded.training import conclude, make_ready
        from workflow.backends.embedded.work import open_samples, take_part, tell_codons

        samples = open_samples(config, tokens)
        codons = tell_codons(config, tokens)
        median_length = check_context(config, gates, samples.lengths, "training samples")
        make_ready(out)
        with open_tracker(config, out) as tracker:
            if config.starts_programs("train"):
                processes.train(processes.Job(config, base, tokens, out, gates.as_records()), gates, self.place)
            else:
                take_part(config, base, tokens, out, gates, tracker)
        return conclude(out, samples, config.step_plan) | {"median_sample_length": median_length} | codons

    def score(self, config: Config, model: ModelFiles, sequences: SequenceSet) -> Iterator[SequenceScore]:
        """Per-base log-probabilities, in order."""
        loaded = self._model(model, config.predict.precision)
        return score_sequences(loaded, sequences, batch_tokens=config.predict.batch_tokens)

    def embed(self, config: Config, model: ModelFiles, sequences: SequenceSet) -> Iterator[np.ndarray]:
        """Embeddings in order, as rows (rows, layers, width · readings) float32."""
        plan, loaded = plan_embedding(config), self._model(model, config.predict.precision)
        return embedding_rows(
            loaded, sequences, plan.reader, layers=plan.layers, batch_tokens=config.embed.batch_tokens
        )

    def generate(self, config: Config, model: ModelFiles, prompts: Sequence[Prompt]) -> Iterator[Generated]:
        """Continuations in order; neighbours of equal length share a batch."""
        infer = config.infer
        loaded = self._model(model, config.predict.precision)
        sampling = Sampling(temperature=infer.temperature, top_k=infer.top_k, top_p=infer.top_p)
        for _, group in groupby(prompts, key=lambda prompt: len(prompt.text)):
            alike = list(group)
            for first in range(0, len(alike), infer.batch_size):
                batch = alike[first : first + infer.batch_size]
                yield from generate(
                    loaded,
                    [prompt.text for prompt in batch],
                    infer.length,
                    sampling=sampling,
                    seeds=[prompt.seed for prompt in batch],
                )

    def _model(self, files: ModelFiles, precision: str) -> StripedHyena2:
        """A model to compute with. The last one is kept, and let go before another is loaded."""
        if self._kept is None or self._kept[0] != (files, precision):
            self._kept = None
            self._kept = (files, precision), self._load(files, precision)
        return self._kept[1]

    def _load(self, files: ModelFiles, precision: str) -> StripedHyena2:
        best = files.trained / BEST if files.trained else None
        all_weights = best if best is not None and (best / WEIGHTS).exists() else files.base
        model = load_checkpoint(all_weights / WEIGHTS)
        model = model.float() if precision == "fp32" else model.to_bfloat16()
        if best is not None and all_weights is not best:
            from workflow.striped_hyena.adapters import load_adapter  # peft takes seconds to import

            # Merged into bfloat16 weights, small shifts would be rounded away.
            model = load_adapter(model, best, merge=precision == "fp32")
        if precision == "fp8":
            # Weights that were trained may have outgrown the scales that they were published with.
            scales = _fp8_scales(files.base) if all_weights is files.base else None
            if scales is None:
                say("  note: there are no FP8 scales of these weights; they are taken from the numbers themselves")
            emulate_fp8(model, scales)
        return model.to(self.device)


def _keep_fp8_scales(checkpoint: Path, out: Path) -> None:
    """Write the FP8 scales of a published checkpoint, which are wanted with `predict.precision=fp8` alone."""
    try:
        scales = fp8_scales(checkpoint)
    except InputError as error:
        say(f"  WARNING the FP8 scales cannot be read and are left out: {error}")
        return
    if scales:
        write_json(out / FP8_SCALES, scales)


def _fp8_scales(base: Path) -> dict[str, tuple[float, float]] | None:
    """Scales of the published checkpoint, where it had some."""
    path = base / FP8_SCALES
    return {name: tuple(pair) for name, pair in read_json(path).items()} if path.exists() else None
