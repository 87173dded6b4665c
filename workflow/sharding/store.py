"""Where shards lie while not all of them are there: who makes which, and whether one is whole."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow import provenance
from workflow.artifacts import MANIFEST, describe_file, publish, read_json, write_json
from workflow.console import say
from workflow.errors import InputError
from workflow.sharding.plan import Shard

#: Fills the folder of a shard; returns what its manifest tells beside the files.
Fill = Callable[[Shard, Path], dict[str, Any]]
_POLL_SECONDS = 1.0
#: Characters of a fingerprint that name its folder.
_SHORT = 12
_MOST_NAMED = 10


@dataclass(frozen=True)
class ShardStore:
    """The shards of one stage of a run: `RUN/STAGE.shards/FINGERPRINT/KIND-NUMBER-of-COUNT/`.

    Each holds its files and `manifest.json` (fingerprint, range, files with size and SHA-256, timings, host, and what
    its maker tells), and was published with one rename.

    Attributes
    ----------
    run : Path
        The run folder, on a disk that all makers see.
    stage : str
    fingerprint : str
        Of what decides the result.
    """

    run: Path
    stage: str
    fingerprint: str

    @property
    def root(self) -> Path:
        """Shards of whatever settings."""
        return self.run / f"{self.stage}.shards"

    @property
    def folder(self) -> Path:
        """Shards of these settings."""
        return self.root / self.fingerprint[:_SHORT]

    def place(self, shard: Shard) -> Path:
        """Folder of a shard, whether it is there or not."""
        return self.folder / shard.label

    def manifest(self, shard: Shard) -> dict[str, Any]:
        """What was written with a shard. Raises InputError when there is none, or it is damaged."""
        manifest = read_json(self.place(shard) / MANIFEST)
        assert isinstance(manifest, dict)
        return manifest

    def fault(self, shard: Shard) -> str | None:
        """Why a shard cannot be used, as far as sizes tell; None for a whole one."""
        if not (self.place(shard) / MANIFEST).exists():
            return "missing"
        try:
            manifest = self.manifest(shard)
        except InputError:
            return f"damaged ({MANIFEST})"
        if manifest["fingerprint"] != self.fingerprint or manifest["range"] != [shard.start, shard.stop]:
            return "of other settings"
        for file in manifest["files"]:
            path = self.place(shard) / file["path"]
            if not path.exists() or path.stat().st_size != file["bytes"]:
                return f"damaged ({file['path']})"
        return None

    def command(self, shards: Sequence[Shard]) -> str:
        """What one types for shards to be made."""
        one = f" {self.stage}.shard={shards[0].number}" if len(shards) == 1 else ""
        return f"stage={self.stage} {self.stage}.shards={shards[0].of}{one}"

    def others(self, shards: Sequence[Shard]) -> list[Path]:
        """Shards that are there and not among these: of other settings, or of another number."""
        wanted = {self.place(shard) for shard in shards}
        return sorted(path.parent for path in self.root.glob(f"*/*/{MANIFEST}") if path.parent not in wanted)

    def make(self, shards: Sequence[Shard], fill: Fill, *, quiet: bool = False) -> None:
        """Make the shards that are missing, in order; returns when all are there.

        Those that another process is making are left to it, and taken over when it dies.

        Parameters
        ----------
        shards : sequence of Shard
        fill : callable
            Makes one in the folder that it is given.
        quiet : bool
            Do not tell that others are waited for.
        """
        left, told = list(shards), quiet
        while left := [shard for shard in left if not self._is_there(shard, fill)]:
            if not told:
                say(f"  waiting for what other processes make: {names(left)}")
                told = True
            time.sleep(_POLL_SECONDS)

    def remove(self) -> None:
        """Delete all shards of the stage: their result is published. What a late process still writes there stays."""
        shutil.rmtree(self.root, ignore_errors=True)

    # ------------------------------------------------------------ one shard

    def _is_there(self, shard: Shard, fill: Fill) -> bool:
        """Whether a shard is whole, after it was made here if it was not and nobody else does."""
        if self.fault(shard) is None:
            return True
        with self._claim(shard) as is_ours:
            if is_ours and (fault := self.fault(shard)) is not None:
                if fault != "missing":
                    say(f"  {shard.label} is {fault} and is made again")
                self._publish(shard, fill)
            return is_ours

    @contextmanager
    def _claim(self, shard: Shard) -> Iterator[bool]:
        """Whether this process may make a shard now: nobody else does. The kernel lets go when it ends, however."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{shard.label}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            # As that of a run: a tool that outlives a killed process still writes there.
            os.set_inheritable(file.fileno(), True)
            yield True

    def _publish(self, shard: Shard, fill: Fill) -> None:
        started, clock = provenance.now(), time.monotonic()
        with publish(self.place(shard)) as out:
            told = fill(shard, out)
            files = [
                describe_file(path) | {"path": str(path.relative_to(out))}
                for path in sorted(out.rglob("*"))
                if path.is_file()
            ]
            manifest = {
                "fingerprint": self.fingerprint,
                "range": [shard.start, shard.stop],
                "files": [{key: file[key] for key in ("path", "bytes", "sha256")} for file in files],
                "timings": {"started": started, "seconds": round(time.monotonic() - clock, 3)},
                **told,
                **provenance.environment(),
            }
            write_json(out / MANIFEST, manifest)


def names(shards: Sequence[Shard]) -> str:
    """Shards for a message, the first of many."""
    more = f" and {len(shards) - _MOST_NAMED} others" if len(shards) > _MOST_NAMED else ""
    return ", ".join(shard.label for shard in shards[:_MOST_NAMED]) + more
