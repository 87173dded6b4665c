"""Labels of sequences: read, checked, divided into train, val and test, and numbered.

Imports run downward: `labelled_set`, `encoding` ← `checks`, `similarity` ← `duplicates`, `splitting` ← `reading`.
"""

from workflow.labels.duplicates import duplicates
from workflow.labels.encoding import LabelEncoding, class_weights
from workflow.labels.labelled_set import LabelledSet
from workflow.labels.reading import read_labelled

__all__ = ["LabelEncoding", "LabelledSet", "class_weights", "duplicates", "read_labelled"]
