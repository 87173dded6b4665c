"""The metric stream: what is written is what is read, whatever happens to the process that writes."""

import json
import math
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.errors import InputError
from workflow.tracking import MetricStream, read_stream


def _steps(path, offset=0):
    return [record.step for record in read_stream(path, offset)[0]]


def test_what_is_logged_is_read(tmp_path):
    path = tmp_path / "train" / "stream.jsonl"
    stream = MetricStream(path)
    stream.log(0, {"val_loss": 1.25})
    stream.log(1, {"train_loss": 1.5, "grad_norm": 0.1})
    records, offset = read_stream(path)
    assert [(r.step, r.metrics) for r in records] == [
        (0, {"val_loss": 1.25}),
        (1, {"train_loss": 1.5, "grad_norm": 0.1}),
    ]
    assert all(r.time.endswith("+00:00") for r in records)
    assert offset == path.stat().st_size


def test_a_missing_stream_has_no_lines(tmp_path):
    assert read_stream(tmp_path / "none.jsonl", 7) == ([], 7)


def test_numbers_json_does_not_know_are_strings(tmp_path):
    path = tmp_path / "s.jsonl"
    MetricStream(path).log(3, {"a": math.nan, "b": math.inf, "c": -math.inf})
    assert json.loads(path.read_text())["metrics"] == {"a": "nan", "b": "inf", "c": "-inf"}
    (record,), _ = read_stream(path)
    assert math.isnan(record.metrics["a"]) and record.metrics["b"] == math.inf and record.metrics["c"] == -math.inf


def test_reading_goes_on_where_it_ended(tmp_path):
    path = tmp_path / "s.jsonl"
    stream = MetricStream(path)
    stream.log(1, {"train_loss": 1})
    _, offset = read_stream(path)
    assert read_stream(path, offset) == ([], offset)
    stream.log(2, {"train_loss": 1})
    records, offset = read_stream(path, offset)
    assert [record.step for record in records] == [2]
    assert offset == path.stat().st_size


@pytest.mark.parametrize("kept", range(1, 60))
def test_half_a_line_is_left_for_later_and_then_passed_over(tmp_path, kept):
    path = tmp_path / "s.jsonl"
    stream = MetricStream(path)
    stream.log(1, {"train_loss": 1.5})
    whole = path.read_bytes()
    with path.open("ab") as file:  # killed while writing step 2
        file.write(whole.replace(b'"step": 1', b'"step": 2')[:kept])
    records, offset = read_stream(path)
    assert [record.step for record in records] == [1]
    assert offset == len(whole)
    stream.log(3, {"train_loss": 1.25})
    assert _steps(path, offset) == [3]
    assert _steps(path) == [1, 3]


def test_a_line_of_something_else_is_named(tmp_path):
    path = tmp_path / "s.jsonl"
    MetricStream(path).log(1, {"a": 1})
    before = path.stat().st_size
    with path.open("a") as file:
        file.write("hello\n")
    with pytest.raises(InputError, match=rf"s.jsonl, byte {before}: not a line of a metric stream"):
        read_stream(path)


def _write_many(path, first):
    stream = MetricStream(path)
    for step in range(first, first + 200):
        stream.log(step, {f"metric_{n}": step for n in range(20)})


def test_two_writers_do_not_mix_their_lines(tmp_path):
    path = tmp_path / "s.jsonl"
    workers = [get_context("fork").Process(target=_write_many, args=(path, first)) for first in (0, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(_steps(path)) == list(range(400))


@given(metrics=st.dictionaries(st.text(), st.floats(allow_nan=False)), step=st.integers(0, 10**9))
def test_any_name_and_number_comes_back(tmp_path_factory, metrics, step):
    path = tmp_path_factory.mktemp("stream") / "s.jsonl"
    MetricStream(path).log(step, metrics)
    (record,), _ = read_stream(path)
    assert (record.step, record.metrics) == (step, metrics)
