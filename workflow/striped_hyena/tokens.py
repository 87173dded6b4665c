"""Token ids: byte values, with the end-of-document id standing before the first base."""

from __future__ import annotations

import torch
from torch import Tensor

#: End of document, and the begin token: documents follow one another in training.
BEGIN = 0
PADDING = 1
#: Ids of A, C, G, T: the column order of all (…, 4) results.
BASE_IDS = torch.tensor(list(b"ACGT"))
#: Bit that tells lower case from upper case in ASCII letters.
_CASE_BIT = 0x20


def to_upper(ids: Tensor) -> Tensor:
    """Letters in upper case; other ids unchanged. The model reads upper case whatever the soft-masking."""
    is_lower = (ids >= ord("a")) & (ids <= ord("z"))
    return torch.where(is_lower, ids & ~_CASE_BIT, ids)


def is_lower(ids: Tensor) -> Tensor:
    """True at soft-masked letters."""
    return (ids >= ord("a")) & (ids <= ord("z"))


def is_base(ids: Tensor) -> Tensor:
    """True at A, C, G, T in either case."""
    return torch.isin(to_upper(ids), BASE_IDS.to(ids.device))


def in_tag(ids: Tensor) -> Tensor:
    """True inside of lineage tags `|…|`, both bars included: (B, L) bool. Sequences hold whole tags only."""
    bar = ids == ord("|")
    return bar | (bar.cumsum(-1) % 2 == 1)


def model_inputs(targets: Tensor) -> Tensor:
    """What the model reads to predict `targets` (B, L): the begin token, then all but the last, in upper case."""
    begin = torch.full_like(targets[:, :1], BEGIN)
    return to_upper(torch.cat([begin, targets[:, :-1]], dim=1))


def pad(sequences: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack sequences of different lengths: ids (B, longest) padded on the right, and mask (B, longest) bool."""
    ids = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=PADDING)
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return ids, torch.arange(ids.shape[1]) < lengths[:, None]
