"""`predict_evo2` of both generations."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tests.emulator.fasta import read_fasta
from tests.emulator.loading import check_heads, load_mbridge, load_nemo2
from tests.emulator.setting import Refused, Setting, dawdle, log, ranks, world_of_torchrun
from workflow.striped_hyena import StripedHyena2

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class _Place:
    """A data-parallel rank and the number of the GPU that writes for it."""

    dp: int
    rank: int
    sequences: list[int]


def predict(arguments: argparse.Namespace, setting: Setting) -> None:
    """Write the predictions of every rank."""
    sequences = read_fasta(arguments.fasta)
    model_parallel = arguments.tensor_parallel_size * arguments.context_parallel_size
    if setting.is_nemo2:
        dp = ranks(model_parallel, getattr(arguments, "num_nodes", 1), getattr(arguments, "devices", None))
        adapter = getattr(arguments, "lora_checkpoint_path", None)
        model = load_nemo2(arguments.ckpt_dir, arguments.model_size, adapter, setting)
    else:
        dp = ranks(model_parallel, 1, world_of_torchrun())
        model = load_mbridge(arguments.ckpt_dir, setting)
    check_heads(model.config, arguments)
    out: Path = arguments.output_dir or Path("predictions")
    out.mkdir(parents=True, exist_ok=True)
    names = sorted(sequences)
    (out / "seq_idx_map.json").write_text(json.dumps({name: index for index, name in enumerate(names)}))
    places = [_Place(rank, rank * model_parallel, list(range(rank, len(names), dp))) for rank in range(dp)]
    if setting.fault.kind == "missing-rank":
        places.pop()
    written: list[Path] = []
    for place in places:
        batches = _batches(model, [sequences[name] for name in names], place, arguments, setting)
        written += _write(batches, place, out, arguments, setting)
    if setting.fault.kind == "truncate":
        data = written[-1].read_bytes()
        written[-1].write_bytes(data[: len(data) // 2])
    log(f"Predictions of {len(names)} sequences are in {out}")


def _write(
    batches: Iterator[Batch], place: _Place, out: Path, arguments: argparse.Namespace, setting: Setting
) -> list[Path]:
    stem = f"predictions__rank_{place.rank}"
    if setting.version != "2.6.3":
        stem += f"__dp_rank_{place.dp}"
    if getattr(arguments, "write_interval", "epoch") == "epoch":
        held = list(batches)
        setting.fault.midway()
        if not held:
            return []
        torch.save(_joined(held), out / f"{stem}.pt")
        return [out / f"{stem}.pt"]
    written = []
    for number, batch in enumerate(batches):
        if number == 1:
            setting.fault.midway()
        folder = _folder(out, number, arguments.files_per_subdir, setting)
        folder.mkdir(exist_ok=True)
        written.append(folder / f"{stem}__batch_{number}.pt")
        torch.save(batch | {"batch_idx": torch.tensor([number])}, written[-1])
    setting.fault.midway()
    return written


def _folder(out: Path, number: int, files_per_subdir: int | None, setting: Setting) -> Path:
    if files_per_subdir is None:
        return out
    if setting.is_nemo2:
        return out / f"subdir_{number // files_per_subdir + 1}"
    return out if number == 0 else out / "subdir_2"  # The fault of mbridge.


def _batches(
    model: StripedHyena2, sequences: list[str], place: _Place, arguments: argparse.Namespace, setting: Setting
) -> Iterator[Batch]:
    size: int = getattr(arguments, "micro_batch_size", 0) or getattr(arguments, "batch_size", 1)
    for first in range(0, len(place.sequences), size):
        numbers = place.sequences[first : first + size]
        tokens, mask = _padded([sequences[number] for number in numbers], arguments)
        yield _answer(model, tokens, mask, torch.tensor(numbers), arguments, setting)
        dawdle()


def _padded(sequences: list[str], arguments: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Upper-case tokens, and 1 where they are bases: the begin token and padding, both 0, are not."""
    begin = int(arguments.prepend_bos)
    longest = max(max(map(len, sequences)) + begin, getattr(arguments, "min_length", None) or 0)
    tokens = torch.zeros(len(sequences), longest, dtype=torch.int64)
    mask = torch.zeros_like(tokens)
    for row, sequence in enumerate(sequences):
        letters = torch.tensor(list(sequence.upper().encode("ascii")))
        tokens[row, begin : begin + len(letters)] = letters
        mask[row, begin : begin + len(letters)] = 1
    return tokens, mask


@torch.inference_mode()
def _answer(
    model: StripedHyena2,
    tokens: Tensor,
    mask: Tensor,
    numbers: Tensor,
    arguments: argparse.Namespace,
    setting: Setting,
) -> Batch:
    layer = getattr(arguments, "embedding_layer", None)
    output = model(tokens, hidden_layers=() if layer is None else (layer,))
    index = {"seq_idx": numbers}
    also = index if setting.is_nemo2 else index | {"tokens": tokens}
    if layer is not None:
        return {"hidden_embeddings": output.hidden[layer].float(), "pad_mask": mask} | also
    logits = output.logits.float()
    if setting.is_nemo2 and arguments.context_parallel_size > 1:
        logits = _zigzag(logits, arguments.context_parallel_size)
    if arguments.output_log_prob_seqs:
        observed, kept = _log_probabilities(logits, tokens, mask, arguments.log_prob_collapse_option)
        per_token = observed.ndim == 2 and not setting.is_nemo2
        return {"log_probs_seqs": observed} | index | ({"loss_mask": kept} if per_token else {})
    return {"token_logits": logits, "pad_mask": mask} | also


def _log_probabilities(logits: Tensor, tokens: Tensor, mask: Tensor, collapse: str) -> tuple[Tensor, Tensor]:
    """Of each token given those before it, 0 in padding; and which of them count."""
    kept = mask[:, 1:]
    observed = logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0] * kept
    if collapse == "per_token":
        return observed, kept.bool()
    total = observed.sum(1)
    return (total if collapse == "sum" else total / kept.sum(1).clamp(min=1)), kept.bool()


def _zigzag(values: Tensor, size: int) -> Tensor:
    """Positions in the order in which the ranks of context parallelism hold them: part i and part 2·size − 1 − i."""
    if values.shape[1] % (2 * size):
        raise Refused(f"RuntimeError: shape '[{2 * size}, -1]' is invalid for input of size {values.shape[1]}")
    parts = values.chunk(2 * size, dim=1)
    return torch.cat([part for rank in range(size) for part in (parts[rank], parts[2 * size - 1 - rank])], dim=1)


def _joined(batches: list[Batch]) -> Batch:
    """One table of all batches: zeros, logits too, behind those that are shorter than the longest."""
    return {key: _stacked([batch[key] for batch in batches]) for key in batches[0]}


def _stacked(tensors: list[Tensor]) -> Tensor:
    if tensors[0].ndim == 1:
        return torch.cat(tensors)
    longest = max(tensor.shape[1] for tensor in tensors)
    out = tensors[0].new_zeros(sum(map(len, tensors)), longest, *tensors[0].shape[2:])
    row = 0
    for tensor in tensors:
        out[row : row + len(tensor), : tensor.shape[1]] = tensor
        row += len(tensor)
    return out
