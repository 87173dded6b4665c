"""Shuffled copies with the same dinucleotides.

A sequence is a walk over its letters in which every pair of neighbours is an edge; another walk over the same
edges has the same dinucleotides (Altschul & Erickson 1985, Mol. Biol. Evol. 2:526). All of them are equally
probable when the last edge out of each letter is drawn as a random tree towards the last letter and the others
are put in random order before it (Kandel et al. 1996, Discrete Appl. Math. 71:171). The tree is drawn by the
loop-erased walks of Propp & Wilson (1998, J. Algorithms 27:170), which end soon for any sequence; trying trees
until one fits does not, where letters stand in long runs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workflow.genome.alphabet import BASE_CODE

_LETTERS = np.frombuffer(b"ACGT", np.uint8)
_NO_BASE = 255
_UPPER = ~np.uint8(0x20)


def shuffle(sequence: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A random sequence with the same dinucleotide counts, first and last base, in upper case.

    All such sequences are equally probable. Letters other than A, C, G, T keep their places, and what lies between
    them is shuffled by itself.

    Parameters
    ----------
    sequence : ndarray, (n,) uint8
        ASCII bases in either case.
    generator : Generator

    Returns
    -------
    ndarray, (n,) uint8
    """
    shuffled: np.ndarray = sequence & _UPPER
    codes = BASE_CODE[sequence]
    borders = np.flatnonzero(np.diff(codes != _NO_BASE, prepend=False, append=False)).reshape(-1, 2)
    for start, end in borders.tolist():
        shuffled[start:end] = _LETTERS[_shuffled_codes(codes[start:end], generator)]
    return shuffled


def _shuffled_codes(codes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    followers = [generator.permutation(codes[1:][codes[:-1] == letter]) for letter in range(4)]
    for letter, edge in _last_edges(followers, int(codes[-1]), generator).items():
        edges = followers[letter]
        edges[[edge, -1]] = edges[[-1, edge]]
    firsts = np.cumsum([0, *(len(edges) for edges in followers)])
    return _walk(int(codes[0]), np.concatenate(followers), firsts)


def _last_edges(followers: list[np.ndarray], root: int, generator: np.random.Generator) -> dict[int, int]:
    """Edge by which each letter is left for the last time: a random tree towards `root`, by Wilson's algorithm."""
    chosen: dict[int, int] = {}
    in_tree = {root}
    for start in range(4):
        letter = start
        while len(followers[start]) and letter not in in_tree:
            chosen[letter] = int(generator.integers(len(followers[letter])))
            letter = int(followers[letter][chosen[letter]])
        # Loops are erased: a letter that was left several times keeps its last edge.
        letter = start
        while len(followers[start]) and letter not in in_tree:
            in_tree.add(letter)
            letter = int(followers[letter][chosen[letter]])
    return chosen


@njit(cache=True)
def _walk(first: int, followers: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """Follow the edges of each letter, `followers[firsts[letter] : firsts[letter + 1]]`, in their order."""
    walk = np.empty(len(followers) + 1, np.uint8)
    used = firsts.copy()
    walk[0] = first
    for step in range(len(followers)):
        letter = walk[step]
        walk[step + 1] = followers[used[letter]]
        used[letter] += 1
    return walk
