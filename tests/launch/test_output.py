import io
import os

from hypothesis import given
from hypothesis import strategies as st

from workflow.launch.output import Output


class Pipe:
    """Something printed, chunk by chunk."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        self.log = io.BytesIO()
        self.output = Output(os.fdopen(reading, "rb", buffering=0), self.log)

    def read(self, *chunks: bytes) -> list[str]:
        """The lines that come of chunks, of which each is read before the next is printed."""
        lines = []
        for chunk in chunks:
            os.write(self.writing, chunk)
            lines += self.output.read(timeout=1)
        return lines

    def end(self) -> list[str]:
        """What comes when nothing more is printed."""
        os.close(self.writing)
        lines = self.output.rest(quiet=1, limit=10)
        self.output.close()
        return lines


PRINTED = st.lists(st.sampled_from(["\n", "\r", "\r\n", "a", "é", " ", "𝄞", "|"]), max_size=30).map("".join)


@given(PRINTED, st.lists(st.integers(1, 5), min_size=1))
def test_lines_do_not_depend_on_how_they_come(text: str, sizes: list[int]) -> None:
    pipe, data, chunks = Pipe(), text.encode(), []
    while data:
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[:size])
        data = data[size:]
    lines = pipe.read(*chunks) + pipe.end()
    plain = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert lines == [line for line in plain if line.strip()]
    assert pipe.log.getvalue() == text.encode()


def test_only_the_latest_state_of_a_bar_is_remembered() -> None:
    pipe = Pipe()
    lines = pipe.read(b"start\n10%\r20%\r", b"30%\n", b"end\n") + pipe.end()
    assert lines == ["start", "10%", "20%", "30%", "end"]
    assert list(pipe.output.lines) == ["start", "30%", "end"]


def test_rest_without_an_end_of_line() -> None:
    pipe = Pipe()
    assert pipe.read(b"one\ntw") == ["one"]
    assert pipe.output.rest(quiet=0.05, limit=1) == ["tw"]
    assert not pipe.output.ended
    assert pipe.end() == []


def test_text_without_lines_is_cut() -> None:
    pipe = Pipe()
    lines = pipe.read(b"x" * 40_000, b"x" * 40_000)
    assert [len(line) for line in lines] == [80_000]
    # What is kept for the diagnosis and shown on a failure is not a wall of letters.
    assert [len(line) for line in pipe.output.lines] == [2000]
    assert pipe.end() == []


def test_preemption_is_noticed() -> None:
    pipe = Pipe()
    pipe.read(b"step 1\n")
    assert not pipe.output.preempted
    pipe.read(b"exiting program after receiving SIGTERM.\n", b"bye\n")
    pipe.end()
    assert pipe.output.preempted
