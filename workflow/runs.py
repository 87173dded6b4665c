"""The runs that there are: `python -m workflow.runs list|show|compare|prune`."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from workflow.console import complain, say
from workflow.errors import InputError
from workflow.registry.comparing import compare_lines
from workflow.registry.finding import find_run
from workflow.registry.leftovers import KINDS, Leftover
from workflow.registry.listing import KEYS, Row, chosen, list_lines, read_rows
from workflow.registry.pruning import Pruning, plan_pruning, prune, size_of
from workflow.registry.showing import show_lines
from workflow.registry.text import Column, size, table, terminal_width, wrapped

_DESCRIPTION = "List, show, compare and clean up the runs in a folder, from what their stages have published."
_NO_RUNS = "no runs in {folder} yet; python -m workflow.run makes one from the settings in configs/"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code: 0, or 2 for errors of use."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (InputError, OSError) as error:
        complain(f"error: {error}")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflow.runs", description=_DESCRIPTION)
    verbs = parser.add_subparsers(dest="verb", required=True)

    listed = verbs.add_parser("list", help="one line for each run", epilog=f"keys: {', '.join(KEYS)}")
    listed.add_argument("--sort", default="updated", metavar="KEY", help="default: updated")
    listed.add_argument("--reverse", action="store_true", help="the largest first")
    listed.add_argument(
        "--filter",
        action="append",
        default=[],
        dest="filters",
        metavar="CONDITION",
        help="KEY=VALUE, or KEY~PART for what contains a part; several must all hold",
    )
    listed.add_argument("--trials", action="store_true", help="show each trial of a study; else one line for all")
    form = listed.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print all keys as JSON")
    form.add_argument("--csv", action="store_true", help="print all keys as CSV")
    listed.set_defaults(run=_list)

    shown = verbs.add_parser("show", help="everything of one run")
    shown.add_argument("name", metavar="RUN", help="its name, such as STUDY/trials/0007, or its folder")
    shown.set_defaults(run=_show)

    compared = verbs.add_parser("compare", help="settings that differ, and the numbers side by side")
    compared.add_argument("names", nargs="+", metavar="RUN")
    compared.set_defaults(run=_compare)

    kinds = "; ".join(f"{kind}: {what}" for kind, what in KINDS.items())
    pruned = verbs.add_parser("prune", help="tell what could be removed, or remove it", epilog=kinds)
    pruned.add_argument("--yes", action="store_true", help="remove it; else nothing is touched")
    pruned.add_argument(
        "--only", nargs="+", choices=tuple(KINDS), default=tuple(KINDS), metavar="KIND", help="see below"
    )
    pruned.add_argument(
        "--keep", type=int, default=3, metavar="N", help="trials of a study that keep their weights: the best N (3)"
    )
    pruned.set_defaults(run=_prune)

    for verb in (listed, shown, compared, pruned):
        verb.add_argument("--folder", type=Path, default=Path("runs"), help="the folder of runs (runs)")
    return parser


def _list(options: argparse.Namespace) -> None:
    rows = chosen(
        read_rows(options.folder, trials=options.trials) if options.folder.exists() else [],
        options.filters,
        options.sort,
        reverse=options.reverse,
    )
    if options.json:
        say(json.dumps(rows, indent=2, ensure_ascii=False))
    elif options.csv:
        say(_csv(rows))
    elif rows:
        say("\n".join(list_lines(rows, terminal_width())))
    else:
        say("no run fits the filters" if options.filters else _NO_RUNS.format(folder=options.folder))


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, KEYS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def _show(options: argparse.Namespace) -> None:
    say("\n".join(show_lines(find_run(options.name, options.folder), terminal_width())))


def _compare(options: argparse.Namespace) -> None:
    runs = [find_run(name, options.folder) for name in options.names]
    say("\n".join(compare_lines(runs, terminal_width())))


def _prune(options: argparse.Namespace) -> None:
    if options.keep < 0:
        raise InputError(f"--keep {options.keep} must not be negative")
    pruning = plan_pruning(options.folder, options.only, options.keep)
    sizes = {item: size_of(item) for items in pruning.items.values() for item in items}
    if sizes:
        say("\n".join(_prune_lines(sizes, options.folder)))
    for note in _notes(pruning):
        say("\n".join(wrapped(note, terminal_width())))
    if not options.yes:
        total = size(sum(sizes.values()))
        say(f"{total} could be removed; nothing was touched: --yes removes it" if sizes else "nothing to remove")
        return
    freed = 0
    for item, why in prune(pruning):
        if why is None:
            freed += sizes[item]
        else:
            complain(f"left: {item.path}: {why}")
    say(f"removed {size(freed)}")


def _prune_lines(sizes: dict[Leftover, int], folder: Path) -> list[str]:
    columns = (Column("path"), Column("size", right=True), Column("what", rank=1))
    rows = [
        [str(item.path.relative_to(folder)), size(count), KINDS[item.kind]]
        for item, count in sorted(sizes.items(), key=lambda pair: -pair[1])
    ]
    lines = table(columns, rows, terminal_width())
    totals: Counter[str] = Counter()
    for item, count in sizes.items():
        totals[item.kind] += count
    return [*lines, ", ".join(f"{kind} {size(count)}" for kind, count in totals.most_common())]


def _notes(pruning: Pruning) -> list[str]:
    return [f"left alone, as a process works on it: {run}" for run in pruning.busy] + pruning.notes


if __name__ == "__main__":
    sys.exit(main())
