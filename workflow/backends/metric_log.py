"""TensorBoard's event files as a table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read_tensorboard(folder: Path) -> pd.DataFrame:
    """Scalars of all event files as a long table: step, bases_seen, name, value; what was logged last counts.

    An interrupted run logs the steps after its last state twice.
    """
    rows = []
    # Their names begin with the time at which they were opened.
    for order, file in enumerate(sorted(folder.glob("events.out.tfevents.*"))):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0})
        events.Reload()
        for name in events.Tags()["scalars"]:
            rows += [(event.step, name, event.value, order) for event in events.Scalars(name)]
    table = pd.DataFrame(rows, columns=["step", "name", "value", "order"])
    table = table.sort_values(["step", "name", "order"], kind="stable").drop_duplicates(["step", "name"], keep="last")
    seen = table[table["name"] == "bases_seen"].set_index("step")["value"].astype("int64")
    table = table[~table["name"].isin(["bases_seen", "epoch"])].copy()
    table["bases_seen"] = table["step"].map(seen).astype("int64")
    return table[["step", "bases_seen", "name", "value"]].reset_index(drop=True)
