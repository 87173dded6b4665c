"""Runs side by side: whether their numbers can be compared at all, the numbers, and the settings that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow.artifacts import MANIFEST, read_json
from workflow.errors import InputError
from workflow.registry.headline import PRUNED
from workflow.registry.records import RunRecord, describe, settings_of
from workflow.registry.text import UNKNOWN, beside, duration, interval, number, shortened, size, wrapped

_HASH = 8
#: Longest value of a setting that is shown whole.
_LONGEST = 40


def compare_lines(runs: Sequence[Path], width: int) -> list[str]:
    """A comparison of runs for people.

    Parameters
    ----------
    runs : sequence of Path
        Two or more run folders; each is a column, A, B, ….
    width : int
        Characters of a line.

    Raises
    ------
    InputError
        Fewer than two runs, or too many for letters.
    """
    if not 2 <= len(runs) <= 26:
        raise InputError(f"{len(runs)} runs cannot be compared: give 2 to 26 of them")
    letters = [chr(ord("A") + place) for place in range(len(runs))]
    records = [describe(run) for run in runs]
    settings = [_settings(run, record) for run, record in zip(runs, records, strict=True)]
    lines = [line for pair in zip(letters, runs, strict=True) for line in wrapped(str(pair[1]), width, f"{pair[0]}  ")]
    lines += ["", *wrapped(comparability(records, letters), width), ""]
    numbers = _number_rows(records)
    lines += beside(list(numbers), _by_run(letters, numbers), width)
    lines += ["", *_settings_lines(letters, settings, width)]
    damage = [f"WARNING {text}" for record in records for text in record.damage]
    return lines + [line for text in damage for line in wrapped(text, width)]


def comparability(records: Sequence[RunRecord], letters: Sequence[str]) -> str:
    """Whether the numbers of runs are of the same windows, in a sentence."""
    silent = [letter for letter, record in zip(letters, records, strict=True) if record.test_set is None]
    if silent:
        return f"WARNING {_and(silent)} {_has(silent)} scored no test windows: there is nothing to compare."
    old = [
        f"{stage.name} of {letter}"
        for letter, record in zip(letters, records, strict=True)
        for stage in record.stages
        if stage.outdated
    ]
    if old:
        return (
            f"WARNING {_and(old)} {_has(old)} been made before a stage that it rests on was made anew: the numbers "
            "are not of the weights and data that are there now. Run these stages again."
        )
    if len({record.test_set for record in records}) == 1:
        return (
            "All were scored on the same windows of the same genome. Whether a difference is more than chance tells "
            "python -m evaluation.report, given these runs: it compares window by window."
        )
    groups: dict[str | None, list[str]] = {}
    for letter, record in zip(letters, records, strict=True):
        groups.setdefault(record.test_set, []).append(letter)
    same_data = len({record.data for record in records}) == 1
    why = "other windows of the same genome" if same_data else "another genome, or other splits of it"
    return (
        f"WARNING scored on different test sets ({' against '.join(_and(group) for group in groups.values())}: {why}). "
        "Their losses differ whatever the models are worth, and cannot be compared."
    )


def differences(settings: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Values, as text, of the settings that all runs know and that are not the same in all, by dotted key."""
    known = sorted(set(settings[0]).intersection(*settings))
    values = {key: [_told(each[key]) for each in settings] for key in known}
    return {key: told for key, told in values.items() if len(set(told)) > 1}


def _settings(run: Path, record: RunRecord) -> dict[str, Any]:
    files = {"done": MANIFEST, "pruned": PRUNED}
    places = [run / stage.name / files[stage.state] for stage in record.stages if stage.state in files]
    return settings_of([read_json(place) for place in places])


def _settings_lines(letters: Sequence[str], settings: Sequence[dict[str, Any]], width: int) -> list[str]:
    different = differences(settings)
    common = len(set(settings[0]).intersection(*settings))
    rows = {key: [shortened(value, _LONGEST) for value in values] for key, values in different.items()}
    lines = [f"settings that differ, of {common:,}"] if rows else [f"none of {common:,} settings differ"]
    lines += beside(list(rows), _by_run(letters, rows), width) if rows else []
    if others := set().union(*settings) - set(settings[0]).intersection(*settings):
        sections = ", ".join(sorted({key.partition(".")[0] for key in others}))
        lines += wrapped(f"{len(others):,} settings are not known of all of them, and not compared ({sections})", width)
    return lines


def _number_rows(records: Sequence[RunRecord]) -> dict[str, list[str]]:
    told = [record.headline for record in records]
    rows = {
        "state": [record.state for record in records],
        "stages": [str(len(record.stages)) for record in records],
        "data": [(record.data or UNKNOWN)[:_HASH] for record in records],
        "test set": [(record.test_set or UNKNOWN)[:_HASH] for record in records],
        "validation loss, before": [number(each.get("first_validation_loss"), 4) for each in told],
        "validation loss, best": [number(each.get("best_validation_loss"), 4) for each in told],
        "test NLL, Markov": [number(each.get("nll_markov"), 4) for each in told],
        "test NLL, base": [number(each.get("nll_base"), 4) for each in told],
        "test NLL, adapted": [number(each.get("nll_adapted"), 4) for each in told],
        "gain": [_bracketed(each, "gain") for each in told],
        "gain of": [str(each.get("gain_of", UNKNOWN)) for each in told],
        "gain over Markov": [_bracketed(each, "gain_over_markov") for each in told],
        "forgetting": [_bracketed(each, "forgetting") for each in told],
        "forgetting on": [str(each.get("forgetting_on", UNKNOWN)) for each in told],
        "verdict": [str(each.get("verdict", UNKNOWN)) for each in told],
        "gates that fired": [str(len(record.gates_fired)) for record in records],
        "training took": [_seconds(record, "train") for record in records],
        "size": [size(record.bytes) for record in records],
    }
    return {name: cells for name, cells in rows.items() if set(cells) != {UNKNOWN}}


def _by_run(letters: Sequence[str], rows: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {letter: [cells[place] for cells in rows.values()] for place, letter in enumerate(letters)}


def _bracketed(told: dict[str, Any], name: str) -> str:
    return interval(told.get(name), told.get(f"{name}_low"), told.get(f"{name}_high"))


def _seconds(record: RunRecord, stage: str) -> str:
    return next((duration(each.seconds) for each in record.stages if each.name == stage), UNKNOWN)


def _told(value: Any) -> str:
    return "none" if value is None else str(value)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _has(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"
