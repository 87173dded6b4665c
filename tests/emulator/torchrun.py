"""`torchrun`: one process that stands for all ranks."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence


def torchrun(words: Sequence[str]) -> int:
    """Start the tool once, as rank 0 of a world of nodes times processes; signals are passed on."""
    arguments = _parser().parse_args([_with_dashes(word) for word in words])
    if not arguments.no_python:
        sys.stderr.write(f"python: can't open file '{arguments.program[0]}': [Errno 2] No such file or directory\n")
        return 1
    nodes = int(arguments.nnodes.split(":")[-1])
    environment = {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "NODE_RANK": str(arguments.node_rank),
        "WORLD_SIZE": str(nodes * arguments.nproc_per_node),
        "LOCAL_WORLD_SIZE": str(arguments.nproc_per_node),
        "MASTER_ADDR": arguments.master_addr or "127.0.0.1",
        "MASTER_PORT": str(arguments.master_port),
    }
    with subprocess.Popen(arguments.program, env=os.environ | environment) as child:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: child.send_signal(received))
        code = child.wait()
    if code:
        sys.stderr.write(
            f"torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n{arguments.program[0]} FAILED\n"
            f"  exitcode  : {code} (pid: {child.pid})\n"
        )
    return 1 if code else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="torchrun", allow_abbrev=False)
    parser.add_argument("--nnodes", default="1")
    parser.add_argument("--nproc-per-node", type=int, default=1)
    parser.add_argument("--node-rank", type=int, default=0)
    parser.add_argument("--master-addr")
    parser.add_argument("--master-port", type=int, default=29500)
    parser.add_argument("--rdzv-backend")
    parser.add_argument("--rdzv-endpoint")
    parser.add_argument("--rdzv-id")
    parser.add_argument("--rdzv-conf")
    parser.add_argument("--max-restarts", type=int, default=0)
    parser.add_argument("--log-dir")
    parser.add_argument("--tee")
    parser.add_argument("--standalone", action="store_true")
    parser.add_argument("--no-python", action="store_true")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    return parser


def _with_dashes(word: str) -> str:
    """Both spellings are torchrun's; only its own flags hold underscores before the program."""
    known = ("--nproc_per_node", "--node_rank", "--master_", "--rdzv_", "--no_python", "--max_restarts", "--log_dir")
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if word.startswith(known) else word
