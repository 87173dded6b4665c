"""Checkpoints: `python -m workflow.checkpoint inspect|convert|compare|merge PATH …`, whatever their format."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflow.checkpoints import Description, compare, describe, merge, read_weights
from workflow.checkpoints.architecture import named_architecture
from workflow.checkpoints.comparing import Comparison
from workflow.checkpoints.converting import WRITERS, refuse_to_overwrite, target_format, write
from workflow.checkpoints.writing import PRECISIONS
from workflow.console import complain, say
from workflow.errors import InputError
from workflow.genome.fasta import import_fasta
from workflow.genome.sequences import Genome
from workflow.striped_hyena.config import ModelConfig

_DESCRIPTION = "Read, convert, compare and merge checkpoints of every format that Evo 2 weights come in."
_ARCHITECTURE = "a published model such as evo2_7b, or a checkpoint that says its own; needed for some .pt files"
#: Most bases that a comparison scores, and the length of the pieces that longer sequences are cut into.
_SCORED_BASES, _PIECE_BASES = 1 << 18, 8192
_SHOWN_DIFFERENCES = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code: 0, 1 when two checkpoints differ, 2 for errors of use."""
    options = _parser().parse_args(arguments)
    try:
        exit_code: int = options.run(options)
    except (InputError, OSError) as error:
        complain(f"error: {error}")
        return 2
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflow.checkpoint", description=_DESCRIPTION)
    verbs = parser.add_subparsers(dest="verb", required=True)

    inspected = verbs.add_parser("inspect", help="what a checkpoint holds; no weights are read")
    inspected.add_argument("path", type=Path)
    inspected.add_argument("--json", action="store_true", help="print JSON")
    inspected.set_defaults(run=_inspect)

    converted = verbs.add_parser("convert", help="write a checkpoint of any format as another")
    converted.add_argument("path", type=Path)
    converted.add_argument("out", type=Path, help="FILE.safetensors or FILE.pt")
    converted.set_defaults(run=_convert)

    compared = verbs.add_parser("compare", help="two checkpoints tensor by tensor; exit code 1 when they differ")
    compared.add_argument("path", type=Path)
    compared.add_argument("other", type=Path)
    compared.add_argument("--architecture", help=_ARCHITECTURE)
    compared.add_argument("--fasta", type=Path, help="score these sequences with both")
    compared.set_defaults(run=_compare)

    merged = verbs.add_parser("merge", help="base model + adapter → one checkpoint, with a model card")
    merged.add_argument("path", type=Path, metavar="base")
    merged.add_argument("adapter", type=Path, help="folder of peft, or a LoRA checkpoint of NeMo2 or Megatron Bridge")
    merged.add_argument("out", type=Path, help="FILE.safetensors or FILE.pt")
    merged.set_defaults(run=_merge)

    for verb in (converted, merged):
        verb.add_argument("--to", choices=tuple(WRITERS), help="default: by the name of the output")
        verb.add_argument("--architecture", help=_ARCHITECTURE)
        verb.add_argument("--precision", choices=PRECISIONS, default="kept", help="of the numbers that are written")
        verb.add_argument("--force", action="store_true", help="replace files that are there")
    return parser


def _config(options: argparse.Namespace) -> ModelConfig | None:
    return named_architecture(options.architecture) if options.architecture else None


def _inspect(options: argparse.Namespace) -> int:
    found = describe(options.path)
    if options.json:
        say(json.dumps(found.to_dict(), indent=2))
    else:
        for name, text in describe_lines(found):
            say(f"{name:<12} {text}")
    return 0


def _convert(options: argparse.Namespace) -> int:
    target_format(options.out, options.to)
    refuse_to_overwrite(options.out, force=options.force)
    weights = read_weights(options.path, _config(options))
    written = write(weights, options.out, options.to, options.precision)
    merged = f" {weights.path}, with the adapter {options.path} merged into it" if weights.adapter else ""
    say(
        f"{options.out}: {written['format']}, {written['parameters']:,} parameters, {_size(written['bytes'])}, "
        f"from {weights.format}{merged}"
    )
    return 0


def _compare(options: argparse.Namespace) -> int:
    sequences = _read_pieces(options.fasta) if options.fasta else None
    found = compare(options.path, options.other, _config(options), sequences)
    for line in compare_lines(found):
        say(line)
    return 0 if found.identical else 1


def _merge(options: argparse.Namespace) -> int:
    merged = merge(
        options.path,
        options.adapter,
        options.out,
        config=_config(options),
        to=options.to,
        precision=options.precision,
        force=options.force,
    )
    for name, value in merged.facts.items():
        say(f"{name:<16} {value}")
    say(f"card             {merged.card}")
    return 0


def describe_lines(found: Description) -> list[tuple[str, str]]:
    """A description for people: what, and what about it."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.layers_by_kind.items())
    lines = [("format", str(found.format))]
    if not found.adapter:
        fits = " or ".join(found.models) or "no published model"
        lines += [
            ("model", fits if found.config or len(found.models) < 2 else f"{fits} (same shapes)"),
            ("layers", f"{found.layers}: {kinds}"),
        ]
    else:
        stated = "" if found.adapter.alpha_is_stated else " (the tool's default)"
        lines += [
            ("adapter", f"rank {found.adapter.rank}, alpha {found.adapter.alpha:g}{stated}"),
            ("adapts", f"{found.adapter.layers} layers: {', '.join(found.adapter.targets)}"),
            ("base model", found.adapter.base or "not named"),
        ]
    dtypes = ", ".join(f"{count} {dtype}" for dtype, count in found.tensors_by_dtype.items())
    lines += [("parameters", f"{found.parameters:,} in {_size(found.bytes)}"), ("tensors", dtypes)]
    if found.step is not None:
        samples = "" if found.consumed_samples is None else f", {found.consumed_samples:,} samples"
        lines.append(("step", f"{found.step:,}{samples}"))
    lines.append(("optimizer", "its state is there" if found.optimizer else "no state"))
    lines += [
        (what, ", ".join(names)) for what, names in (("missing", found.missing), ("unknown", found.unknown)) if names
    ]
    return [*lines, ("complete", "yes" if found.complete else "no")]


def compare_lines(found: Comparison) -> list[str]:
    """A comparison for people."""
    different = [tensor for tensor in found.tensors if tensor.difference != 0]
    lines = [
        f"{tensor.name}: up to {tensor.difference:.3g} of {tensor.largest:.3g} ({' and '.join(tensor.dtypes)})"
        for tensor in different[:_SHOWN_DIFFERENCES]
    ]
    if len(different) > _SHOWN_DIFFERENCES:
        lines.append(f"and {len(different) - _SHOWN_DIFFERENCES} more")
    lines.append(f"{len(different)} of {len(found.tensors)} tensors differ" if different else "all tensors are equal")
    if found.nll is not None:
        lines.append(f"negative log-likelihood: {found.nll[0]:.5f} and {found.nll[1]:.5f} nats per base")
        lines.append(f"largest difference at one base: {found.largest_logprob_difference:.2g} nats")
    return lines


def _read_pieces(fasta: Path) -> dict[str, np.ndarray]:
    """Sequences of a FASTA file in pieces that a model reads at once, up to a bounded number of bases."""
    pieces: dict[str, np.ndarray] = {}
    left = _SCORED_BASES
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "sequences.fa"
        import_fasta(fasta, copy)
        with Genome(copy) as genome:
            for seqid, length in genome.lengths.items():
                for start in range(0, min(length, left), _PIECE_BASES):
                    end = min(start + _PIECE_BASES, length)
                    pieces[f"{seqid}:{start}-{end}"] = genome.fetch(seqid, start, end)
                left -= min(length, left)
    return pieces


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


if __name__ == "__main__":
    sys.exit(main())
