"""Sequences that users bring: FASTA, FASTQ, GenBank or a table, read one after another.

`reading` tells the formats apart; `fasta`, `fastq` and `tables` read one each; `letters` says what a sequence may hold.
"""

from workflow.sequence_files.letters import SequenceRecord
from workflow.sequence_files.reading import is_table, read_sequences

__all__ = ["SequenceRecord", "is_table", "read_sequences"]
