"""Causes as people work on them: states, what follows by itself, merging, and grouping anew when the rule has changed."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, text
from structlog.testing import capture_logs

from backend.actions import retry, triage
from backend.actions.actors import Actor, NotAllowed, Role
from backend.clock import utc_now
from backend.content.causes import FINGERPRINT_VERSION, cause_id_of, classify
from backend.content.keys import ContentKind, OwnerKind
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter, Scope
from backend.content.triage import NEXT_STATES, CauseEventKind, CauseState
from backend.storage import cause_records, ops_tables, problems, regrouping
from backend.storage.problem_list import describe_scope
from backend.views import causes
from backend.views.listing import cause_rows, counts, problem_page
from tests.factories import add_item, add_novel, add_operation, add_roadmap, add_task, ago, concept
from workers import maintenance

POOL = "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00"
REFUSAL = "I'm sorry, but I can't assist with that request."
DECIDE = {
    CauseState.ACKNOWLEDGED: triage.acknowledge, CauseState.IGNORED: triage.ignore, CauseState.RESOLVED: triage.resolve,
    CauseState.OPEN: triage.reopen}


def id_of(message: str) -> str:
    return cause_id_of(classify(message), message)


def break_roadmap(redrive, roadmap_id: str, message: str, *, count: int = 1, at=None) -> None:
    """So many tutorials of a new roadmap failed by this message, and are listed."""
    parts = [f"c{number}" for number in range(count)]
    add_roadmap(redrive.engine, roadmap_id, concepts=[concept(part, content_status="failed") for part in parts],
                unsaved=[(ContentKind.TUTORIAL, part) for part in parts])
    at = at or ago(hours=1)
    add_task(redrive.engine, f"task-{roadmap_id}", roadmap_id=roadmap_id, status="partial_failure", updated_at=at, completed_at=at,
             failed_concepts={part: {"reason": message, "content_type": "tutorial", "timestamp": at.isoformat()} for part in parts})
    drain(redrive)


def drain(redrive) -> None:
    problems.drain(redrive.engine, utc_now, redrive.limits)


def row_of(redrive, cause_id: str):
    with redrive.engine.connect() as connection:
        return cause_records.find_cause(connection, cause_id)


def state_of(redrive, cause_id: str) -> CauseState:
    return CauseState(row_of(redrive, cause_id).state)


def set_state(redrive, cause_id: str, state: CauseState) -> None:
    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.causes set state = :state where cause_id = :id"), {"state": state, "id": cause_id})


def counted(redrive) -> dict[str, int]:
    """Problems of each cause; of their owners is said what the problems themselves say."""
    rows = cause_rows(redrive, ProblemFilter())
    with redrive.engine.connect() as connection:
        owners = connection.execute(text(
            "select cause_id, count(distinct (owner_id, kind = 'chapter')) from ops.problems group by cause_id")).all()
    assert {row.cause_id: row.owner_count for row in rows} == dict(map(tuple, owners))
    return {row.cause_id: row.problem_count for row in rows}


def events(redrive, cause_id: str) -> list[tuple[str, str, str]]:
    with redrive.engine.connect() as connection:
        return [(row.kind, row.actor_id, row.words) for row in connection.execute(
            select(ops_tables.cause_events).where(ops_tables.cause_events.c.cause_id == cause_id)
            .order_by(ops_tables.cause_events.c.event_id))]


def audited(redrive) -> list[str]:
    with redrive.engine.connect() as connection:
        return list(connection.scalars(select(ops_tables.audit_log.c.action).order_by(ops_tables.audit_log.c.audit_id)))


@pytest.mark.parametrize("after", DECIDE)
@pytest.mark.parametrize("before", CauseState)
def test_a_cause_goes_only_where_its_arrows_point(redrive, operator, before, after):
    break_roadmap(redrive, "r1", POOL)
    set_state(redrive, id_of(POOL), before)

    if after in NEXT_STATES[before]:
        DECIDE[after](redrive, id_of(POOL), operator, "because")
        assert state_of(redrive, id_of(POOL)) is after
        assert len(events(redrive, id_of(POOL))) == len(audited(redrive)) == 1
    else:
        with pytest.raises(triage.NotPossible):
            DECIDE[after](redrive, id_of(POOL), operator)
        assert state_of(redrive, id_of(POOL)) is before
        assert events(redrive, id_of(POOL)) == audited(redrive) == []


def test_of_two_people_who_acknowledge_at_once_one_is_told_of_the_other(redrive, operator):
    break_roadmap(redrive, "r1", POOL)

    def attempt(_who: int) -> bool:
        try:
            triage.acknowledge(redrive, id_of(POOL), operator)
        except triage.NotPossible:
            return False
        return True

    with ThreadPoolExecutor(2) as people:
        assert sorted(people.map(attempt, range(2))) == [False, True]
    assert audited(redrive) == ["cause_acknowledged"]


@pytest.mark.parametrize(("act", "more"), [
    (triage.acknowledge, ()), (triage.ignore, ()), (triage.resolve, ()), (triage.reopen, ()), (triage.part, ()), (triage.note, ("x",)),
    (triage.assign, ("x",))])
def test_who_may_look_only_decides_nothing(redrive, act, more):
    break_roadmap(redrive, "r1", POOL)

    with pytest.raises(NotAllowed):
        act(redrive, id_of(POOL), Actor("guest", Role.VIEWER), *more)
    with pytest.raises(NotAllowed):
        triage.merge(redrive, id_of(POOL), "other", Actor("guest", Role.VIEWER))

    assert audited(redrive) == events(redrive, id_of(POOL)) == []


@pytest.mark.parametrize("act", [triage.acknowledge, triage.resolve, lambda *given: triage.note(*given, "x"), triage.part])
def test_a_cause_that_is_not_there_is_named(redrive, operator, act):
    with pytest.raises(triage.UnknownCause, match="nowhere"):
        act(redrive, "nowhere", operator)


def test_notes_and_assignee_are_kept_and_told_in_order(redrive, operator):
    break_roadmap(redrive, "r1", POOL)

    triage.note(redrive, id_of(POOL), operator, "  pool of 5 is too small ")
    triage.assign(redrive, id_of(POOL), operator, "Ada")
    with pytest.raises(triage.NotPossible):
        triage.assign(redrive, id_of(POOL), operator, "Ada")
    triage.assign(redrive, id_of(POOL), operator, "")

    assert events(redrive, id_of(POOL)) == [
        (CauseEventKind.NOTE, "test operator", "pool of 5 is too small"), (CauseEventKind.ASSIGNED, "test operator", "Ada"),
        (CauseEventKind.ASSIGNED, "test operator", "nobody")]
    assert row_of(redrive, id_of(POOL)).assignee is None
    with pytest.raises(ValueError, match="Write something"):
        triage.note(redrive, id_of(POOL), operator, " ")


def test_what_is_resolved_and_comes_again_is_called_regressed_once(redrive, operator):
    break_roadmap(redrive, "r1", POOL)
    triage.resolve(redrive, id_of(POOL), operator)
    assert triage.follow(redrive) == 0  # what was broken before says nothing

    break_roadmap(redrive, "r2", POOL.replace("5", "20"), at=utc_now() + timedelta(seconds=1))

    assert (triage.follow(redrive), triage.follow(redrive)) == (1, 0)
    assert state_of(redrive, id_of(POOL)) is CauseState.REGRESSED
    assert events(redrive, id_of(POOL))[-1][:2] == (CauseEventKind.REGRESSED, "redrive")
    assert audited(redrive)[-1] == "cause_regressed"


def execute(redrive, *statements: str, **parameters: object) -> None:
    with redrive.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement), parameters)
    drain(redrive)


DELETE_TUTORIAL = "delete from tutorial_metadata where roadmap_id = :id"
BREAKS = [DELETE_TUTORIAL, "update quiz_metadata set questions = '[]', generated_at = now() - interval '1 day' where roadmap_id = :id",
          "update roadmap_metadata set framework_data = '{}' where roadmap_id = :id"]


@pytest.mark.parametrize("breaks", BREAKS)
def test_what_breaks_anew_without_a_time_of_its_own_brings_a_resolved_cause_back(redrive, operator, breaks):
    for roadmap_id in ("r1", "r2"):
        add_roadmap(redrive.engine, roadmap_id, concepts=[concept("a")])
    execute(redrive, breaks, id="r1")
    ((cause_id, _count),) = counted(redrive).items()
    triage.resolve(redrive, cause_id, operator)
    redrive_all_again(redrive)
    assert triage.follow(redrive) == 0  # looking at everything again makes nothing new

    execute(redrive, breaks, id="r2")

    assert counted(redrive) == {cause_id: 2}
    assert triage.follow(redrive) == 1
    assert state_of(redrive, cause_id) is CauseState.REGRESSED


@pytest.mark.parametrize("ends", ["state = 'planned'", "state = 'skipped', skip_rule = 'same_cause', settled_at = now()"])
def test_what_was_worked_on_in_vain_is_as_old_as_it_was(redrive, operator, ends):
    add_roadmap(redrive.engine, "r1", concepts=[concept("a")])
    execute(redrive, DELETE_TUTORIAL, id="r1")
    ((cause_id, _count),) = counted(redrive).items()
    triage.resolve(redrive, cause_id, operator)
    add_operation(redrive.engine)
    add_item(redrive.engine, state="queued")
    drain(redrive)
    assert counted(redrive) == {}

    execute(redrive, f"update ops.items set {ends}")

    assert counted(redrive) == {cause_id: 1}
    assert triage.follow(redrive) == 0


def test_merging_parting_and_grouping_anew_bring_no_resolved_cause_back(redrive, operator):
    break_roadmap(redrive, "r1", POOL)
    break_roadmap(redrive, "r2", REFUSAL)
    triage.resolve(redrive, id_of(REFUSAL), operator)

    triage.merge(redrive, id_of(POOL), id_of(REFUSAL), operator)
    redrive_all_again(redrive)
    assert triage.follow(redrive) == 0

    triage.part(redrive, id_of(POOL), operator)
    make_old(redrive)
    regrouping.regroup(redrive.engine)
    redrive_all_again(redrive)
    assert triage.follow(redrive) == 0


def test_an_item_that_fails_by_a_resolved_cause_is_enough_for_it_to_come_back(redrive, operator):
    break_roadmap(redrive, "r1", POOL)
    break_roadmap(redrive, "r2", REFUSAL)
    triage.merge(redrive, id_of(POOL), id_of(REFUSAL), operator)
    triage.resolve(redrive, id_of(REFUSAL), operator)
    add_operation(redrive.engine)

    add_item(redrive.engine, state="failed", settled_at=utc_now() + timedelta(seconds=1), cause_id=id_of(POOL),
             error_kind="save_pool_exhausted")

    assert triage.follow(redrive) == 1
    assert state_of(redrive, id_of(REFUSAL)) is CauseState.REGRESSED


def test_an_ignored_cause_opens_when_its_time_has_come(redrive, operator):
    break_roadmap(redrive, "r1", POOL)
    triage.ignore(redrive, id_of(POOL), operator, until_at=utc_now() + timedelta(hours=1))
    assert triage.follow(redrive) == 0

    with redrive.engine.begin() as connection:
        connection.execute(text("update ops.causes set ignored_until_at = now() - interval '1 second'"))

    assert triage.follow(redrive) == 1
    assert state_of(redrive, id_of(POOL)) is CauseState.OPEN
    assert row_of(redrive, id_of(POOL)).ignored_until_at is None


def test_an_ignored_cause_opens_when_it_has_become_too_many(redrive, operator):
    break_roadmap(redrive, "r1", POOL, count=2)
    triage.ignore(redrive, id_of(POOL), operator, until_count=4)
    assert triage.follow(redrive) == 0

    break_roadmap(redrive, "r2", POOL, count=2)

    assert triage.follow(redrive) == 1
    assert events(redrive, id_of(POOL))[-1][0] == CauseEventKind.WOKEN


@pytest.mark.parametrize("until", [{"until_at": ago(seconds=1)}, {"until_count": 0}])
def test_ignoring_until_what_is_over_already_is_refused(redrive, operator, until):
    break_roadmap(redrive, "r1", POOL)

    with pytest.raises(ValueError, match=r"over already|at least 1"):
        triage.ignore(redrive, id_of(POOL), operator, **until)

    assert state_of(redrive, id_of(POOL)) is CauseState.OPEN


def test_what_was_merged_is_grouped_so_now_and_whenever_it_comes_again(redrive, operator):
    break_roadmap(redrive, "r1", POOL, count=2)
    break_roadmap(redrive, "r2", REFUSAL)

    assert triage.merge(redrive, id_of(POOL), id_of(REFUSAL), operator) == 2
    break_roadmap(redrive, "r3", POOL.replace("30.00", "10.00"))

    assert counted(redrive) == {id_of(REFUSAL): 4}
    with pytest.raises(triage.NotPossible):
        triage.merge(redrive, id_of(POOL), id_of(REFUSAL), operator)
    assert events(redrive, id_of(REFUSAL))[-1][0] == CauseEventKind.MERGED


def test_who_asks_for_a_merged_cause_is_given_the_one_that_it_belongs_to(redrive, operator):
    break_roadmap(redrive, "r1", POOL, count=2)
    break_roadmap(redrive, "r2", REFUSAL)
    asked = ProblemFilter(cause_id=id_of(POOL))
    triage.merge(redrive, id_of(POOL), id_of(REFUSAL), operator)

    planned = retry.plan(redrive, Scope.matching(asked), operator)

    assert len(planned.keys) == problem_page(redrive, asked).total == counts(redrive, asked).total == 3
    assert [(row.cause_id, row.problem_count) for row in cause_rows(redrive, asked)] == [(id_of(REFUSAL), 3)]
    with redrive.engine.connect() as connection:
        assert "cause: Model refused" in describe_scope(connection, planned.scope)


def test_a_merged_cause_can_be_taken_out_again_with_all_that_is_its_own(redrive, operator):
    break_roadmap(redrive, "r1", POOL, count=2)
    break_roadmap(redrive, "r2", REFUSAL)
    triage.merge(redrive, id_of(POOL), id_of(REFUSAL), operator)
    break_roadmap(redrive, "r3", POOL)

    assert triage.part(redrive, id_of(POOL), operator) == 3

    assert counted(redrive) == {id_of(POOL): 3, id_of(REFUSAL): 1}
    with pytest.raises(triage.NotPossible, match="not merged"):
        triage.part(redrive, id_of(POOL), operator)
    redrive_all_again(redrive)
    assert counted(redrive) == {id_of(POOL): 3, id_of(REFUSAL): 1}


def test_a_roadmap_with_both_causes_is_one_owner_of_the_merged_one_and_of_each_again(redrive, operator):
    break_roadmap(redrive, "r1", POOL, count=3)
    break_roadmap(redrive, "r2", POOL)
    add_task(redrive.engine, "later", roadmap_id="r1", status="partial_failure", updated_at=ago(minutes=1), failed_concepts={
        part: {"reason": REFUSAL, "content_type": "tutorial", "timestamp": ago(minutes=1).isoformat()} for part in ("c0", "c1")})
    drain(redrive)
    assert counted(redrive) == {id_of(POOL): 2, id_of(REFUSAL): 2}

    triage.merge(redrive, id_of(POOL), id_of(REFUSAL), operator)
    assert counted(redrive) == {id_of(REFUSAL): 4}
    assert causes.cause(redrive, id_of(REFUSAL)).owner_count == 2

    triage.part(redrive, id_of(POOL), operator)
    assert counted(redrive) == {id_of(POOL): 2, id_of(REFUSAL): 2}


def test_a_roadmap_and_a_novel_of_one_id_are_two_owners_everywhere(redrive):
    add_novel(redrive.engine, "r1", title="A town", chapters=[{"status": "failed", "error_message": POOL}])
    break_roadmap(redrive, "r1", POOL, count=2)

    assert counted(redrive) == {id_of(POOL): 3}
    (failed,) = cause_rows(redrive, ProblemFilter(problem_kinds=(ProblemKind.FAILED,)))
    shown = causes.cause(redrive, id_of(POOL))
    assert failed.owner_count == shown.owner_count == 2
    assert [(owner.kind, owner.title, owner.problem_count, owner.first_chapter) for owner in shown.owners] == [
        (OwnerKind.ROADMAP, "Roadmap r1", 2, None), (OwnerKind.NOVEL, "A town", 1, 1)]


def redrive_all_again(redrive) -> None:
    problems.mark_all_dirty(redrive.engine)
    drain(redrive)


def test_merging_into_a_merged_cause_is_no_chain(redrive, operator):
    other = "Cannot read the outline."
    for roadmap_id, message in (("r1", POOL), ("r2", REFUSAL), ("r3", other)):
        break_roadmap(redrive, roadmap_id, message)

    triage.merge(redrive, id_of(POOL), id_of(REFUSAL), operator)
    triage.merge(redrive, id_of(REFUSAL), id_of(other), operator)
    redrive_all_again(redrive)

    assert counted(redrive) == {id_of(other): 3}
    triage.acknowledge(redrive, id_of(POOL), operator)
    assert state_of(redrive, id_of(other)) is CauseState.ACKNOWLEDGED


def test_drains_and_merges_at_the_same_time_leave_nothing_in_between(redrive, operator):
    for number in range(6):
        break_roadmap(redrive, f"p{number}", POOL)
    break_roadmap(redrive, "r2", REFUSAL)

    def drain_again(_round: int) -> None:
        redrive_all_again(redrive)

    def merge_and_part(_round: int) -> None:
        triage.merge(redrive, id_of(POOL), id_of(REFUSAL), operator)
        triage.part(redrive, id_of(POOL), operator)

    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda job: [job(number) for number in range(8)], (drain_again, merge_and_part)))
    triage.merge(redrive, id_of(POOL), id_of(REFUSAL), operator)

    assert counted(redrive) == {id_of(REFUSAL): 7}


def test_the_trend_has_a_sample_for_each_change_and_none_beside(redrive):
    break_roadmap(redrive, "r1", POOL, count=2)
    moments = [ago(minutes=minute) for minute in (4, 3, 2)]

    for moment in moments[:2]:
        with redrive.engine.begin() as connection:
            cause_records.sample(connection, moment)
    with redrive.engine.begin() as connection:
        connection.execute(text("delete from ops.problems"))
        cause_records.sample(connection, moments[2])

    with redrive.engine.connect() as connection:
        rows = connection.execute(select(ops_tables.cause_samples).order_by(ops_tables.cause_samples.c.sampled_at))
        assert [(row.sampled_at, row.problem_count) for row in rows] == [(moments[0], 2), (moments[2], 0)]


def test_old_samples_go_but_the_last_of_each_cause_stays(redrive):
    with redrive.engine.begin() as connection:
        connection.execute(insert(ops_tables.cause_samples), [
            {"cause_id": "old", "sampled_at": ago(days=days), "problem_count": count} for days, count in ((50, 3), (40, 0))])
        cause_records.sample(connection, utc_now())

    with redrive.engine.connect() as connection:
        assert list(connection.scalars(select(ops_tables.cause_samples.c.problem_count))) == [0]


def make_old(redrive) -> None:
    """As if everything had been grouped by an older rule."""
    with redrive.engine.begin() as connection:
        for statement in (
            "update ops.causes set cause_id = 'old-' || cause_id",
            "update ops.problems set cause_id = 'old-' || cause_id, fingerprint = ''",
            "update ops.items set cause_id = 'old-' || cause_id where cause_id is not null",
            "update ops.cause_aliases set cause_id = 'old-' || cause_id, fingerprint = 'old-' || fingerprint",
            "update ops.cause_events set cause_id = 'old-' || cause_id", "delete from ops.kept_versions"):
            connection.execute(text(statement))


def test_after_another_rule_everything_kept_has_the_cause_of_the_new_one(redrive):
    break_roadmap(redrive, "r1", POOL, count=3)
    add_operation(redrive.engine)
    add_item(redrive.engine, state="failed", settled_at=ago(minutes=1), cause_id=id_of(POOL), error_kind=classify(POOL), error_message=POOL)
    make_old(redrive)
    with redrive.engine.connect() as connection:
        assert regrouping.is_due(connection)

    assert regrouping.regroup(redrive.engine) == 4

    assert counted(redrive) == {id_of(POOL): 3}
    with redrive.engine.connect() as connection:
        assert connection.scalars(select(ops_tables.items.c.cause_id)).all() == [id_of(POOL)]
        assert connection.scalars(select(ops_tables.kept_versions.c.version)).all() == [FINGERPRINT_VERSION]
        assert not regrouping.is_due(connection)
    assert regrouping.regroup(redrive.engine) == 0


def test_owners_are_counted_right_before_the_items_are_grouped(redrive, monkeypatch):
    break_roadmap(redrive, "r1", POOL, count=3)
    add_operation(redrive.engine)
    add_item(redrive.engine, state="failed", settled_at=ago(minutes=1), cause_id=id_of(POOL), error_kind=classify(POOL), error_message=POOL)
    make_old(redrive)
    with redrive.engine.begin() as connection:  # the old rule told them apart
        connection.execute(text("update ops.problems set cause_id = cause_id || part, is_first_of_owner = true"))
    seen = []
    monkeypatch.setattr(regrouping, "_regroup_items", lambda _connection, _rows: seen.append(counted(redrive)) or 0)

    regrouping.regroup(redrive.engine)

    assert seen == [{id_of(POOL): 3}]


@pytest.mark.parametrize("message", [POOL, ""])
def test_what_people_decided_outlives_another_rule(redrive, operator, message):
    break_roadmap(redrive, "r1", message, count=2)
    ((cause_id, _count),) = counted(redrive).items()
    triage.ignore(redrive, cause_id, operator, "known")
    make_old(redrive)

    regrouping.regroup(redrive.engine)
    redrive_all_again(redrive)

    assert counted(redrive) == {f"old-{cause_id}": 2}
    assert state_of(redrive, f"old-{cause_id}") is CauseState.IGNORED


def test_what_people_merged_outlives_another_rule(redrive, operator):
    break_roadmap(redrive, "r1", POOL)
    break_roadmap(redrive, "r2", REFUSAL)
    triage.merge(redrive, id_of(POOL), id_of(REFUSAL), operator)
    make_old(redrive)

    regrouping.regroup(redrive.engine)
    redrive_all_again(redrive)

    assert counted(redrive) == {f"old-{id_of(REFUSAL)}": 2}


def test_maintenance_groups_anew_beside_its_other_duties_and_a_fault_is_no_end(redrive):
    break_roadmap(redrive, "r1", POOL)
    make_old(redrive)
    rounds = []

    def fail_once(given) -> None:
        rounds.append(threading.current_thread())
        if len(rounds) == 1:
            raise OSError("a fault")
        maintenance._regroup(given)

    beside = maintenance.Beside(fail_once)
    for _round in range(2):
        assert beside(redrive) is False
        beside.join(30)

    assert threading.main_thread() not in rounds
    assert counted(redrive) == {id_of(POOL): 1}


def test_an_outage_is_no_defect_of_a_long_duty(redrive):
    def lose_connection(given) -> None:
        with given.engine.connect() as connection:
            connection.execute(text("select pg_terminate_backend(pg_backend_pid())"))

    def fail(_given) -> None:
        raise ValueError("a defect")

    with capture_logs() as told:
        for do in (lose_connection, fail):
            beside = maintenance.Beside(do)
            beside(redrive)
            beside.join(30)

    assert [(line["event"], line["duty"], "exc_info" in line) for line in told] == [
        ("database_away", "lose_connection", False), ("duty_failed", "fail", True)]


def test_a_long_duty_is_not_begun_twice(redrive):
    may_end, begun = threading.Event(), []

    def wait(_redrive) -> None:
        begun.append(1)
        may_end.wait(30)

    beside = maintenance.Beside(wait)
    beside(redrive)
    beside(redrive)
    may_end.set()
    beside.join(30)

    assert begun == [1]
