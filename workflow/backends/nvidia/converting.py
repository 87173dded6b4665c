"""A checkpoint of any format into the one that NVIDIA's tools load."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from workflow.backends.nvidia.running import ToolRunner
from workflow.backends.nvidia.settings import Source, SourceKind, Toolchain
from workflow.checkpoints import Format, describe, load_model, sniff, write_savanna
from workflow.config import Config
from workflow.errors import InputError, ToolError
from workflow.striped_hyena.config import PRESETS

#: In the folder of stage `convert`.
CHECKPOINT, SAVANNA = "checkpoint", "savanna.pt"
_HUGGING_FACE, _NGC, _ITERATION = "hf://", "ngc://", "iter_"


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
        target.symlink_to(Path(source.place).absolute(), target_is_directory=True)
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
            rewrite = ["convert", checkpoint, str(source.place), "--to", "savanna"]
            rewrite += ["--architecture", config.model.architecture]
            lines.append(shlex.join(["python", "-m", "workflow.checkpoint", *rewrite]))
    commands = [runner.line(command) for command in tools.convert(config, source, out.absolute() / CHECKPOINT)]
    if not commands:
        commands = [f'mkdir -p {out} && ln -sfn "{source.place}" {out / CHECKPOINT}']
    return [*lines, *(line.replace("'$NEMO2'", '"$NEMO2"') for line in commands)]


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
    # Of an MBridge checkpoint the tools want the folder that holds its iterations.
    place = path.absolute().parent if kind == "mbridge" and path.name.startswith(_ITERATION) else path.absolute()
    return Source(kind, place) if kind else None


def loadable(checkpoint: Path) -> Path:
    """What the tools load of a converted checkpoint: of MBridge's the newest iteration."""
    return max(checkpoint.glob(f"{_ITERATION}*"), default=checkpoint)


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
