"""Rules that retry by themselves: what they begin, what they leave alone, and what they spend."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from backend.actions import automatic, breaker, cancel, dispatcher, retry_rules, triage
from backend.actions.actors import Actor, NotAllowed, ReasonNeeded, Role
from backend.actions.cancel import NotFound, Refused
from backend.clock import utc_now
from backend.content.errors import ErrorKind, ItemError
from backend.content.keys import ContentKind
from backend.content.limits import OperationLimits
from backend.content.plans import ExclusionRule
from backend.content.prices import NoPrice
from backend.content.retry_rules import RuleBudget, RuleTerms, RunVerdict
from backend.content.scopes import ProblemFilter, Scope
from backend.content.status import ItemState, Priority
from backend.content.stopping import CancelReason
from backend.settings import Price
from backend.storage import retry_rules as stored
from backend.storage.ops_tables import audit_log, items, operations, problems
from backend.storage.rule_tables import retry_due, retry_rule_runs
from backend.views.detection import counts_and_problems
from tests.factories import add_roadmap, concept
from tests.integration.acting import Stand, add_broken
from tests.processes import MAINTENANCE, started, wait_for, worker

STEPS = (timedelta(minutes=1), timedelta(minutes=10))
QUIZZES = RuleTerms(kind=ContentKind.QUIZ, backoff=STEPS)


class Clock:
    """The time of the rules; it stands ahead of the real one."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self):
        return utc_now() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(automatic, "utc_now", made)
    return made


@pytest.fixture
def stand(redrive, operator) -> Stand:
    """Three quizzes that broke two days ago."""
    add_broken(redrive, {"Timeout of the model": 3})
    counts_and_problems(redrive)
    return Stand(redrive, operator)


def turned_on(redrive, operator, terms: RuleTerms = QUIZZES) -> str:
    rule_id = retry_rules.create(redrive, operator, terms, "nights are long")
    retry_rules.set_enabled(redrive, operator, rule_id, is_enabled=True)
    return rule_id


def look(redrive) -> int:
    counts_and_problems(redrive)
    return automatic.run_due(redrive)


def work(stand: Stand) -> None:
    """All that is planned, to its end."""
    stand.run()
    counts_and_problems(stand.redrive)


def run_rows(redrive) -> list:
    with redrive.engine.connect() as connection:
        return connection.execute(select(retry_rule_runs).order_by(retry_rule_runs.c.run_id)).all()


def due_times(redrive) -> dict[str, tuple]:
    with redrive.engine.connect() as connection:
        return {row.part: (row.due_at, row.left_out_rule) for row in connection.execute(select(retry_due))}


def item_states(redrive) -> list[str]:
    with redrive.engine.connect() as connection:
        return list(connection.scalars(select(items.c.state).order_by(items.c.item_id)))


def test_a_rule_is_off_until_somebody_turns_it_on(redrive, operator, stand):
    retry_rules.create(redrive, operator, QUIZZES, "nights are long")

    assert look(redrive) == 0
    assert item_states(redrive) == []
    assert due_times(redrive) == {}


def test_what_is_due_becomes_an_operation_in_the_queue_of_machines(redrive, operator, stand):
    rule_id = turned_on(redrive, operator)

    assert look(redrive) == 1

    with redrive.engine.connect() as connection:
        row = connection.execute(select(operations)).one()
    assert (row.actor_id, row.priority, row.reason, row.state, row.planned_count) == (
        "automatic", Priority.AUTOMATIC, "nights are long", "running", 3)
    assert row.name == "automatic: broken quiz"
    run, = run_rows(redrive)
    assert (run.rule_id, run.operation_id, run.item_count) == (rule_id, row.operation_id, 3)
    work(stand)
    assert item_states(redrive) == ["succeeded"] * 3
    assert due_times(redrive) == {}


def test_covers_are_made_by_a_rule(redrive, operator):
    add_roadmap(redrive.engine, "bare", has_cover=False)
    counts_and_problems(redrive)
    turned_on(redrive, operator, RuleTerms(kind=ContentKind.COVER, backoff=STEPS))

    assert look(redrive) == 1
    work(Stand(redrive, operator))

    assert item_states(redrive) == ["succeeded"]
    assert counts_and_problems(redrive).problems == ()


def test_nothing_is_begun_while_its_last_operation_runs(redrive, operator, stand):
    turned_on(redrive, operator, RuleTerms(kind=ContentKind.QUIZ, backoff=STEPS, budget=RuleBudget(run_items=2)))

    assert [look(redrive), look(redrive)] == [1, 0]
    work(stand)
    assert look(redrive) == 1
    assert len(item_states(redrive)) == 3


def test_a_key_that_fails_waits_longer_each_time_and_then_stays(redrive, operator, stand, clock):
    stand.answer = lambda key: ItemError(ErrorKind.MODEL_REFUSED, "no") if key.part == "c001" else None
    turned_on(redrive, operator)
    tries = []
    for ahead in (0, 0.5, 2, 9, 13, 120):
        clock.ahead = timedelta(minutes=ahead)
        tries.append(look(redrive))
        work(stand)

    assert tries == [1, 0, 0, 0, 1, 0]  # at once, then 10 minutes after the failure, then never
    assert item_states(redrive).count("failed") == 2
    assert due_times(redrive) == {"c001": (None, ExclusionRule.POISON)}


def test_turning_it_on_again_begins_anew(redrive, operator, stand, clock):
    stand.answer = lambda _key: ItemError(ErrorKind.MODEL_REFUSED, "no")
    rule_id = turned_on(redrive, operator, RuleTerms(kind=ContentKind.QUIZ, backoff=STEPS[:1]))
    look(redrive)
    work(stand)
    clock.ahead = timedelta(minutes=30)
    assert look(redrive) == 0

    retry_rules.set_enabled(redrive, operator, rule_id, is_enabled=False)
    retry_rules.set_enabled(redrive, operator, rule_id, is_enabled=True)

    assert look(redrive) == 1


def test_what_breaks_later_is_noted_when_it_breaks(redrive, operator, clock):
    turned_on(redrive, operator)
    add_roadmap(redrive.engine, concepts=[concept("a", quiz_status="failed"), concept("b")], unsaved=[(ContentKind.QUIZ, "a")])
    counts_and_problems(redrive)

    assert list(due_times(redrive)) == ["a"]
    with redrive.engine.begin() as connection:
        connection.execute(text("delete from roadmap_metadata"))
    counts_and_problems(redrive)
    assert due_times(redrive) == {}


def test_a_rule_of_a_cause_takes_only_what_has_it_and_follows_a_merge(redrive, operator):
    add_broken(redrive, {"Timeout of the model": 2, "Pool exhausted": 1})
    counts_and_problems(redrive)
    with redrive.engine.connect() as connection:
        causes = {row.owner_id: row.cause_id for row in connection.execute(select(problems))}
    turned_on(redrive, operator, RuleTerms(cause_id=causes["r-timeout"], backoff=STEPS))
    before = sorted(due_times(redrive))

    triage.merge(redrive, causes["r-timeout"], causes["r-pool"], operator)

    assert before == ["c000", "c001"]
    with redrive.engine.connect() as connection:
        assert connection.scalar(text("select count(*) from ops.retry_due")) == 3


def test_what_people_decided_is_left_alone(redrive, operator, stand):
    turned_on(redrive, operator)
    with redrive.engine.connect() as connection:
        cause_id = connection.scalar(select(problems.c.cause_id).limit(1))
    triage.ignore(redrive, cause_id, operator)

    assert look(redrive) == 0

    run, = run_rows(redrive)
    assert (run.verdict, run.operation_id, run.words) == (
        RunVerdict.ALL_LEFT_OUT, None, "Its cause is ignored. Reopen the cause, or choose the item by itself.")
    assert {rule for _at, rule in due_times(redrive).values()} == {ExclusionRule.CAUSE_IGNORED}


def test_what_a_person_cancelled_is_not_begun_again(redrive, operator, stand, clock):
    turned_on(redrive, operator)
    look(redrive)
    with redrive.engine.connect() as connection:
        operation_id = connection.scalar(select(operations.c.operation_id))
    cancel.cancel_operation(redrive, operation_id, operator, CancelReason.NOT_NEEDED, "enough")

    clock.ahead = timedelta(hours=3)

    assert look(redrive) == 0
    assert set(item_states(redrive)) == {"cancelled"}


def test_what_a_person_retries_is_left_to_them(redrive, operator, stand):
    turned_on(redrive, operator)
    stand.confirm(Scope.matching(ProblemFilter(kinds=(ContentKind.QUIZ,))))

    assert look(redrive) == 0
    assert len(item_states(redrive)) == 3


def test_the_budget_of_the_day_is_kept(redrive, operator, stand):
    turned_on(redrive, operator, RuleTerms(kind=ContentKind.QUIZ, backoff=STEPS, budget=RuleBudget(run_items=2, day_items=2)))
    look(redrive)
    work(stand)

    assert [look(redrive), look(redrive)] == [0, 0]

    assert [run.verdict for run in run_rows(redrive)] == [RunVerdict.STARTED, RunVerdict.BUDGET_SPENT]
    assert len(item_states(redrive)) == 2


def test_the_dry_run_estimates_what_one_run_takes(redrive, operator, stand):
    rule_id = turned_on(redrive, operator, RuleTerms(kind=ContentKind.QUIZ, backoff=STEPS, budget=RuleBudget(run_items=2)))
    counts_and_problems(redrive)

    plan = retry_rules.foresee(redrive, operator, rule_id).plan

    assert (len(plan.included), plan.estimate.calls) == (2, 2)
    assert set(plan.scope.keys) == plan.keys


def test_calls_of_the_day_bound_the_operation(redrive, operator, stand):
    turned_on(redrive, operator, RuleTerms(kind=ContentKind.QUIZ, backoff=STEPS, budget=RuleBudget(day_calls=2)))
    look(redrive)
    work(stand)
    look(redrive)

    with redrive.engine.connect() as connection:
        limits = OperationLimits.from_json(connection.scalar(select(operations.c.limits)))
    assert limits.budget_calls == 2
    assert item_states(redrive) == ["succeeded"] * 2


def test_money_without_a_price_is_refused(redrive, operator, settings):
    priced = RuleTerms(kind=ContentKind.QUIZ, budget=RuleBudget(day_cost=1.0))
    object.__setattr__(redrive, "settings", settings.model_copy(update={"openai_base_url": "http://127.0.0.1:9/v1"}))

    with pytest.raises(ValueError, match="REDRIVE_PRICES"):
        retry_rules.create(redrive, operator, priced, "why not")


def test_covers_are_paid_to_the_image_model(redrive, operator, settings):
    covers = RuleTerms(kind=ContentKind.COVER, budget=RuleBudget(day_cost=1.0))
    object.__setattr__(redrive, "settings", settings.model_copy(update={
        "openai_base_url": "http://127.0.0.1:9/v1", "model": "writer-1", "image_model": "painter-1", "prices": {"writer-1": Price(1, 1)}}))

    with pytest.raises(NoPrice, match="painter-1 in REDRIVE_PRICES"):
        retry_rules.create(redrive, operator, covers, "why not")
    with pytest.raises(NoPrice, match="painter-1 in REDRIVE_PRICES"):  # a cause may touch covers
        retry_rules.create(redrive, operator, RuleTerms(cause_id="x", budget=covers.budget), "why not")
    assert retry_rules.create(redrive, operator, RuleTerms(kind=ContentKind.QUIZ, budget=covers.budget), "why not")


def test_a_rule_whose_model_has_lost_its_price_begins_nothing_and_says_so(redrive, operator, stand, settings):
    turned_on(redrive, operator, RuleTerms(kind=ContentKind.QUIZ, backoff=STEPS, budget=RuleBudget(day_cost=1.0)))
    object.__setattr__(redrive, "settings", settings.model_copy(update={"openai_base_url": "http://127.0.0.1:9/v1"}))

    assert [look(redrive), look(redrive)] == [0, 0]

    assert [run.verdict for run in run_rows(redrive)] == [RunVerdict.NO_PRICE]
    assert item_states(redrive) == []
    object.__setattr__(redrive, "settings", settings)
    assert look(redrive) == 1


def test_two_processes_begin_one_operation(redrive, operator, stand, monkeypatch):
    """Both have looked before either has begun anything."""
    turned_on(redrive, operator)
    counts_and_problems(redrive)
    together = threading.Barrier(2)
    foresee = automatic.foresee

    def foresee_together(*args):
        found = foresee(*args)
        together.wait(10)
        return found

    monkeypatch.setattr(automatic, "foresee", foresee_together)
    begun: list[int] = []
    processes = [threading.Thread(target=lambda: begun.append(automatic.run_due(redrive))) for _process in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert sorted(begun) == [0, 1]
    assert len(item_states(redrive)) == 3
    assert len(run_rows(redrive)) == 1


def test_a_rule_that_was_turned_off_while_it_was_looked_at_begins_nothing(redrive, operator, stand, monkeypatch):
    rule_id = turned_on(redrive, operator)
    counts_and_problems(redrive)
    foresee = automatic.foresee

    def foresee_and_turn_off(*args):
        found = foresee(*args)
        retry_rules.set_enabled(redrive, operator, rule_id, is_enabled=False)
        return found

    monkeypatch.setattr(automatic, "foresee", foresee_and_turn_off)

    assert automatic.run_due(redrive) == 0
    assert item_states(redrive) == []


def test_redis_away_parks_what_was_begun(redrive, operator, stand, monkeypatch):
    turned_on(redrive, operator)
    monkeypatch.setattr(redrive.queue, "is_up", lambda: False)
    look(redrive)

    assert dispatcher.dispatch(redrive).is_parked
    assert [look(redrive), item_states(redrive)] == [0, ["planned"] * 3]
    monkeypatch.undo()
    dispatcher.dispatch(redrive)
    assert item_states(redrive) == ["queued"] * 3
    assert redrive.queue.length(Priority.AUTOMATIC) == 1


def test_a_model_that_is_out_holds_the_rules_of_its_kinds_only(redrive, operator, stand):
    add_roadmap(redrive.engine, "bare", has_cover=False)
    turned_on(redrive, operator)
    turned_on(redrive, operator, RuleTerms(kind=ContentKind.COVER, backoff=STEPS))
    for _failure in range(redrive.settings.breaker_failures):
        breaker.note_failure(redrive, ItemError(ErrorKind.MODEL_UNREACHABLE, "gone"))

    assert look(redrive) == 1

    with redrive.engine.connect() as connection:
        assert set(connection.scalars(select(items.c.kind))) == {"cover"}
    assert {run.verdict for run in run_rows(redrive)} == {RunVerdict.STARTED, RunVerdict.MODEL_HELD}


def test_an_operation_that_stopped_by_itself_makes_the_rule_rest(redrive, operator, stand, clock):
    stand.answer = lambda _key: ItemError(ErrorKind.MODEL_REFUSED, "no")
    turned_on(redrive, operator, RuleTerms(kind=ContentKind.QUIZ, backoff=STEPS, budget=RuleBudget(run_items=2)))
    look(redrive)
    with redrive.engine.begin() as connection:
        connection.execute(operations.update().values(state="stopped", settled_at=utc_now()))
        connection.execute(items.update().values(state="skipped", skip_rule="same_cause", settled_at=utc_now()))

    assert look(redrive) == 0
    assert run_rows(redrive)[-1].verdict == RunVerdict.RESTING
    clock.ahead = timedelta(minutes=2)
    assert look(redrive) == 1


def test_the_dry_run_writes_nothing_and_tells_what_a_rule_that_is_off_would_do(redrive, operator, stand):
    rule_id = retry_rules.create(redrive, operator, RuleTerms(
        kind=ContentKind.QUIZ, backoff=STEPS, budget=RuleBudget(run_items=2)), "nights are long")

    foreseen = retry_rules.foresee(redrive, operator, rule_id)

    assert (foreseen.verdict, len(foreseen.plan.included), foreseen.waiting_count) == (RunVerdict.STARTED, 2, 0)
    assert (item_states(redrive), run_rows(redrive), due_times(redrive)) == ([], [], {})


def test_a_rule_is_changed_and_deleted_with_a_reason(redrive, operator, stand):
    rule_id = turned_on(redrive, operator)
    with redrive.engine.connect() as connection:
        before = stored.find_rule(connection, rule_id).rule
    covers = RuleTerms(kind=ContentKind.COVER, backoff=STEPS)
    with pytest.raises(ReasonNeeded):
        retry_rules.change(redrive, operator, before, covers, " ")

    retry_rules.change(redrive, operator, before, covers, "covers first")

    assert due_times(redrive) == {}
    with pytest.raises(Refused, match="in the meantime"):
        retry_rules.change(redrive, operator, before, QUIZZES, "I was slower")
    retry_rules.delete(redrive, operator, rule_id, "not needed")
    with pytest.raises(NotFound):
        retry_rules.set_enabled(redrive, operator, rule_id, is_enabled=True)
    with redrive.engine.connect() as connection:
        lines = connection.execute(select(audit_log.c.action, audit_log.c.reason).order_by(audit_log.c.audit_id)).all()
    assert [tuple(line) for line in lines] == [
        ("retry_rule_create", "nights are long"), ("retry_rule_enable", ""), ("retry_rule_change", "covers first"),
        ("retry_rule_delete", "not needed")]


def test_there_is_one_rule_for_a_cause_and_kind(redrive, operator):
    retry_rules.create(redrive, operator, QUIZZES, "nights are long")

    with pytest.raises(Refused, match="already"):
        retry_rules.create(redrive, operator, QUIZZES, "me too")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_an_admin_makes_rules(redrive, operator, role):
    actor, rule_id = Actor("somebody", role), retry_rules.create(redrive, operator, QUIZZES, "nights are long")

    for act in (lambda: retry_rules.create(redrive, actor, QUIZZES, "x"),
                lambda: retry_rules.set_enabled(redrive, actor, rule_id, is_enabled=True),
                lambda: retry_rules.delete(redrive, actor, rule_id, "x")):
        with pytest.raises(NotAllowed, match="admin"):
            act()


def test_a_look_costs_no_more_when_far_more_is_broken(redrive, operator, clock):
    """With nothing due a look is one step into an index, whatever waits."""
    turned_on(redrive, operator)
    with redrive.engine.begin() as connection:
        connection.execute(text(
            "insert into ops.problems (kind, owner_id, part, problem_kind, cause_id, error_kind, since_at) "
            "select 'quiz', 'r' || n / 30, 'c' || n, 'failed', 'c1', 'unexpected', now() from generate_series(1, 20000) n"))
        connection.execute(text("update ops.retry_due set due_at = now() + interval '1 hour'"))
        connection.execute(text("analyze ops.retry_due"))
        plan = "\n".join(connection.scalars(text(
            "explain analyze select true from ops.retry_due d where d.rule_id = (select rule_id from ops.retry_rules) "
            "and d.due_at <= now() order by d.due_at limit 1")))

    assert "Index" in plan
    assert "Seq Scan on retry_due" not in plan
    assert automatic.run_due(redrive) == 0


def test_processes_retry_by_a_rule_after_a_restart(redrive, operator, settings, stand):
    turned_on(redrive, operator, RuleTerms(kind=ContentKind.QUIZ, backoff=STEPS, budget=RuleBudget(run_items=2)))

    with started(settings, MAINTENANCE):
        wait_for(lambda: item_states(redrive), what="the first run")
    assert set(item_states(redrive)) <= {ItemState.PLANNED, ItemState.QUEUED}
    with started(settings, MAINTENANCE, MAINTENANCE, worker("automatic")):
        wait_for(lambda: item_states(redrive) == ["succeeded"] * 3, what="both runs")

    assert [run.item_count for run in run_rows(redrive)] == [2, 1]


