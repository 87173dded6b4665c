import io
from collections.abc import Iterator
from contextlib import redirect_stderr

import numpy as np
import pytest

from workflow import console
from workflow.console import Progress, complain, say, summary_table, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The clock: its only item is the time in seconds."""
    clock = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    return clock


def test_lines_go_to_their_streams(capsys: pytest.CaptureFixture[str]) -> None:
    say("said")
    complain("complained")
    assert capsys.readouterr() == ("said\n", "complained\n")


def test_plain_lines_every_few_seconds(capsys: pytest.CaptureFixture[str], pass_time: list[float]) -> None:
    with Progress("reading", total=4_000, unit="bases") as progress:
        for _ in range(40):
            pass_time[0] += 1
            progress.advance(100)
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "  reading: 500/4,000 bases, 35 s left"
    assert lines[1] == "  reading: 1,000/4,000 bases, 30 s left"
    assert len(lines) == 8


def test_quick_work_is_not_told(capsys: pytest.CaptureFixture[str], pass_time: list[float]) -> None:
    assert list(track("abc", "reading")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_line_without_total_and_with_a_note(capsys: pytest.CaptureFixture[str], pass_time: list[float]) -> None:
    progress = Progress("training", unit="steps")
    pass_time[0] += 5
    progress.advance(1_234, note="loss 1.31")
    assert capsys.readouterr().out == "  training: 1,234 steps, loss 1.31\n"


def test_what_was_done_before_does_not_count_as_speed(
    capsys: pytest.CaptureFixture[str], pass_time: list[float]
) -> None:
    progress = Progress("training", total=100, unit="steps")
    progress.skip(80)
    pass_time[0] += 10
    progress.advance(10)
    assert capsys.readouterr().out == "  training: 90/100 steps, 10 s left\n"


def test_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], pass_time: list[float]) -> None:
    terminal = Terminal()
    with redirect_stderr(terminal), Progress("reading", total=1_000, unit="bases") as progress:
        progress.skip(200)
        for _ in range(8):
            pass_time[0] += 10
            progress.advance(100, note="chr1")
    drawn = terminal.getvalue()
    assert capsys.readouterr().out == "", "no plain lines beside the bar"
    assert drawn.startswith("\rreading:   0%")
    last = drawn.rstrip("\n").split("\r")[-1]
    assert last.startswith("reading: 100%")
    assert "1.00k/1.00k" in last
    assert "bases" in last
    assert "chr1" in last
    assert drawn.endswith("\n"), "what follows starts on its own line"


def test_track_closes_its_bar_when_left_early() -> None:
    terminal = Terminal()
    with redirect_stderr(terminal):
        for item in track(range(10), "reading", total=10):
            if item == 3:
                break
    assert terminal.getvalue().endswith("\n")


def test_track_does_not_read_ahead(pass_time: list[float]) -> None:
    read = []

    def source() -> Iterator[int]:
        for number in range(3):
            read.append(number)
            yield number

    items = track(source(), "reading")
    assert next(items) == 0
    assert read == [0]


def test_summary_table() -> None:
    table = summary_table(
        "prepare: done",
        {
            "bases": 1_234_567,
            "share": 0.123456,
            "large_number": 12_345.678,
            "tiny": 1.5e-7,
            "bases_kept": {"train": 4_309, "val": 538.25, "test": None},
            "resumed": True,
            "nothing": None,
            "checkpoint": "data/x_y.pt",
        },
    )
    assert table.splitlines() == [
        "prepare: done",
        "  bases         1,234,567",
        "  share         0.1235",
        "  large number  12,346",
        "  tiny          1.5e-07",
        "  bases kept    train 4,309, val 538.2, test None",
        "  resumed       True",
        "  nothing       None",
        "  checkpoint    data/x_y.pt",
    ]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (-1_234, "-1,234"),
        (999.96, "1,000"),
        (-1_000.4, "-1,000"),
        (0.0, "0"),
        (float("nan"), "nan"),
        (np.int64(1_234), "1,234"),
        (np.float32(0.25), "0.25"),
    ],
)
def test_numbers_in_a_summary(value: float, told: str) -> None:
    assert summary_table("x", {"n": value}) == f"x\n  n  {told}"


def test_empty_summary() -> None:
    assert summary_table("evaluate: done", {}) == "evaluate: done"
