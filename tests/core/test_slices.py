"""Long work in slices: the same result, and pauses where they are promised."""

import json

import numpy as np

from edgetwin.core import compact, payload
from edgetwin.core.slices import SLICE, finish
from edgetwin.core.summary import Columns, Summary

N = 2 * SLICE + 500


def summary():
    readings = np.random.default_rng(1).integers(0, 4096, (10, N)) * 0.1
    none, zero = np.zeros(0), np.zeros(0, np.int64)
    columns = Columns(
        count=np.full(N, 10),
        good=np.full(N, 10),
        minimum=readings.min(axis=0),
        maximum=readings.max(axis=0),
        mean=readings.mean(axis=0),
        deviation=readings.std(axis=0),
        earliest=readings[0],
        last=readings[-1],
        on=zero,
        off=zero,
        increase=none,
        quality=np.zeros(N, np.uint8),
        objects=((0, "start"), (SLICE + 3, 1 << 60), (N - 1, "end")),
    )
    return Summary("", 0, 10_000_000_000, 1, 100, 0, columns)


def test_a_large_window_is_squeezed_in_slices_to_the_same_bytes():
    work, pauses = compact.squeezing(summary(), "b1"), 0
    try:
        while True:
            next(work)
            pauses += 1
    except StopIteration as end:
        stored, told = end.value
    assert pauses >= N // SLICE
    assert (stored, told.begin) == (compact.squeeze(summary(), "b1")[0], 0)
    assert payload.summary(told, "b1") == payload.summary(compact.expand(stored)[0], "b1")


def test_a_large_window_is_written_in_parts_that_together_are_one_document():
    parts = list(payload.summary_parts(summary(), "b1"))
    assert max(map(len, parts)) < 14 * SLICE
    told = json.loads(b"".join(parts))
    assert [len(told[name]) for name in ("count", "good", "min", "std", "last")] == [N] * 5
    assert (told["last"][0], told["last"][SLICE + 3], told["last"][-1]) == ("start", 1 << 60, "end")


def test_finish_gives_what_a_generator_returns():
    def work():
        yield
        return 7

    assert finish(work()) == 7
