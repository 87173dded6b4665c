"""An adapter and its base model as one checkpoint, with a card that says where both came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow.artifacts import MANIFEST, read_json, read_manifest, write_text
from workflow.checkpoints.adapters import AdaptedTable
from workflow.checkpoints.converting import refuse_to_overwrite, target_format, write
from workflow.checkpoints.formats import open_checkpoint
from workflow.checkpoints.reading import Weights, read_weights
from workflow.checkpoints.writing import Precision
from workflow.errors import InputError
from workflow.striped_hyena.config import PRESETS, ModelConfig


@dataclass(frozen=True)
class Merged:
    """What `merge` wrote: the checkpoint, its card, and what both hold."""

    checkpoint: Path
    card: Path
    facts: dict[str, Any]


def merge(
    base: Path,
    adapter: Path,
    out: Path,
    *,
    config: ModelConfig | None = None,
    to: str | None = None,
    precision: Precision = "kept",
    force: bool = False,
) -> Merged:
    """Add an adapter to its base model and write the sum.

    W + alpha / rank · B · A is computed in float32 and, with `precision="kept"`, stays so: in bfloat16 steps of
    W / 256 would round small shifts away. Other tensors keep the precision of the base.

    Parameters
    ----------
    base, adapter : Path
        Of any format.
    out : Path
        `.safetensors` (ours) or `.pt` (vortex, or savanna by its name). The card stands beside it, with the ending
        `.model_card.md`.
    config : ModelConfig, optional
        The base's architecture, where it does not say it.
    to : {"ours", "vortex", "savanna"}, optional
        Instead of what the name says.
    precision : {"kept", "bf16", "fp32"}
    force : bool
        Replace files that are there.

    Raises
    ------
    InputError
        A file cannot be read, adapter and base do not fit, or the output exists.
    """
    format = target_format(out, to)
    card = out.with_name(f"{out.stem}.model_card.md")
    refuse_to_overwrite(out, card, force=force)
    if not open_checkpoint(adapter).format.is_adapter:
        raise InputError(f"{adapter} holds no adapter, but weights ({open_checkpoint(adapter).format})")
    weights = read_weights(base, config, adapter=adapter)
    facts = _facts(weights, adapter) | {"precision": precision}
    if precision == "bf16":
        facts["share of the shift lost by rounding to bfloat16"] = f"{_lost_by_rounding(weights):.1%}"
    facts |= write(weights, out, format, precision)
    write_text(card, _card(out, facts, _run_facts(adapter)))
    return Merged(out, card, facts)


def _facts(weights: Weights, adapter: Path) -> dict[str, Any]:
    added = weights.adapter
    assert added is not None
    models = [name for name, preset in PRESETS.items() if preset == weights.config]
    alpha = (
        f"{added.alpha:g}" if added.alpha_is_stated else f"{added.alpha:g} (the tool's default: its files name none)"
    )
    return {
        "base model": str(weights.path),
        "base format": str(weights.format),
        "architecture": models[0] if models else weights.config.to_json(),
        "adapter": str(adapter),
        "adapter format": str(added.opened.format),
        "rank": added.rank,
        "alpha": alpha,
        "adapted layers": ", ".join(added.targets),
    }


def _lost_by_rounding(weights: Weights) -> float:
    """‖rounded − exact‖ / ‖shift‖ over the adapted matrices (Frobenius)."""
    assert weights.adapter is not None and isinstance(weights.tensors, AdaptedTable)
    lost = shifted = 0.0
    for layer in weights.adapter.layers:
        exact = weights.tensors[f"{layer}.weight"]
        lost += float((exact.bfloat16().float() - exact).square().sum())
        shifted += float(weights.adapter.shift(layer).square().sum())
    return (lost / shifted) ** 0.5 if shifted else 0.0


def _run_facts(adapter: Path) -> dict[str, Any]:
    """What the manifests of the run say in which an adapter lies (`runs/NAME/train/…`); empty elsewhere."""
    train = next((folder for folder in Path(adapter).absolute().parents if _is_training(folder)), None)
    if train is None:
        return {}
    manifest = read_manifest(train)
    config, counts = manifest.get("config", {}), manifest.get("counts", {})
    facts = {
        "run": manifest.get("run_name"),
        "genome": config.get("genome", {}).get("name"),
        "organism": config.get("genome", {}).get("organism"),
        "fingerprint of the data": manifest.get("identity", {}).get("stages", {}).get("preprocess"),
        "fingerprint of the training": manifest.get("fingerprint"),
        "seed": config.get("seed"),
        **{f"training: {name}": value for name, value in counts.items()},
    }
    if (train.parent / "evaluate" / MANIFEST).is_file():
        evaluated = read_manifest(train.parent / "evaluate").get("counts", {})
        facts |= {f"evaluation: {name}": value for name, value in evaluated.items()}
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _is_training(folder: Path) -> bool:
    file = folder / MANIFEST
    return file.is_file() and read_json(file).get("stage") == "train"


def _card(out: Path, facts: dict[str, Any], run: dict[str, Any]) -> str:
    loaded_by = {
        "ours": f"`python -m workflow.run model.checkpoint={out.name} model.architecture=… train=none`",
        "vortex": "vortex and the `evo2` package, or this project",
        "savanna": "NVIDIA's converters (`evo2_convert_to_nemo2`, `evo2_convert_savanna_to_mbridge`), or this project",
    }
    lines = [
        f"# {out.name}",
        "",
        "A genome language model of the Evo 2 family: a base model with a low-rank adapter merged into its weights.",
        f"Loaded by {loaded_by[facts['format']]}.",
        "",
        *_rows(facts),
        "",
        "## Training",
        "",
        *(_rows(run) if run else ["The adapter did not lie in a run folder of this project: nothing more is known."]),
    ]
    return "\n".join(lines) + "\n"


def _rows(facts: dict[str, Any]) -> list[str]:
    cells = [(name, str(value).replace("|", "\\|").replace("\n", " ")) for name, value in facts.items()]
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in cells)]
