"""The offline writer: the same text for the same concept, plausible, marked as a sample, failing on request."""

import asyncio
import re
import subprocess
import sys
import time
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.content.checks import check
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import CONCEPT_KINDS, ContentKind
from backend.content.written import ConceptBrief
from backend.settings import Settings
from workers.generators.choose import choose_generator
from workers.generators.faults import OfflineFaults, allowed_kinds
from workers.generators.model import ModelGenerator
from workers.generators.offline import (
    OfflineGenerator,
    delay_seconds_for,
    quiz_for,
    resources_for,
    tutorial_for,
)
from workers.generators.protocol import WRITERS, write


def make_brief(**changes):
    brief = ConceptBrief(
        roadmap_id="r1", roadmap_title="Computer science", language="en", stage_name="Core", module_name="Data structures",
        concept_id="c1", concept_name="Hash tables", description="Keys to buckets", difficulty="medium",
        estimated_hours=6.0, prerequisites=("arrays", "modular arithmetic"), keywords=("hash function", "collision"))
    return replace(brief, **changes)


def make_generator(*, first_call=0, **changes):
    values = {"openai_api_key": None, "openai_base_url": None, "offline_delay_seconds": 0.0, "offline_faults": ""}
    return OfflineGenerator(Settings(**(values | changes)), first_call=first_call)


def outcomes(generator, *, count, brief=None):
    async def attempt():
        try:
            await generator.write_tutorial(brief or make_brief())
        except ItemError as error:
            return error.kind
        return None

    async def attempts():
        return [await attempt() for _ in range(count)]

    return asyncio.run(attempts())


CHINESE = make_brief(
    language="zh", roadmap_title="计算机科学", stage_name="核心", module_name="数据结构", concept_name="哈希表",
    prerequisites=("数组",), keywords=("散列函数", "冲突"))
BARE = ConceptBrief(
    roadmap_id="r2", roadmap_title="", language="en", stage_name="", module_name="", concept_id="c9", concept_name="")
BRIEFS = pytest.mark.parametrize("brief", [make_brief(), make_brief(prerequisites=(), keywords=()), CHINESE, BARE])


def test_every_kind_of_a_concept_has_a_writer():
    assert set(WRITERS) == set(CONCEPT_KINDS)


def test_a_kind_that_a_concept_does_not_have_is_refused():
    with pytest.raises(ValueError, match="a concept has no cover"):
        asyncio.run(write(make_generator(), ContentKind.COVER, brief=make_brief()))


@BRIEFS
@pytest.mark.parametrize("kind", CONCEPT_KINDS)
def test_every_text_is_a_sample_that_passes_the_checks(kind, brief):
    written = asyncio.run(write(make_generator(), kind, brief=brief))

    check(written.content)
    assert written.is_sample
    assert written.generator == "offline"
    assert "$" not in written.content.model_dump_json()


@BRIEFS
def test_the_first_line_of_a_tutorial_says_that_no_model_wrote_it(brief):
    first_line = tutorial_for(brief).body_markdown.splitlines()[0]

    assert re.search("Sample text, made without a model|示例文本，未使用模型生成", first_line)


def test_a_tutorial_has_sections_and_the_length_of_a_real_one():
    for number in range(50):
        tutorial = tutorial_for(make_brief(concept_id=f"c{number}", prerequisites=("arrays",) * (number % 2)))
        assert 400 <= len(tutorial.body_markdown.split()) <= 700
        assert tutorial.body_markdown.count("\n## ") == 7


def test_a_tutorial_uses_the_words_of_its_concept():
    tutorial = tutorial_for(make_brief())

    for word in ("ash tables", "Data structures", "hash function", "collision", "arrays", "modular arithmetic"):
        assert word in tutorial.body_markdown


def test_a_chinese_roadmap_gets_chinese_texts():
    assert tutorial_for(CHINESE).title == "哈希表"
    for text in (tutorial_for(CHINESE).body_markdown, *(q.question for q in quiz_for(CHINESE).questions)):
        words = re.findall("[a-zA-Z]{3,}", text)
        assert not words


def test_neighbours_do_not_read_the_same():
    bodies = {tutorial_for(make_brief(concept_id=f"c{number}")).body_markdown for number in range(30)}

    assert len(bodies) >= 28


def test_the_same_brief_gives_the_same_text_in_another_process():
    program = ("from tests.unit.test_offline_generator import *;"
               "print(hash('x'), file=__import__('sys').stderr);"
               "print(ascii((tutorial_for(make_brief()), resources_for(make_brief()), quiz_for(make_brief()))))")

    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    here = ascii((tutorial_for(make_brief()), resources_for(make_brief()), quiz_for(make_brief())))
    assert other.stdout.strip() == here


@BRIEFS
def test_resources_lead_only_to_reserved_domains(brief):
    resources = resources_for(brief)

    assert 4 <= len(resources.resources) <= 6
    for resource in resources.resources:
        host = urlsplit(resource.url).hostname
        assert resource.url.startswith("https://")
        assert re.fullmatch(r"(\w+\.)?example\.(org|com)", host)


@BRIEFS
def test_a_quiz_has_five_explained_questions_whose_right_answers_move_about(brief):
    quizzes = [quiz_for(replace(brief, concept_id=f"c{number}")) for number in range(20)]

    for quiz in quizzes:
        assert [question.difficulty for question in quiz.questions] == ["easy", "easy", "medium", "medium", "hard"]
        assert len({question.question for question in quiz.questions}) == 5
        assert all(question.explanation and len(question.options) == 4 for question in quiz.questions)
    assert {question.correct_options[0] for quiz in quizzes for question in quiz.questions} == {0, 1, 2, 3}


@settings(max_examples=60, deadline=None)
@given(
    names=st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=200)] * 4),
    lists=st.tuples(*[st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))] * 2),
    language=st.sampled_from(["en", "zh", "zh-TW", "fr", ""]),
    hours=st.one_of(st.none(), st.floats(allow_nan=False)))
def test_whatever_a_roadmap_is_called_the_texts_are_whole(names, lists, language, hours):
    title, stage, module, concept = names
    brief = make_brief(
        roadmap_title=title, stage_name=stage, module_name=module, concept_name=concept, language=language,
        prerequisites=tuple(lists[0]), keywords=tuple(lists[1]), estimated_hours=hours)

    for content in (tutorial_for(brief), resources_for(brief), quiz_for(brief)):
        check(content)


def test_the_delay_is_the_setting_within_40_percent_and_the_same_each_time():
    delays = [delay_seconds_for(ContentKind.QUIZ, make_brief(concept_id=f"c{number}"), average_seconds=1.0)
              for number in range(200)]

    assert min(delays) >= 0.6
    assert max(delays) <= 1.4
    assert max(delays) - min(delays) > 0.6
    assert delay_seconds_for(ContentKind.QUIZ, make_brief(concept_id="c0"), average_seconds=1.0) == delays[0]


def test_writing_takes_its_delay_and_can_be_cancelled_at_once():
    async def cancelled_seconds():
        task = asyncio.create_task(make_generator(offline_delay_seconds=60.0).write_quiz(make_brief()))
        await asyncio.sleep(0)
        started_at = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - started_at

    assert asyncio.run(cancelled_seconds()) < 1.0


def test_without_faults_nothing_fails():
    assert set(outcomes(make_generator(), count=20)) == {None}


def test_faults_come_in_the_shares_that_were_asked_for():
    generator = make_generator(offline_faults=" rate_limited:0.2, model_timeout:0.1 ,content_empty:0.1 ")

    kinds = outcomes(generator, count=1000)

    assert 140 <= kinds.count(ErrorKind.MODEL_RATE_LIMITED) <= 260
    assert 60 <= kinds.count(ErrorKind.MODEL_TIMEOUT) <= 140
    assert 60 <= kinds.count(ErrorKind.CONTENT_EMPTY) <= 140
    assert kinds.count(None) + sum(map(kinds.count, {*kinds} - {None})) == 1000


def test_faults_repeat_with_the_same_first_call_and_differ_with_another():
    faults = {"offline_faults": "refused:0.5"}

    first = outcomes(make_generator(first_call=0, **faults), count=40)

    assert outcomes(make_generator(first_call=0, **faults), count=40) == first
    assert outcomes(make_generator(first_call=40, **faults), count=40) != first


def test_a_fresh_process_does_not_draw_the_same_fault_for_ever():
    draws = {outcomes(make_generator(first_call=None, offline_faults="refused:0.5"), count=1)[0] for _ in range(60)}

    assert draws == {None, ErrorKind.MODEL_REFUSED}


@pytest.mark.parametrize("kind", allowed_kinds())
def test_every_kind_of_model_and_content_error_can_be_asked_for(kind):
    for name in (kind.value, kind.value.split("_", 1)[1]):
        with pytest.raises(ItemError, match="REDRIVE_OFFLINE_FAULTS") as caught:
            asyncio.run(make_generator(offline_faults=f"{name}:1").write_tutorial(make_brief()))
        assert caught.value.kind is kind


@pytest.mark.parametrize("text", [
    "rate_limited", "rate_limited:", "rate_limited:often", "rate_limited:1.5", "rate_limited:-0.1", "rate_limited:nan",
    "worker_lost:0.1", "save_too_long:0.1", "nonsense:0.1", "refused:0.6,timeout:0.6", "refused:0.1,model_refused:0.1",
])
def test_malformed_faults_are_named_with_their_setting(text):
    with pytest.raises(ValueError, match="REDRIVE_OFFLINE_FAULTS") as caught:
        OfflineFaults.parse(text)

    assert "rate_limited" in str(caught.value) or "more than 1" in str(caught.value)


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, OfflineGenerator),
    ({"openai_api_key": ""}, OfflineGenerator),
    ({"openai_base_url": ""}, OfflineGenerator),
    ({"openai_api_key": "sk-something"}, ModelGenerator),
    ({"openai_base_url": "http://127.0.0.1:9/v1"}, ModelGenerator),
])
def test_a_key_or_an_endpoint_chooses_the_model(changes, expected):
    values = {"openai_api_key": None, "openai_base_url": None}

    assert isinstance(choose_generator(Settings(**(values | changes))), expected)


@pytest.mark.parametrize(("changes", "setting"), [
    ({"openai_base_url": "localhost:8000/v1"}, "OPENAI_BASE_URL"),
    ({"openai_base_url": "http://127.0.0.1:port/v1"}, "OPENAI_BASE_URL"),
    ({"openai_api_key": "sk-schlüssel"}, "OPENAI_API_KEY"),
    ({"openai_api_key": "sk-a\nsk-b"}, "OPENAI_API_KEY"),
    ({"offline_faults": "what"}, "REDRIVE_OFFLINE_FAULTS"),
])
def test_a_setting_that_cannot_work_is_named_before_anything_is_written(changes, setting):
    values = {"openai_api_key": None, "openai_base_url": None}

    with pytest.raises(ValueError, match=setting) as caught:
        choose_generator(Settings(**(values | changes)))

    assert "schlüssel" not in str(caught.value)
