"""A checkpoint of any format into the one that NVIDIA's tools load."""

from __future__ import annotations

import pickle
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml

from workflow.backends.nvidia.running import ToolRunner
from workflow.backends.nvidia.settings import Source, SourceKind, Toolchain
from workflow.checkpoints import Format, describe, load_model, sniff, write_savanna
from workflow.config import Config
from workflow.errors import InputError, ToolError
from workflow.striped_hyena.config import PRESETS

#: In the folder of stage `convert`.
CHECKPOINT, SAVANNA = "checkpoint", "savanna.pt"
_HUGGING_FACE, _NGC = "hf://", "ngc://"
_ITERATION = re.compile(r"iter_(\d+)")
_RUN_CONFIG, _LATEST = "run_config.yaml", "latest_checkpointed_iteration.txt"
#: Megatron Bridge keeps the same file in each iteration, and that of the newest beside them.
_STATE, _LATEST_STATE = "train_state.pt", "latest_train_state.pt"


def convert(tools: Toolchain, runner: ToolRunner, config: Config, checkpoint: str, out: Path) -> dict[str, Any]:
    """Convert, and check what was written against the architecture.

    A checkpoint that is in the tools' format already is linked to, not copied.

    Raises
    ------
    InputError
        The checkpoint cannot be read, or does not fit the architecture.
    ToolError
        The tool failed, or wrote nothing (upstream issue 1579: it may end well on files it cannot read).
    """
    source = _source(tools, runner, config, checkpoint, out)
    target = out / CHECKPOINT
    commands = tools.convert(config, source, target)
    for command in commands:
        runner.run(command)
    if not commands:
        _link(source, target)
    (out / SAVANNA).unlink(missing_ok=True)
    return _inspect(config, target)


def script(tools: Toolchain, runner: ToolRunner, config: Config, checkpoint: str, out: Path) -> list[str]:
    """The lines that `convert` stands for."""
    lines = []
    if checkpoint.startswith(_NGC):
        lines.append(f"NEMO2=$({runner.line(tools.download(checkpoint.removeprefix(_NGC)))} | tail -n 1)")
        source = Source("nemo2", "$NEMO2")
    elif checkpoint.startswith(_HUGGING_FACE):
        source = Source("hub", checkpoint)
    else:
        known = _kind_of(Path(checkpoint), config)
        source = known or Source("savanna", out.absolute() / SAVANNA)
        if known is None:
            lines.append(_rewriting(config, ["convert", checkpoint, str(source.place)]))
    commands = [runner.line(command) for command in tools.convert(config, source, out.absolute() / CHECKPOINT)]
    lines = [shlex.join(["mkdir", "-p", str(out.absolute())]), *lines, *(commands or _linking(source, out.absolute()))]
    return [line.replace("'$NEMO2'", '"$NEMO2"') for line in lines]


def _rewriting(config: Config, words: list[str]) -> str:
    """The line that writes a savanna file."""
    options = ["--to", "savanna", "--architecture", config.model.architecture, "--force"]
    return shlex.join(["python", "-m", "workflow.checkpoint", *words, *options])


def _link(source: Source, target: Path) -> None:
    """Take a checkpoint as it is; of MBridge one iteration, as the tools take the newest of a folder."""
    place = Path(source.place)
    if source.kind != "mbridge":
        target.symlink_to(place, target_is_directory=True)
        return
    target.mkdir()
    (target / place.name).symlink_to(place, target_is_directory=True)
    (target / _LATEST).write_text(_step(place), encoding="utf-8")
    if (place / _STATE).exists():
        shutil.copy(place / _STATE, target / _LATEST_STATE)


def _linking(source: Source, out: Path) -> list[str]:
    """The lines that `_link` stands for."""
    place, target = str(source.place), out / CHECKPOINT
    if source.kind != "mbridge":
        return [shlex.join(["ln", "-sfn", place, str(target)])]
    return [
        shlex.join(["mkdir", "-p", str(target)]),
        shlex.join(["ln", "-sfn", place, str(target / Path(place).name)]),
        f"printf %s {_step(Path(place))} > {shlex.quote(str(target / _LATEST))}",
        shlex.join(["cp", str(Path(place) / _STATE), str(target / _LATEST_STATE)]),
    ]


def _step(iteration: Path) -> str:
    match = _ITERATION.fullmatch(iteration.name)
    if match is None:
        raise InputError(f"{iteration} is an MBridge checkpoint under another name: the tools want iter_NNNNNNN")
    return str(int(match[1]))


def _source(tools: Toolchain, runner: ToolRunner, config: Config, checkpoint: str, out: Path) -> Source:
    if checkpoint.startswith(_HUGGING_FACE):
        return Source("hub", checkpoint)
    if checkpoint.startswith(_NGC):
        return Source("nemo2", _download(tools, runner, checkpoint.removeprefix(_NGC)))
    if known := _kind_of(Path(checkpoint), config):
        return known
    write_savanna(load_model(Path(checkpoint), PRESETS[config.model.architecture]), out / SAVANNA)
    return Source("savanna", out.absolute() / SAVANNA)


def _kind_of(path: Path, config: Config) -> Source | None:
    """A checkpoint that the tools read themselves; None for others."""
    kinds: dict[Format, SourceKind] = {Format.SAVANNA: "savanna", Format.NEMO2: "nemo2"}
    if config.backend.name == "mbridge":
        kinds[Format.MBRIDGE] = "mbridge"
    kind = kinds.get(sniff(path))
    if kind == "savanna" and config.backend.name == "mbridge" and not _is_plain(path):
        return None
    return Source(kind, _iteration(path.absolute()) if kind == "mbridge" else path.absolute()) if kind else None


def _is_plain(path: Path) -> bool:
    """Whether PyTorch reads a file with `weights_only`: of others mbridge makes an empty folder (issue 1579)."""
    try:
        torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError):
        return False
    return True


def _iteration(path: Path) -> Path:
    """The iteration that a folder of MBridge notes as its newest, or that it is."""
    if not (path / _LATEST).is_file():
        return path
    return path / f"iter_{int((path / _LATEST).read_text()):07d}"


def loadable(checkpoint: Path) -> Path:
    """What the tools load of a converted checkpoint: of MBridge's the iteration."""
    return max(checkpoint.glob("iter_*"), default=checkpoint)


def with_base(adapter: Path, base: Path, place: Path) -> Path:
    """Adapters of MBridge whose settings name the weights that they belong to where these are now.

    Parameters
    ----------
    adapter : Path
        Their iteration.
    base : Path
        The weights, as `loadable` gives them.
    place : Path
        Folder for a copy with other settings, where theirs name another place.
    """
    settings = yaml.safe_load((adapter / _RUN_CONFIG).read_text(encoding="utf-8"))
    root = base.parent if _ITERATION.fullmatch(base.name) else base
    if Path(settings["checkpoint"].get("pretrained_checkpoint") or "") == root:
        return adapter
    copy = place / adapter.name
    copy.mkdir()
    for path in adapter.iterdir():
        (copy / path.name).symlink_to(path)
    settings["checkpoint"]["pretrained_checkpoint"] = str(root)
    (copy / _RUN_CONFIG).unlink()
    (copy / _RUN_CONFIG).write_text(yaml.safe_dump(settings), encoding="utf-8")
    return copy


def merge(tools: Toolchain, runner: ToolRunner, config: Config, base: Path, adapter: Path, place: Path) -> Path:
    """A checkpoint of the tools with the adapters in its weights.

    The tools keep weights in bfloat16, in which small shifts are rounded.
    """
    savanna = place / SAVANNA
    write_savanna(load_model(base, PRESETS[config.model.architecture], adapter=adapter), savanna)
    for command in tools.convert(config, Source("savanna", savanna), place / CHECKPOINT):
        runner.run(command)
    savanna.unlink()
    return loadable(place / CHECKPOINT)


def merging_script(
    tools: Toolchain, runner: ToolRunner, config: Config, base: Path, adapter: Path, place: Path
) -> tuple[list[str], Path]:
    """The lines that `merge` stands for, and the checkpoint that they make."""
    savanna, merged = place / SAVANNA, place / "merged"
    lines = [_rewriting(config, ["merge", str(base), str(adapter), str(savanna)])]
    commands = tools.convert(config, Source("savanna", savanna), merged)
    return [*lines, *(runner.line(command) for command in commands)], merged


def _download(tools: Toolchain, runner: ToolRunner, name: str) -> Path:
    printed: list[str] = []
    log = runner.run(tools.download(name), on_line=printed.append)
    place = next((Path(line.strip()) for line in reversed(printed) if Path(line.strip()).is_dir()), None)
    if place is None:
        raise ToolError(f"download_bionemo_data named no folder with {name}; its log is {log}")
    return place


def _inspect(config: Config, target: Path) -> dict[str, Any]:
    expected = PRESETS[config.model.architecture]
    try:
        found = describe(target)
    except InputError as error:
        raise ToolError(f"the conversion left nothing usable: {error}") from None
    if found.parameters != expected.parameters or found.layers != len(expected.pattern):
        raise InputError(
            f"{target} holds {found.parameters:,} parameters in {found.layers} layers; "
            f"model.architecture={config.model.architecture} has {expected.parameters:,} in {len(expected.pattern)}"
        )
    return {"parameters": found.parameters, "layers": found.layers, "bytes": found.bytes, "format": str(found.format)}
