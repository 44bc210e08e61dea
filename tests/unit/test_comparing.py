"""Two texts compared word by word, in both languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.content.comparing import Piece, PieceKind, pieces_of, statistics

TEXTS = st.text(st.sampled_from("ab 中文学,。\n🙂é"), max_size=80)


@given(TEXTS, TEXTS)
def test_both_texts_can_be_read_off_the_pieces(old, new):
    pieces = pieces_of(old, new)

    assert "".join(piece.text for piece in pieces if piece.kind is not PieceKind.ADDED) == old
    assert "".join(piece.text for piece in pieces if piece.kind is not PieceKind.REMOVED) == new


@pytest.mark.parametrize(("old", "new", "pieces"), [
    ("He went home.", "He ran home.", [("same", "He "), ("removed", "went"), ("added", "ran"), ("same", " home.")]),
    ("他去了北京大学。", "他去了图书馆。", [("same", "他去了"), ("removed", "北京大学"), ("added", "图书馆"), ("same", "。")]),
])
def test_whole_words_change(old, new, pieces):
    assert pieces_of(old, new) == tuple(Piece(PieceKind(kind), text) for kind, text in pieces)


def test_statistics_count_words_and_what_changed():
    pieces = pieces_of("He went home.", "He ran home.")

    found = statistics("He ran home.", pieces)

    assert (found.characters, found.words, found.added, found.removed) == (10, 3, 1, 1)
    assert found.similarity_ratio == pytest.approx(2 / 3)
