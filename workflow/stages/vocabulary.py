"""The gate on what a model gives to tokens that are not bases."""

from __future__ import annotations

from workflow.gates import GateLog

_MOST = 0.05


def check_mass_outside_acgt(gates: GateLog, share: float, *, saw: str, subject: str) -> None:
    """Gate `mass_outside_acgt`: at most 5 % may be other tokens than A, C, G, T.

    Parameters
    ----------
    share : float
        Of the probability, or of the letters drawn; NaN fires.
    saw : str
        The same in words.
    subject : str
        The model.
    """
    gates.check(
        "mass_outside_acgt",
        share <= _MOST,
        saw=saw,
        limit=f"at most {_MOST:.0%}",
        subject=subject,
        why="Such a model does not read DNA: wrong weights, wrong precision or wrong tokens.",
    )
