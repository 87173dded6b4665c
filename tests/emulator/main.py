"""One call of an emulated tool: `python -m tests.emulator.main --toolchain T --version V TOOL [flags…]`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from tests.emulator.faults import Fault
from tests.emulator.setting import Refused, Setting, log
from workflow.backends.contracts import load_contract

#: Module and function of each tool; imported only when it runs.
_HANDLERS = {
    "train_evo2": ("training", "train"),
    "predict_evo2": ("prediction", "predict"),
    "infer_evo2": ("generation", "infer"),
    "preprocess_evo2": ("preprocessing", "preprocess"),
    "download_bionemo_data": ("hub", "download"),
    "evo2_convert_to_nemo2": ("conversion", "savanna_to_nemo2"),
    "evo2_convert_savanna_to_mbridge": ("conversion", "savanna_to_mbridge"),
    "evo2_convert_nemo2_to_mbridge": ("conversion", "nemo2_to_mbridge"),
    "evo2_export_mbridge_to_vortex": ("conversion", "mbridge_to_vortex"),
    "evo2_remove_optimizer": ("conversion", "remove_optimizer"),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run a tool. Returns its exit code; wrong flags end it with code 2, as argparse does."""
    own = argparse.ArgumentParser(allow_abbrev=False)
    own.add_argument("--toolchain", required=True)
    own.add_argument("--version", required=True)
    own.add_argument("tool")
    own.add_argument("words", nargs=argparse.REMAINDER)
    call = own.parse_args(words)
    if call.tool == "torchrun":
        from tests.emulator.torchrun import torchrun

        return torchrun(call.words)
    arguments = load_contract(call.toolchain, call.version).parser(call.tool).parse_args(call.words)
    setting = Setting(call.toolchain, call.version, call.tool, Fault.asked(call.tool))
    log(f"[emulated {call.tool} of {call.toolchain} {call.version}]")
    code = setting.fault.at_start(arguments)
    return _work(arguments, setting) if code is None else code


def _work(arguments: argparse.Namespace, setting: Setting) -> int:
    if setting.tool not in _HANDLERS:
        sys.stderr.write(f"{setting.tool} is not emulated\n")
        return 3
    if int(os.environ.get("NODE_RANK", "0")) > 0:
        return 0  # The first machine does it all.
    module, function = _HANDLERS[setting.tool]
    try:
        getattr(import_module(f"tests.emulator.{module}"), function)(arguments, setting)
    except Refused as refusal:
        sys.stdout.flush()
        sys.stderr.write(f'Traceback (most recent call last):\n  File "<emulator>", line 1, in main\n{refusal}\n')
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
