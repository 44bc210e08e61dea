"""From the dry run to the stored operation: what is shown is what is planned is what is stored."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from backend.actions import attempts, cancel, retry, triage
from backend.actions.actors import Actor, NotAllowed, Role
from backend.actions.retry import NothingToRetry
from backend.bootstrap import connect
from backend.clock import utc_now
from backend.content.keys import CONCEPT_KINDS, ContentKey, ContentKind
from backend.content.plans import ExclusionRule, InclusionRule, Plan
from backend.content.prices import NoPrice
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter, Scope
from backend.content.status import ItemAction, ItemState
from backend.content.stopping import CancelReason, CancelScope
from backend.content.triage import CauseState, is_left_out
from backend.redrive import Redrive
from backend.settings import Price
from backend.storage import problems as kept
from backend.storage.ops_tables import ops
from backend.storage.platform_tables import platform
from backend.views import listing
from tests.factories import add_item, add_novel, add_operation, add_roadmap, add_task, ago, concept

VIEWER = Actor("a viewer", Role.VIEWER)
OPERATOR = Actor("an operator", Role.OPERATOR)
QUIZ_A, QUIZ_B = ContentKey(ContentKind.QUIZ, "r1", "a"), ContentKey(ContentKind.QUIZ, "r1", "b")
EVERYTHING = Scope.everything()


@pytest.fixture
def broken(redrive: Redrive) -> Redrive:
    """Redrive with roadmap r1: 3 concepts without quiz, and r2: one concept without anything."""
    add_roadmap(redrive.engine, "r1", concepts=[concept(name, quiz_status="failed") for name in "abc"],
                saved=[ContentKind.TUTORIAL, ContentKind.RESOURCES])
    add_roadmap(redrive.engine, "r2", concepts=[concept("z", status=None)], saved=[])
    drain(redrive)
    return redrive


def drain(redrive: Redrive) -> None:
    kept.drain(redrive.engine, utc_now, redrive.limits)


def execute(redrive: Redrive, *statements: str) -> None:
    with redrive.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def rows(redrive: Redrive, query: str) -> list[tuple]:
    with redrive.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def every_row(redrive: Redrive) -> dict[str, list[tuple]]:
    """All tables as they stand, with the transaction that wrote each row."""
    tables = [*(f"public.{name}" for name in platform.tables), *(table.fullname for table in ops.sorted_tables)]
    return {table: sorted(rows(redrive, f"select xmin::text, t.*::text from {table} t")) for table in tables}


def stored_keys(redrive: Redrive) -> list[str]:
    return sorted(":".join(row) for row in rows(redrive, "select kind, owner_id, part from ops.items"))


def names(keys: Iterable[ContentKey]) -> list[str]:
    return sorted(map(str, keys))


def plan(redrive: Redrive, scope: Scope = EVERYTHING, actor: Actor = OPERATOR) -> Plan:
    return retry.plan(redrive, scope, actor)


def excluded(found: Plan) -> dict[ContentKey, ExclusionRule]:
    return {left_out.key: left_out.rule for left_out in found.excluded}


@pytest.mark.parametrize("scope", [
    EVERYTHING, Scope.matching(ProblemFilter(owner_id="r1")), Scope.of(QUIZ_A, ContentKey(ContentKind.QUIZ, "r1", "healthy"))])
def test_a_plan_writes_nothing_at_all(broken, scope):
    before = every_row(broken)

    plan(broken, scope)

    assert every_row(broken) == before


@pytest.mark.parametrize("scope", [
    EVERYTHING, Scope.matching(ProblemFilter(owner_id="r1")), Scope.matching(ProblemFilter(kinds=(ContentKind.QUIZ,), text="concept")),
    Scope.of(QUIZ_B, QUIZ_A)])
def test_what_is_shown_is_what_is_planned_is_what_is_stored(broken, scope):
    shown = [row.key for row in listing.problem_page(broken, scope.filter or ProblemFilter()).rows]
    if scope.keys:
        shown = [key for key in shown if key in scope.keys]

    planned = plan(broken, scope)
    confirmed = retry.confirm(broken, planned, OPERATOR)

    assert names(shown) == names(planned.keys) == stored_keys(broken)
    assert (confirmed.item_count, confirmed.overtaken_count) == (len(shown), 0)
    assert rows(broken, "select planned_count, state from ops.operations") == [(len(shown), "running")]


def test_a_problem_that_appears_after_the_dry_run_is_not_acted_on(broken):
    planned = plan(broken)
    execute(broken, "delete from tutorial_metadata")
    drain(broken)

    retry.confirm(broken, planned, OPERATOR)

    assert stored_keys(broken) == names(planned.keys)


def test_confirming_the_same_plan_twice_is_one_operation(broken):
    planned = plan(broken)

    first, second = retry.confirm(broken, planned, OPERATOR), retry.confirm(broken, planned, OPERATOR)

    assert first.operation_id == second.operation_id
    assert stored_keys(broken) == names(planned.keys)
    assert rows(broken, "select count(*) from ops.audit_log") == [(1,)]


def test_the_same_plan_confirmed_by_two_threads_at_once_is_one_operation(broken):
    planned = plan(broken)

    outcomes = at_once(lambda: retry.confirm(broken, planned, OPERATOR), lambda: retry.confirm(broken, planned, OPERATOR))

    assert len({outcome.operation_id for outcome in outcomes}) == 1
    assert stored_keys(broken) == names(planned.keys)


def test_overlapping_plans_confirmed_at_once_start_each_key_exactly_once(broken):
    scopes = [Scope.of(QUIZ_A, QUIZ_B), Scope.matching(ProblemFilter(owner_id="r1")), EVERYTHING, EVERYTHING]
    plans = [plan(broken, scope) for scope in scopes]

    def confirm(planned: Plan) -> retry.Confirmed | None:
        try:
            return retry.confirm(broken, planned, OPERATOR)
        except NothingToRetry:
            return None

    outcomes = at_once(*(lambda planned=planned: confirm(planned) for planned in plans))

    confirmed = [outcome for outcome in outcomes if outcome]
    assert stored_keys(broken) == names(plans[-1].keys)
    assert sum(outcome.item_count for outcome in confirmed) == len(plans[-1].keys)
    assert len(rows(broken, "select 1 from ops.operations")) == len(confirmed)


def test_confirming_again_tells_the_numbers_of_the_first_time(broken):
    mine, theirs = plan(broken), plan(broken, Scope.of(QUIZ_A))
    retry.confirm(broken, theirs, OPERATOR)

    first, second = retry.confirm(broken, mine, OPERATOR), retry.confirm(broken, mine, OPERATOR)

    assert second == first


def at_once(*calls) -> list:
    start = Barrier(len(calls))

    def call_after_start(call):
        start.wait(timeout=30)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [done.result(timeout=60) for done in [threads.submit(call_after_start, call) for call in calls]]


def test_keys_that_somebody_else_began_in_the_meantime_are_left_to_them(broken):
    mine, theirs = plan(broken), plan(broken, Scope.of(QUIZ_A))
    retry.confirm(broken, theirs, OPERATOR)

    confirmed = retry.confirm(broken, mine, OPERATOR)

    assert (confirmed.item_count, confirmed.overtaken_count) == (len(mine.keys) - 1, 1)
    assert stored_keys(broken) == names(mine.keys)


@pytest.mark.parametrize("state", [ItemState.PLANNED, ItemState.QUEUED, ItemState.RUNNING])
def test_what_is_being_worked_on_is_left_out(broken, state):
    retry.confirm(broken, plan(broken, Scope.of(QUIZ_A)), OPERATOR)
    execute(broken, f"update ops.items set state = '{state}'")

    assert excluded(plan(broken)) == {QUIZ_A: ExclusionRule.ALREADY_RUNNING}


def test_what_a_platform_task_works_on_is_left_out_as_already_running(broken):
    add_task(broken.engine, roadmap_id="r1", status="processing", task_type="retry_quiz", updated_at=utc_now())
    drain(broken)

    assert excluded(plan(broken, Scope.of(QUIZ_A))) == {QUIZ_A: ExclusionRule.ALREADY_RUNNING}


def test_a_chosen_key_that_is_healthy_by_now_is_left_out(broken):
    execute(broken, "insert into quiz_metadata (quiz_id, concept_id, roadmap_id, questions) values ('q', 'a', 'r1', '[{}]')",
            "update roadmap_metadata set framework_data = "
            "jsonb_set(framework_data, '{stages,0,modules,0,concepts,0,quiz_status}', '\"completed\"')")
    drain(broken)

    found = plan(broken, Scope.of(QUIZ_A, QUIZ_B))

    assert (excluded(found), names(found.keys)) == ({QUIZ_A: ExclusionRule.NOT_BROKEN}, names([QUIZ_B]))


@pytest.mark.parametrize(("statement", "key"), [
    ("delete from tutorial_metadata where concept_id = 'a'", ContentKey(ContentKind.TUTORIAL, "r1", "a")),
    ("update roadmap_cover_images set generation_status = 'failed', cover_image_url = null where roadmap_id = 'r1'",
     ContentKey(ContentKind.COVER, "r1"))])
def test_a_chosen_key_that_the_list_does_not_hold_yet_is_not_called_whole(broken, statement, key):
    execute(broken, statement)

    found = plan(broken, Scope.of(key))

    assert excluded(found) == {key: ExclusionRule.NOT_LISTED}
    with pytest.raises(NothingToRetry, match="not listed yet"):
        retry.confirm(broken, found, OPERATOR)
    drain(broken)
    assert excluded(plan(broken, Scope.of(key))) == {}


def test_a_key_tried_too_often_today_is_left_out(broken):
    limit = broken.settings.maximum_attempts_per_day
    execute(broken, *(
        "insert into ops.items (operation_id, kind, owner_id, part, action, state, problem_kind, attempt, settled_at) "
        f"values ('o', 'quiz', 'r1', '{part}', 'generate', 'failed', 'failed', {attempt}, now())"
        for part, attempt in (("a", limit), ("b", limit - 1))))

    assert excluded(plan(broken)) == {QUIZ_A: ExclusionRule.POISON}


def test_covers_and_chapters_are_included(redrive):
    add_roadmap(redrive.engine, concepts=[concept("a")], has_cover=False)
    add_novel(redrive.engine)
    drain(redrive)

    planned = plan(redrive)

    assert excluded(planned) == {}
    assert planned.keys == {ContentKey(ContentKind.COVER, "r1"), ContentKey(ContentKind.CHAPTER, "n1", "1")}


def test_a_framework_that_cannot_be_read_is_left_out(redrive):
    add_roadmap(redrive.engine, framework_data=None)
    drain(redrive)

    assert excluded(plan(redrive)) == {ContentKey(ContentKind.FRAMEWORK, "r1"): ExclusionRule.UNREADABLE}


def test_a_novel_that_cannot_be_read_is_left_out_too_even_when_it_is_named(redrive):
    add_novel(redrive.engine)
    execute(redrive, "update novels set created_at = 'infinity'")
    drain(redrive)
    novel, chapter = (ContentKey(ContentKind.CHAPTER, "n1", part) for part in ("", "1"))

    for scope, key in ((EVERYTHING, novel), (Scope.of(novel), novel), (Scope.of(chapter), chapter)):
        assert excluded(plan(redrive, scope)) == {key: ExclusionRule.UNREADABLE}


def test_an_item_that_was_planned_for_such_a_novel_ends_by_name(redrive):
    add_novel(redrive.engine)
    add_operation(redrive.engine)
    waiting = [add_item(redrive.engine, "", kind="chapter", owner_id="n1", state=state) for state in ("queued", "planned")]

    begun, _item = attempts.begin(redrive, waiting[0])
    cancel.cancel_items(redrive, CancelScope(owner_id="n1"), Actor("an admin", Role.ADMIN), CancelReason.NOT_NEEDED)

    assert begun is attempts.NotBegun.FAILED
    assert rows(redrive, "select state from ops.items order by item_id") == [("failed",), ("cancelled",)]


def test_a_cancelled_creation_is_left_out_unless_it_is_chosen_by_name(broken):
    add_task(broken.engine, roadmap_id="r2", status="cancelled", updated_at=ago(hours=1))
    drain(broken)
    quiz_z = ContentKey(ContentKind.QUIZ, "r2", "z")

    by_filter, by_name = plan(broken, Scope.matching(ProblemFilter(owner_id="r2"))), plan(broken, Scope.of(quiz_z))

    assert excluded(by_filter) == {ContentKey(kind, "r2", "z"): ExclusionRule.CREATION_CANCELLED for kind in CONCEPT_KINDS}
    assert names(by_name.keys) == names([quiz_z])


def test_an_item_that_needs_something_else_than_was_planned_is_skipped_when_its_turn_comes(broken):
    execute(broken, "insert into quiz_metadata (quiz_id, concept_id, roadmap_id, questions) values ('q', 'a', 'r1', '[{}]')")
    drain(broken)
    planned = plan(broken, Scope.of(QUIZ_A))
    retry.confirm(broken, planned, OPERATOR)
    execute(broken, "delete from quiz_metadata where quiz_id = 'q'", "update ops.items set state = 'queued'")

    begun = attempts.begin(broken, rows(broken, "select item_id from ops.items")[0][0])

    assert planned.included[0].action is ItemAction.REPAIR
    assert begun[0] is attempts.NotBegun.SKIPPED
    assert rows(broken, "select state, skip_rule from ops.items") == [("skipped", ExclusionRule.CHANGED)]


def test_a_viewer_is_refused_and_nothing_is_written(broken):
    planned = plan(broken)
    before = every_row(broken)

    with pytest.raises(NotAllowed, match="a viewer has the role viewer; this needs the role operator"):
        plan(broken, actor=VIEWER)
    with pytest.raises(NotAllowed):
        retry.confirm(broken, planned, VIEWER)

    assert every_row(broken) == before


def test_who_confirmed_what_and_why_is_in_the_audit_log_and_the_operation(broken):
    planned = plan(broken, Scope.matching(ProblemFilter(owner_id="r1")))

    confirmed = retry.confirm(broken, planned, OPERATOR, reason="the pool was dry; 连接池耗尽")

    who_and_why = ("an operator", "operator", "the pool was dry; 连接池耗尽")
    assert rows(broken, "select actor_id, actor_role, reason, action, scope, result, operation_id from ops.audit_log") == [
        (*who_and_why, "retry", "broken content of Roadmap r1", "3 items planned", confirmed.operation_id)]
    assert rows(broken, "select actor_id, actor_role, reason, name, scope, request_id from ops.operations") == [
        (*who_and_why, "broken content of Roadmap r1", {"filter": {"owner_id": "r1"}}, planned.request_id)]


@pytest.mark.parametrize(("settled", "words"), [
    ("healthy", "Nothing to retry: no problem matches."),
    ("taken", "Nothing to retry: 6 items left out (r1/a, r1/b, r1/c, r2/z). Already being worked on."),
])
def test_a_plan_without_anything_to_do_is_no_success(broken, settled, words):
    if settled == "healthy":
        execute(broken, "update roadmap_metadata set deleted_at = now()")
        drain(broken)
    else:
        retry.confirm(broken, plan(broken), OPERATOR)
    before = every_row(broken)

    with pytest.raises(NothingToRetry) as refused:
        retry.confirm(broken, plan(broken), OPERATOR)

    assert str(refused.value) == words
    assert every_row(broken) == before


def test_a_plan_that_others_have_taken_over_entirely_is_no_success(broken):
    mine, theirs = plan(broken), plan(broken)
    retry.confirm(broken, theirs, OPERATOR)
    before = every_row(broken)

    with pytest.raises(NothingToRetry, match="6 items of this plan are already being retried; nothing was started twice"):
        retry.confirm(broken, mine, OPERATOR)

    assert every_row(broken) == before


@pytest.mark.parametrize(("keys", "task"), [
    ([QUIZ_A], ("retry_quiz", "a", "quiz")), ([QUIZ_A, QUIZ_B], ("retry_quiz", None, "quiz")),
    ([ContentKey(ContentKind.TUTORIAL, "r2", "z")], ("retry_tutorial", "z", "tutorial")),
    ([ContentKey(ContentKind.RESOURCES, "r2", "z")], ("retry_resources", "z", "resources")),
    ([ContentKey(kind, "r2", "z") for kind in CONCEPT_KINDS], ("retry_batch", "z", None)),
])
def test_the_task_of_the_platform_says_what_is_retried(broken, keys, task):
    retry.confirm(broken, plan(broken, Scope.of(*keys)), OPERATOR)

    assert rows(broken, "select task_type, concept_id, content_type from tasks") == [task]


def test_each_roadmap_gets_one_task_for_its_own_user_and_every_item_knows_its_task(broken):
    execute(broken, "update roadmap_metadata set user_id = 'user of ' || roadmap_id")

    confirmed = retry.confirm(broken, plan(broken), OPERATOR, reason="why")

    assert rows(broken, "select roadmap_id, user_id, status, task_type, content_type, user_request from tasks order by 1") == [
        ("r1", "user of r1", "pending", "retry_quiz", "quiz", request := {
            "source": "redrive", "operation_id": confirmed.operation_id, "reason": "why"}),
        ("r2", "user of r2", "pending", "retry_batch", None, request)]
    assert rows(broken, "select count(*) from ops.items i join tasks t on t.task_id = i.task_id and t.roadmap_id = i.owner_id") == [(6,)]


@pytest.mark.parametrize(("limit", "priority"), [(6, "interactive"), (5, "bulk")])
def test_small_retries_go_to_the_queue_that_people_wait_for(broken, limit, priority):
    small = replace(broken, settings=broken.settings.model_copy(update={"interactive_items": limit}))

    retry.confirm(small, plan(small), OPERATOR)

    assert rows(broken, "select priority from ops.operations") == [(priority,)]


def test_a_plan_is_made_by_a_connection_that_cannot_write(broken, settings):
    execute(broken, f"alter database {broken.engine.url.database} set default_transaction_read_only = on")
    looking = connect(settings)

    with pytest.raises(DBAPIError, match="read-only"):
        retry.confirm(looking, plan(looking), OPERATOR)
    assert len(plan(looking).included) == 6
    looking.close()


def ignore_quizzes(broken: Redrive, **until) -> str:
    """The cause of the quizzes of r1 is ignored; its id."""
    ((cause_id,),) = rows(broken, "select distinct cause_id from ops.problems where owner_id = 'r1'")
    triage.ignore(broken, cause_id, OPERATOR, **until)
    return cause_id


def test_what_has_an_ignored_cause_is_left_out_until_it_is_reopened_or_named(broken):
    cause_id = ignore_quizzes(broken)

    by_filter, by_name = plan(broken), plan(broken, Scope.of(QUIZ_A))

    assert {key.owner_id for key in by_filter.keys} == {"r2"}
    assert set(excluded(by_filter).values()) == {ExclusionRule.CAUSE_IGNORED}
    assert [item.rule for item in by_name.included] == [InclusionRule.REOPENED]
    triage.reopen(broken, cause_id, OPERATOR)
    assert len(plan(broken).included) == 6


@pytest.mark.parametrize("state", CauseState)
@pytest.mark.parametrize("until_at", [None, ago(seconds=1), ago(days=-1)])
def test_a_plan_leaves_out_what_the_rule_of_triage_does(broken, state, until_at):
    execute(broken, f"update ops.causes set state = '{state}', ignored_until_at = " + (f"'{until_at.isoformat()}'" if until_at else "null"))

    found = plan(broken)

    assert (not found.included) is is_left_out(state, until_at, utc_now())


def test_what_somebody_cancelled_is_left_out_until_it_is_reopened_or_named(broken):
    retry.confirm(broken, plan(broken, Scope.of(QUIZ_A)), OPERATOR)
    cancel.cancel_items(broken, CancelScope.of(QUIZ_A), OPERATOR, CancelReason.NOT_NEEDED)
    drain(broken)

    by_filter, by_name, reopened = plan(broken), plan(broken, Scope.of(QUIZ_A)), retry.plan(broken, EVERYTHING, OPERATOR, reopens=True)

    assert excluded(by_filter) == {QUIZ_A: ExclusionRule.CANCELLED_BY_PERSON}
    assert [item.rule for item in by_name.included] == [InclusionRule.REOPENED]
    assert reopened.keys - by_filter.keys == {QUIZ_A}
    retry.confirm(broken, by_name, OPERATOR)
    execute(broken, "update ops.items set state = 'failed', settled_at = now() where state = 'planned'")
    assert QUIZ_A in plan(broken).keys  # tried again since


def test_what_breaks_anew_after_it_was_cancelled_is_included_again(broken):
    retry.confirm(broken, plan(broken, Scope.of(QUIZ_A)), OPERATOR)
    cancel.cancel_items(broken, CancelScope.of(QUIZ_A), OPERATOR, CancelReason.NOT_NEEDED)
    at = utc_now() + timedelta(seconds=1)
    add_task(broken.engine, "later", roadmap_id="r1", status="partial_failure", updated_at=at, completed_at=at, failed_concepts={
        "a": {"reason": "Request timed out.", "content_type": "quiz", "timestamp": at.isoformat()}})
    drain(broken)

    assert QUIZ_A in plan(broken).keys


def test_what_was_undone_was_never_cancelled(broken):
    armed = replace(broken, settings=broken.settings.model_copy(update={"armed_seconds": 30}))
    confirmed = retry.confirm(armed, plan(armed), OPERATOR)
    cancel.undo(armed, confirmed.operation_id, OPERATOR)
    drain(broken)

    assert not plan(broken).excluded


def test_over_the_budget_the_oldest_are_included_and_an_admin_may_override_it_with_a_reason(broken):
    poor = replace(broken, settings=broken.settings.model_copy(update={"operation_budget_calls": 2}))
    admin = Actor("an admin", Role.ADMIN)

    found, overridden = plan(poor), retry.plan(poor, EVERYTHING, admin, overrides_limits=True)

    assert (len(found.included), found.count(ExclusionRule.OVER_BUDGET)) == (2, 4)
    assert len(overridden.included) == 6
    with pytest.raises(retry.ReasonNeeded):
        retry.confirm(poor, overridden, admin)
    with pytest.raises(NotAllowed):
        retry.plan(poor, EVERYTHING, OPERATOR, overrides_limits=True)


def test_a_budget_of_money_that_nobody_could_keep_is_refused_before_anything_is_stored(broken):
    paid = replace(broken, settings=broken.settings.model_copy(update={
        "openai_base_url": "http://127.0.0.1:9/v1", "model": "writer-1", "operation_budget_cost": 5.0}))

    with pytest.raises(NoPrice, match="writer-1 in REDRIVE_PRICES"):
        retry.confirm(paid, plan(paid), OPERATOR)

    assert rows(broken, "select count(*) from ops.operations") == [(0,)]
    priced = replace(paid, settings=paid.settings.model_copy(update={"prices": {"writer-1": Price(1, 1)}}))
    assert retry.confirm(priced, plan(priced), OPERATOR).item_count == 6


def test_items_know_the_cause_that_they_were_planned_for(broken):
    retry.confirm(broken, plan(broken, Scope.of(QUIZ_A)), OPERATOR)

    assert rows(broken, "select i.planned_cause_id = p.cause_id from ops.items i join ops.problems p using (kind, owner_id, part)") == [
        (True,)]


def test_without_history_an_estimate_says_only_the_number_of_calls(broken):
    estimate = plan(broken).estimate

    assert (estimate.calls, estimate.seconds, estimate.tokens) == (6, None, None)


def test_an_estimate_comes_from_past_items_and_repairs_cost_nothing(broken):
    execute(broken, *(
        "insert into ops.items (operation_id, kind, owner_id, part, action, state, problem_kind, started_at, settled_at, prompt_tokens, "
        f"completion_tokens, generator, calls) values ('o', 'quiz', 'r9', '{seconds}', 'generate', 'succeeded', 'failed', now() - interval "
        f"'2 days' - interval '{seconds} s', now() - interval '2 days', 100, {seconds}, '{model}', {calls})"
        for seconds, model, calls in ((10, "offline", 1), (30, "offline", 3), (500, "another-model", 9))),
        "insert into quiz_metadata (quiz_id, concept_id, roadmap_id, questions) values ('q', 'c', 'r1', '[{}]')")
    drain(broken)

    found = plan(broken, Scope.matching(ProblemFilter(owner_id="r1")))

    assert (len(found.included), found.repairs) == (3, 1)
    assert (found.estimate.calls, found.estimate.seconds, found.estimate.tokens) == (4, 2 * 20 / broken.settings.concurrency, 240)
    assert (found.estimate.model, found.estimate.cost, found.estimate.is_priced) == ("offline", None, False)
    priced = replace(broken, settings=broken.settings.model_copy(update={"prices": {"offline": Price(1_000_000, 2_000_000)}}))
    assert plan(priced, Scope.matching(ProblemFilter(owner_id="r1"))).estimate.cost == 2 * (100 + 2 * 20)


@pytest.mark.parametrize(("painter", "told", "seconds", "cost"), [
    ({}, "null, null", 20 + 4, 100 + 50), ({"image_model": "painter-1"}, "7, 3", 20 + 4, 100 + 50 + 7 + 3),
    ({"painters": "unsplash,offline", "unsplash_access_key": "k"}, "null, null", 20 + 4, 100 + 50)])
def test_an_estimate_of_covers_comes_from_who_paints_them_beside_the_model_that_writes(broken, painter, told, seconds, cost):
    add_roadmap(broken.engine, "bare", concepts=[concept("x", quiz_status="failed")],
                saved=[ContentKind.TUTORIAL, ContentKind.RESOURCES], has_cover=False)
    drain(broken)
    price = Price(1_000_000, 1_000_000)
    settings = broken.settings.model_copy(update={
        "openai_base_url": "http://127.0.0.1:9/v1", "model": "writer-1", "prices": {"writer-1": price, "painter-1": price}, **painter})
    past = ("insert into ops.items (operation_id, kind, owner_id, part, action, state, problem_kind, started_at, settled_at, calls, "
            "generator, prompt_tokens, completion_tokens) values ('o', '{}', 'r9', '', 'generate', 'succeeded', 'failed', "
            "now() - interval '2 days' - interval '{} s', now() - interval '2 days', 1, '{}', {})")
    painted_by = "painter-1" if settings.image_model else settings.first_painter
    execute(broken, past.format("quiz", 20, "writer-1", "100, 50"), past.format("cover", 4, painted_by, told))

    found = plan(replace(broken, settings=settings), Scope.matching(ProblemFilter(owner_id="bare"))).estimate

    assert (found.calls, found.seconds, found.cost, found.is_priced) == (2, seconds / settings.concurrency, cost, True)


def test_problem_kinds_are_stored_with_the_items_they_were_planned_for(broken):
    retry.confirm(broken, plan(broken), OPERATOR)

    assert rows(broken, "select distinct problem_kind, action, state, title from ops.items where part = 'a'") == [
        (ProblemKind.FAILED, "generate", "planned", "Concept a")]


def test_a_plan_of_a_thousand_keys_is_stored_whole(redrive):
    add_roadmap(redrive.engine, concepts=[concept(f"c{number}", status="failed") for number in range(400)], saved=[])
    drain(redrive)

    confirmed = retry.confirm(redrive, plan(redrive), OPERATOR)

    assert confirmed.item_count == 1200 == len(stored_keys(redrive))
