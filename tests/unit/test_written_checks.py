"""What may be saved of what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.content.checks import check, check_quiz, check_resources, check_tutorial
from backend.content.errors import ErrorKind, ItemError
from backend.content.written import Question, Quiz, Resource, Resources, Tutorial

BLANKS = ["", "   ", "\n\t", "\u3000", "\u200b\ufeff", " \u200b "]


def make_tutorial(**changes):
    values = {"title": "Hash tables", "summary": "What they do.", "body_markdown": "## Idea\n\nText.",
              "estimated_minutes": 20}
    return Tutorial(**(values | changes))


def make_resource(**changes):
    values = {"title": "Notes", "url": "https://example.org/notes", "type": "article", "description": "Short."}
    return Resource(**(values | changes))


def make_resources(*resources, search_queries=("hash tables explained",)):
    return Resources(resources=list(resources), search_queries=list(search_queries))


def make_question(**changes):
    values = {"question": "Which?", "options": ["this", "that"], "correct_options": [1],
              "explanation": "Because.", "difficulty": "easy"}
    return Question(**(values | changes))


def kind_of_fault(content):
    with pytest.raises(ItemError) as caught:
        check(content)
    return caught.value.kind


@pytest.mark.parametrize("content", [
    make_tutorial(),
    make_tutorial(body_markdown="emoji 🙂 and 中文 and a tab\t"),
    make_resources(make_resource(), make_resource(url="http://example.com:8080/a?b=c#d")),
    make_resources(make_resource(), search_queries=()),
    Quiz(questions=[make_question(), make_question(correct_options=[0, 1])]),
])
def test_good_content_passes(content):
    check(content)


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("field", ["title", "summary", "body_markdown"])
def test_a_tutorial_with_a_blank_part_is_empty(field, blank):
    assert kind_of_fault(make_tutorial(**{field: blank})) is ErrorKind.CONTENT_EMPTY


def test_a_tutorial_without_text_is_named_as_such():
    with pytest.raises(ItemError, match="no text"):
        check_tutorial(make_tutorial(title="", body_markdown=""))


def test_no_resources_are_empty():
    with pytest.raises(ItemError) as caught:
        check_resources(make_resources())

    assert caught.value.kind is ErrorKind.CONTENT_EMPTY


@pytest.mark.parametrize("content", [
    make_resources(make_resource(), make_resource(title=" ")),
    make_resources(make_resource(description="")),
    make_resources(make_resource(), search_queries=["good", ""]),
])
def test_a_blank_string_inside_resources_is_empty(content):
    assert kind_of_fault(content) is ErrorKind.CONTENT_EMPTY


@pytest.mark.parametrize("url", ["javascript:alert(1)", "www.example.org/page", "https://", "ftp://example.org",
                                 "https://[broken"])
def test_an_address_that_cannot_be_opened_is_an_invalid_answer(url):
    assert kind_of_fault(make_resources(make_resource(url=url))) is ErrorKind.MODEL_INVALID_JSON


@pytest.mark.parametrize("quiz", [
    Quiz(questions=[]),
    Quiz(questions=[make_question(options=[], correct_options=[])]),
    Quiz(questions=[make_question(), make_question(options=["this", " "])]),
    Quiz(questions=[make_question(explanation="")]),
])
def test_a_quiz_without_questions_options_or_words_is_empty(quiz):
    assert kind_of_fault(quiz) is ErrorKind.CONTENT_EMPTY


@pytest.mark.parametrize("positions", [[2], [-1], [0, 7], []])
def test_right_answers_outside_the_options_are_an_invalid_answer(positions):
    with pytest.raises(ItemError) as caught:
        check_quiz(Quiz(questions=[make_question(), make_question(correct_options=positions)]))

    assert caught.value.kind is ErrorKind.MODEL_INVALID_JSON
    assert "Question 2" in caught.value.message


@pytest.mark.parametrize("character", [chr(code) for code in (0, 0xD800, 0xDFFF)])
@pytest.mark.parametrize(("content", "where"), [
    (lambda text: make_tutorial().model_copy(update={"body_markdown": text}), "body_markdown"),
    (lambda text: make_resources(make_resource().model_copy(update={"title": text})), "resources[0].title"),
    (lambda text: make_resources(make_resource()).model_copy(update={"search_queries": ["a", text]}),
     "search_queries[1]"),
    (lambda text: Quiz(questions=[make_question().model_copy(update={"options": ["a", text]})]),
     "questions[0].options[1]"),
])
def test_a_character_the_database_cannot_store_is_found_wherever_it_hides(content, where, character):
    with pytest.raises(ItemError) as caught:
        check(content(f"before {character} after"))

    assert caught.value.kind is ErrorKind.CONTENT_UNSTORABLE
    assert caught.value.message.startswith(f"{where} holds the character U+{ord(character):04X}")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_every_text_with_something_to_see_passes(text):
    check(make_tutorial(body_markdown=f"{text}."))
