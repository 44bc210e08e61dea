"""A chapter read out of a JSON document that comes in pieces, cut anywhere."""

import json

from hypothesis import given
from hypothesis import strategies as st

from workers.generators.partial import PartialChapter

CHARACTERS = st.sampled_from(["中", "文", "a", '"', "\\", "\n", "\t", "🙂", "\u2028", "é", "{", "}", "[", "]", ",", ":", "\x01", "/",
                              "\\u4e2d"])
TEXTS = st.lists(CHARACTERS, max_size=50).map("".join)


@given(TEXTS, TEXTS, st.booleans(), st.booleans(), st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_the_text_is_given_once_in_order_and_to_the_last_character(title, content, is_ascii, is_fenced, cuts):
    document = json.dumps({"title": title, "content": content, "options": [{"text": '"', "impact": content}]}, ensure_ascii=is_ascii)
    document = f"```json\n{document}\n```" if is_fenced else document
    partial, told, at, turn = PartialChapter(), "", 0, 0

    while at < len(document):
        length = cuts[turn % len(cuts)]
        partial.feed(document[at:at + length])
        told += partial.take()
        assert content.startswith(told)
        at, turn = at + length, turn + 1

    assert told == content
    assert not content or partial.title == title


def test_an_escape_that_is_cut_is_told_when_it_is_whole():
    partial = PartialChapter()
    partial.feed(r'{"title": "t", "content": "a\ud83d')

    first = partial.take()
    partial.feed(r'\ude00b')

    assert (first, partial.take()) == ("a", "😀b")
