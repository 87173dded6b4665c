import threading
import time

import pytest

from workflow.genome import parallel
from workflow.genome.parallel import in_order


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(parallel, "workers", lambda: threads)

    def slow_first(item: int) -> int:
        time.sleep(0.01 if item % 3 == 0 else 0)
        return item * item

    assert list(in_order(slow_first, range(30))) == [item * item for item in range(30)]


def test_few_are_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "workers", lambda: 2)
    started = threading.Semaphore(0)
    results = in_order(lambda item: started.release() or item, range(100))
    assert next(results) == 0
    time.sleep(0.1)
    assert started._value <= 6
    assert list(results) == list(range(1, 100))


def test_an_error_is_passed_on() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda item: 1 // item, [1, 0, 2]))
