"""Reading framework_data: what can be read is read, and each fault has its path."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.content.framework import read_framework
from backend.content.keys import ContentKind
from tests.factories import concept, framework

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["stages", "modules", "concepts", "concept_id"]), inner, max_size=4),
    max_leaves=30)


def one_module(*concepts: object) -> dict:
    return {"stages": [{"name": "S", "modules": [{"name": "M", "concepts": list(concepts)}]}]}


@pytest.mark.parametrize(("data", "fault"), [
    (None, "$: an object was expected, nothing is there"),
    ([], "$: an object was expected, a list is there"),
    ("{}", "$: an object was expected, a text is there"),
    ({}, "$.stages: a list was expected, nothing is there"),
    ({"stages": {}}, "$.stages: a list was expected, an object is there"),
    ({"stages": [7]}, "$.stages[0]: an object was expected, a number is there"),
    ({"stages": [{"modules": []}, {"modules": None}]}, "$.stages[1].modules: a list was expected, nothing is there"),
    ({"stages": [{"modules": [True]}]}, "$.stages[0].modules[0]: an object was expected, true or false is there"),
    ({"stages": [{"modules": [{"concepts": "a, b"}]}]}, "$.stages[0].modules[0].concepts: a list was expected, a text is there"),
    (one_module(concept("a"), 1.5), "$.stages[0].modules[0].concepts[1]: an object was expected, a number is there"),
    (one_module({"name": "x"}), "$.stages[0].modules[0].concepts[0].concept_id: a text was expected, nothing is there"),
    (one_module({"concept_id": 7}), "$.stages[0].modules[0].concepts[0].concept_id: a text was expected, a number is there"),
    (one_module({"concept_id": ""}), "$.stages[0].modules[0].concepts[0].concept_id: a text was expected, an empty text is there"),
    (one_module(concept("a"), concept("a")), "$.stages[0].modules[0].concepts[1].concept_id: 'a' occurs twice"),
])
def test_a_fault_is_told_with_its_path_and_what_is_there_instead(data, fault):
    assert read_framework(data).faults == (fault,)


def test_a_fault_hides_no_concept_beside_it():
    data = {"stages": [
        "odd", {"name": "S", "modules": [None, {"name": "M", "concepts": [concept("a"), [], concept("b")]}]}, {"modules": 3},
        {"modules": [{"concepts": [concept("c")]}]}]}

    framework_read = read_framework(data)

    assert [found.concept_id for found in framework_read.concepts] == ["a", "b", "c"]
    assert len(framework_read.faults) == 4


def test_of_a_concept_that_occurs_twice_the_first_counts():
    data = framework(concept("a", status="failed", name="first"), concept("a", status="completed", name="second"))

    found = read_framework(data).concept("a")

    assert (found.name, found.declared(ContentKind.QUIZ)) == ("first", "failed")


def test_a_concept_is_read_with_the_names_around_it_and_its_place():
    found = read_framework(framework(concept("a"), concept("b"), modules=2)).concept("b")

    assert (found.stage_name, found.module_name, found.path) == ("Stage", "Module 1", (0, 1, 0))
    assert found.json_path == ("stages", "0", "modules", "1", "concepts", "0")


def test_the_place_of_a_concept_counts_what_cannot_be_read_too():
    found = read_framework(one_module(None, concept("a"))).concept("a")

    assert found.path == (0, 0, 1)


@pytest.mark.parametrize("name", [None, "", 7, ["x"]])
def test_a_concept_without_a_name_is_called_by_its_id(name):
    assert read_framework(one_module({"concept_id": "a", "name": name})).concepts[0].name == "a"


@pytest.mark.parametrize(("value", "declared"), [
    ("completed", "completed"), ("a word nobody knows", "a word nobody knows"), (None, None), ("", None), (5, "5"), (True, "true"),
    ({"语": 1}, '{"语": 1}')])
def test_a_declared_status_is_told_as_it_stands_also_when_it_is_no_text(value, declared):
    found = read_framework(one_module({"concept_id": "a", "resources_status": value})).concepts[0]

    assert found.declared(ContentKind.RESOURCES) == declared


def test_each_kind_of_content_has_a_status_of_its_own():
    found = read_framework(one_module(concept("a", content_status="failed", resources_status=None, quiz_status="pending"))).concepts[0]

    assert [found.declared(kind) for kind in (ContentKind.TUTORIAL, ContentKind.RESOURCES, ContentKind.QUIZ)] == ["failed", None, "pending"]


def test_a_framework_without_any_stage_has_no_concept_and_no_fault():
    assert read_framework({"stages": []}) == read_framework({"stages": [{"modules": [{"concepts": []}]}]})


def test_a_concept_that_is_not_there_is_none():
    assert read_framework(framework(concept("a"))).concept("b") is None


@given(ANY_JSON)
def test_any_json_at_all_is_read_without_an_exception(data):
    found = read_framework(data)

    assert len({concept.concept_id for concept in found.concepts}) == len(found.concepts)


@given(ANY_JSON)
def test_the_path_of_a_concept_leads_to_it(data):
    for found in read_framework(data).concepts:
        place = data
        for step in found.json_path:
            place = place[int(step)] if isinstance(place, list) else place[step]

        assert json.dumps(place) == json.dumps(found.fields)
