"""Texts of others: nothing is fetched, run, or read as markup."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st_

from dashboard.untrusted import escaped, plain, safe_markdown, web_address


@pytest.mark.parametrize("text", [
    "![a](https://evil.example/x.png)", "![a][ref]\n\n[ref]: https://evil.example/x.png", "[![a](https://e.example/x)](https://e.example)",
    "!![a](b)", "`![a](b)`", "!\u200b![a](b)",
])
def test_no_image_is_left(text):
    assert "![" not in safe_markdown(text)


def test_code_that_only_looks_like_an_image_keeps_its_letters():
    assert safe_markdown("let v = vec![1];").replace("\u200b", "") == "let v = vec![1];"


@pytest.mark.parametrize("fence", ["```mermaid", "~~~ Mermaid", "````  mermaid x", "```m&#101;rmaid", "```m\\ermaid", "> - ```mermaid"])
def test_no_diagram_is_drawn(fence):
    assert safe_markdown(f"{fence}\ngraph TD\n```").splitlines()[0][-1] in "`~"


def test_other_fences_keep_their_language():
    assert safe_markdown("```python\nprint(1)\n```") == "```python\nprint(1)\n```"


@given(st_.text())
def test_no_text_makes_an_image(text):
    assert "![" not in safe_markdown(text)


@given(st_.text())
def test_plain_text_leaves_no_markup_character_unescaped(text):
    assert not re.search(r"(?<!\\)(?:\\\\)*[*_`\[\]<>:$~|#!]", plain(text))


def test_escaped_text_is_no_html():
    assert escaped('<img src="x" onerror=alert(1)>') == "&lt;img src=&quot;x&quot; onerror=alert(1)&gt;"


@pytest.mark.parametrize(("url", "kept"), [
    ("https://example.org/a", True), ("http://example.org", True), ("javascript:alert(1)", False), ("data:text/html,x", False),
    ("https://example.org/\" onclick=\"x", False), (None, False), ({"a": 1}, False)])
def test_only_web_addresses_become_links(url, kept):
    assert bool(web_address(url)) is kept


@pytest.mark.parametrize("address", ["http://evil.example", "see HTTPS://evil.example/x", "www.evil.example"])
def test_plain_text_makes_no_link(address):
    shown = plain(address).replace("\\", "")

    assert "://" not in shown
    assert "www." not in shown
    assert shown.replace("\u200b", "") == address
