"""Two texts side by side: which words are the same, added or removed. Pure.

rjieba parts words, Chinese too, without losing a character; rapidfuzz finds the shortest way from one list of words to the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

import rjieba
from rapidfuzz.distance import Indel

MOST_WORDS = 8_000  # of one changed passage: a longer one counts as rewritten, its matrix would take over 10 MB


class PieceKind(StrEnum):
    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Piece:
    kind: PieceKind
    text: str


@dataclass(frozen=True, slots=True)
class Statistics:
    characters: int  # without blanks
    words: int
    added: int       # words that the other text does not have here
    removed: int
    similarity_ratio: float  # 0.0 to 1.0


def words_of(text: str) -> list[str]:
    """All of the text, parted: words, marks and blanks."""
    return list(rjieba.cut(text))


def pieces_of(old: str, new: str) -> tuple[Piece, ...]:
    """Inline: what was removed stands before what was added in its place. Lines first, then the words of what changed."""
    found: list[tuple[PieceKind, str]] = []
    for is_same, old_lines, new_lines in _passages(old.splitlines(keepends=True), new.splitlines(keepends=True)):
        if is_same:
            found.append((PieceKind.SAME, "".join(old_lines)))
        else:
            found += _word_pieces("".join(old_lines), "".join(new_lines))
    return tuple(_joined(found))


def statistics(text: str, pieces: Sequence[Piece]) -> Statistics:
    """Of the text itself, and of its comparison with another."""
    counts = {kind: sum(_count(piece.text) for piece in pieces if piece.kind is kind) for kind in PieceKind}
    total = 2 * counts[PieceKind.SAME] + counts[PieceKind.ADDED] + counts[PieceKind.REMOVED]
    return Statistics(
        len("".join(text.split())), _count(text), counts[PieceKind.ADDED], counts[PieceKind.REMOVED],
        2 * counts[PieceKind.SAME] / total if total else 1.0)


def _count(text: str) -> int:
    return sum(any(character.isalnum() for character in word) for word in words_of(text))


def _word_pieces(old: str, new: str) -> Iterator[tuple[PieceKind, str]]:
    old_words, new_words = words_of(old), words_of(new)
    if max(len(old_words), len(new_words)) > MOST_WORDS:
        yield PieceKind.REMOVED, old
        yield PieceKind.ADDED, new
        return
    for is_same, removed, added in _passages(old_words, new_words):
        if is_same:
            yield PieceKind.SAME, "".join(removed)
        else:
            yield PieceKind.REMOVED, "".join(removed)
            yield PieceKind.ADDED, "".join(added)


def _passages(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[bool, Sequence[str], Sequence[str]]]:
    """What is the same and what changed, in turn: (is_same, of the old, of the new)."""
    for is_same, steps in groupby(Indel.opcodes(old, new), key=lambda step: step.tag == "equal"):
        found = list(steps)
        yield is_same, old[found[0].src_start:found[-1].src_end], new[found[0].dest_start:found[-1].dest_end]


def _joined(found: Sequence[tuple[PieceKind, str]]) -> Iterator[Piece]:
    """Neighbours of one kind together; between two unchanged passages what was removed comes first."""
    for is_same, pieces in groupby((piece for piece in found if piece[1]), key=lambda piece: piece[0] is PieceKind.SAME):
        passage = list(pieces)
        for kind in (PieceKind.SAME,) if is_same else (PieceKind.REMOVED, PieceKind.ADDED):
            text = "".join(words for told, words in passage if told is kind)
            if text:
                yield Piece(kind, text)
