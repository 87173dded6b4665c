"""Work on pieces of a genome by several threads, with results in order and a bounded number in flight."""

from __future__ import annotations

import ctypes
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import pyarrow as pa

Item = TypeVar("Item")
Result = TypeVar("Result")
#: More threads than this are held up by the disk and the interpreter.
_MOST_WORKERS = 8


def workers() -> int:
    """Threads to use: one a processor that this process may run on, at most 8."""
    return min(len(os.sched_getaffinity(0)), _MOST_WORKERS)


def release_memory() -> None:
    """Give back to the system what is free: allocators keep it, for each thread, and it counts as resident."""
    pa.default_memory_pool().release_unused()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # of glibc
        trim(0)


def ahead(items: Iterable[Item], in_flight: int = 2) -> Iterator[Item]:
    """The items, made by another thread while this one works on those before; at most so many wait."""
    waiting: queue.Queue[Item | BaseException | None] = queue.Queue(in_flight)
    stopped = threading.Event()

    def put(item: Item | BaseException | None) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return

    def make() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results of `function` for each item, in the order of the items, whatever the number of threads.

    `function` should release the interpreter's lock: file reads, numpy on large arrays and compiled kernels do.
    Two items a thread are in flight, so that memory stays bounded.
    """
    with ThreadPoolExecutor(workers()) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > 2 * workers():
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
