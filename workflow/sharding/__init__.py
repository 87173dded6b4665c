"""Long work in parts that several processes or machines share, each published whole, joined when all are there.

`plan` says what the parts are, `store` where they lie and who makes them, `crew` starts processes on this machine,
`merging` joins what they made.
"""

from workflow.sharding.crew import Report, run_crew
from workflow.sharding.merging import check_complete, merge_arrays, merge_tables, require_room
from workflow.sharding.plan import Shard, divide
from workflow.sharding.store import Fill, ShardStore

__all__ = [
    "Fill",
    "Report",
    "Shard",
    "ShardStore",
    "check_complete",
    "divide",
    "merge_arrays",
    "merge_tables",
    "require_room",
    "run_crew",
]
