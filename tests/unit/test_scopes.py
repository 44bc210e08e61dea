"""Scopes in the record of an operation: what is read back is what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter, Scope

FILTERS = st.builds(
    ProblemFilter, problem_kinds=st.lists(st.sampled_from(ProblemKind), max_size=2).map(tuple),
    kinds=st.lists(st.sampled_from(ContentKind), max_size=2).map(tuple), owner_id=st.sampled_from(["", "r1"]),
    cause_id=st.sampled_from(["", "k"]), minimum_age_seconds=st.sampled_from([0, 3600]), minimum_attempts=st.sampled_from([0, 2]),
    text=st.sampled_from(["", "pool"]))


@given(FILTERS)
def test_a_filter_is_read_as_it_was_written(problem_filter):
    scope = Scope.everything() if problem_filter.is_everything else Scope.matching(problem_filter)

    assert Scope.from_json(scope.as_json()) == scope


def test_of_keys_only_the_number_is_in_the_record():
    scope = Scope.of(ContentKey(ContentKind.QUIZ, "r1", "a"))

    assert scope.as_json() == {"keys": 1}
    with pytest.raises(KeyError):
        Scope.from_json(scope.as_json())
