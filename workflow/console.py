"""What a person sees while a stage works: progress and the table at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
_SECONDS_BETWEEN_LINES = 5.0


def say(message: str) -> None:
    """Print one line at once."""
    print(message, flush=True)


def complain(message: str) -> None:
    """Print one line to the error stream."""
    print(message, file=sys.stderr, flush=True)


class Progress:
    """A bar when a terminal is attached, else a plain line every few seconds.

    Use as a context manager; `advance` by the amount done.

    Parameters
    ----------
    label : str
        What is being done.
    total : int, optional
        Amount in `unit`, when known.
    unit : str
        What is counted, such as "bases" or "windows".
    """

    def __init__(self, label: str, total: int | None = None, unit: str = "items") -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = self._skipped = 0
        self._started = self._last_line = time.monotonic()
        self._bar = tqdm(total=total, desc=label, unit=f" {unit}", unit_scale=True) if sys.stderr.isatty() else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()

    def skip(self, amount: int) -> None:
        """Count `amount` as done by an earlier run: it says nothing of this one's speed."""
        self.done += amount
        self._skipped += amount
        if self._bar is not None:
            self._bar.update(amount)

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count `amount` more as done; `note` is shown beside the count."""
        self.done += amount
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(amount)
            return
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            say(self._line(now, note))

    def _line(self, now: float, note: str) -> str:
        rate = (self.done - self._skipped) / max(now - self._started, 1e-9)
        of_total = f"/{self.total:,}" if self.total else ""
        left = f", {(self.total - self.done) / rate:.0f} s left" if self.total and rate > 0 else ""
        return f"  {self.label}: {self.done:,}{of_total} {self.unit}{left}{', ' + note if note else ''}"


def track(items: Iterable[Item], label: str, total: int | None = None, unit: str = "items") -> Iterator[Item]:
    """Iterate with progress shown."""
    with Progress(label, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def summary_table(title: str, rows: dict[str, object]) -> str:
    """A two-column text table: numbers with thousands separators, everything else as it is."""
    cells = {key.replace("_", " "): _cell(value) for key, value in rows.items()}
    width = max((len(key) for key in cells), default=0)
    lines = [f"  {key:<{width}}  {value}" for key, value in cells.items()]
    return "\n".join([title, *lines])


def _cell(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        number = float(value)
        return f"{number:,.4g}" if abs(number) < 1000 else f"{number:,.0f}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(item)}" for key, item in value.items())
    return str(value)
