"""Workers: what waits, who works, what had to be mended; what Redis cannot tell is said to be unknown."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from backend.clock import utc_now
from backend.content.errors import ErrorKind
from backend.content.status import FindingKind, Priority
from backend.jobs.queue import DeadLetter, JobQueue, WorkerSeen
from backend.storage import breakers, findings
from backend.storage.objects import Objects, StoreUnreachable
from backend.storage.ops_tables import audit_log, heartbeats, items
from tests.factories import add_item, add_operation, ago
from tests.pages.conftest import OpenPage, button, forget_cached_reads, has_button, words_of


def hold_model(redrive, *, provider: str = "") -> None:
    with redrive.engine.begin() as connection:
        breakers.note_failure(connection, provider or redrive.settings.provider, ErrorKind.MODEL_UNREACHABLE, "no route to host", utc_now(),
                              most_failures=1, pause_seconds=60)


def test_queues_workers_and_what_they_do_are_told(open_page: OpenPage, redrive, monkeypatch):
    add_operation(redrive.engine)
    add_item(redrive.engine, "a", state="running", job_id="j1", worker_host="box/1f", heartbeat_at=ago(seconds=1))
    add_item(redrive.engine, "b", state="queued", created_at=ago(minutes=12), queued_at=ago(seconds=2))
    seen = WorkerSeen("w1", "redrive-interactive", True, utc_now(), "box", 42, "j1")
    monkeypatch.setattr(JobQueue, "workers", lambda self: (seen,))

    page = open_page("workers")

    words = words_of(page).replace("\u00a0", " ")
    assert "box · 42" in words
    assert "Tutorial of Concept a" in words
    assert "12 min ago" in words
    assert "▸ Busy" in words
    assert "2 items are planned, queued or running." in words


def test_a_queue_that_nobody_serves_is_named_with_the_jobs_that_wait_in_it(open_page: OpenPage, redrive, monkeypatch):
    with redrive.engine.begin() as connection:  # its workers are not on their way any more
        connection.execute(heartbeats.update().values(started_at=ago(minutes=5)))
    monkeypatch.setattr(JobQueue, "workers", lambda self: (WorkerSeen("w1", "redrive-interactive", False, utc_now(), "box", 42, ""),))
    redrive.queue.send(Priority.BULK, {"j1": [1, 2], "j2": [3]})

    page = open_page("workers")

    [banner] = [found.value for found in page.warning if "serves" in found.value]
    assert banner == "**No worker serves the queue bulk, where 2 jobs wait.** Start one: `redrive worker --queue bulk`."
    assert page.session_state["drawn"].unserved_queues == {"bulk"}  # when it changes, the page is drawn again

    monkeypatch.setattr(JobQueue, "workers", lambda self: (WorkerSeen("w2", "redrive-bulk", False, utc_now(), "box", 43, ""),))
    forget_cached_reads()
    page.run()
    assert not page.session_state["drawn"].unserved_queues
    assert not [found for found in page.warning if "serves" in found.value]


def test_an_idle_platform_is_told_in_words(open_page: OpenPage):
    page = open_page("workers")

    assert not page.exception
    words = words_of(page)
    assert "No worker is alive" in words
    assert "Nothing is planned, queued or running." in words
    assert "✓ Answers" in words
    assert "✓ None." in words
    assert button(page, "Cancel everything").disabled


def test_a_large_plan_that_is_still_being_written_down_can_be_cancelled(open_page: OpenPage, redrive):
    add_operation(redrive.engine, state="armed", planned_count=7000, priority="bulk")

    page = open_page("workers")

    words = words_of(page)
    assert "7,000 items are planned, queued or running." in words
    assert "7,000 (7,000 being written down)" in words
    assert not button(page, "Cancel everything").disabled


def test_paid_texts_that_nobody_could_save_are_counted_or_said_to_be_unknown(open_page: OpenPage, redrive, monkeypatch):
    for number in range(3):
        redrive.objects.put(f"spills-set-aside/{number}-1.json", b"{}")
    assert "their items ended otherwise</td><td>3</td>" in words_of(open_page("workers"))

    def away(self, prefix):
        raise StoreUnreachable("away")
    monkeypatch.setattr(Objects, "paths", away)

    assert words_of(open_page("workers")).count("cannot tell") == 2


def test_with_redis_down_nothing_is_called_zero_and_what_postgresql_knows_is_shown(open_page: OpenPage, redrive, stop_redis):
    add_operation(redrive.engine)
    add_item(redrive.engine, "a", state="running", job_id="j1", worker_host="box/1f", heartbeat_at=ago(seconds=1))
    page = open_page("workers")

    stop_redis()
    page.run()

    words = words_of(page)
    assert words.count("cannot tell") == len(Priority)
    assert "which workers are alive cannot be told" in words
    assert "No worker is alive" not in words
    assert "✓ None." not in words
    assert "Tutorial of Concept a" in words


def test_what_was_mended_and_given_up_is_named(open_page: OpenPage, redrive, monkeypatch):
    with redrive.engine.begin() as connection:
        findings.record(connection, FindingKind.QUEUED_WITHOUT_JOB, 7, "quiz:r1:<b>", ago(minutes=3))
    add_item(redrive.engine, "z", state="failed", error_kind="worker_lost", error_message="Its worker was lost 3 times.",
             settled_at=ago(hours=1))
    letter = DeadLetter("job-1", Priority.BULK, "workers.jobs.run_items", ago(hours=2), "KeyError: 'x'")
    monkeypatch.setattr(JobQueue, "dead_letters", lambda self, limit=100: (letter,))

    page = open_page("workers")

    words = words_of(page)
    assert "Queued without a job: sent again" in words
    assert "quiz:r1:&lt;b&gt;" in words
    assert "KeyError: &#x27;x&#x27;" in words
    assert "Its worker was lost 3 times." in words


def test_everything_is_cancelled_by_an_admin_with_words_only(open_page: OpenPage, redrive):
    add_operation(redrive.engine, actor_id="ann")
    add_item(redrive.engine, "a")
    page = open_page("workers")
    button(page, "Cancel everything").click().run()
    assert button(page, "Cancel it").disabled
    page.text_input(key="stop_note").input("the model writes nonsense").run()

    button(page, "Cancel it").click().run()

    with redrive.engine.connect() as connection:
        assert connection.scalar(select(items.c.state)) == "cancelled"
        assert "the model writes nonsense" in connection.scalar(select(audit_log.c.reason))
    assert "1 item cancelled" in page.toast[0].value


def test_an_operator_may_not_cancel_everything(environment, open_page: OpenPage, redrive):
    add_operation(redrive.engine)
    add_item(redrive.engine, "a")
    environment.setenv("REDRIVE_OPERATOR_ROLE", "operator")

    page = open_page("workers")

    assert button(page, "Cancel everything").disabled
    assert "needs the role admin" in button(page, "Cancel everything").help


def test_every_page_says_that_the_model_is_held_back_and_who_waits(open_page: OpenPage, redrive):
    add_operation(redrive.engine)
    add_item(redrive.engine, "a")
    hold_model(redrive)

    for name in ("overview", "problems", "roadmap", "tasks", "workers"):
        page = open_page(name)
        words = next(warning.value for warning in page.warning if "does not answer" in warning.value).replace("\\", "")
        assert "1 item waits, nothing is tried in vain. Next try at" in words
        assert "no route to host" in words
        assert "Waits for the model" in words_of(page) or name == "roadmap"
    assert "✕ Held back" in words_of(page)


def test_a_model_that_nobody_waits_for_is_not_tried(open_page: OpenPage, redrive):
    hold_model(redrive)

    words = open_page("workers").warning[0].value.replace("\\", "")

    assert "0 items wait, nothing is tried in vain. What is started next asks it, at" in words


@pytest.mark.parametrize(("kinds", "out", "told"), [
    (("cover",), (breakers.COVERS,), "Waits for the painters of covers, which are held back."),
    (("cover", "quiz"), (breakers.COVERS, ""), "Waits for the model and for the painters of covers, which are held back."),
    (("cover", "quiz"), (breakers.COVERS,), "Covers wait for their painters, which are held back; texts go on."),
    (("cover", "quiz"), ("",), "Texts wait for the model, which is held back; covers go on."),
    (("quiz",), (breakers.COVERS,), "")])
def test_an_operation_says_whom_it_waits_for(open_page: OpenPage, redrive, kinds, out, told):
    add_operation(redrive.engine)
    for kind in kinds:
        add_item(redrive.engine, "" if kind == "cover" else "a", kind=kind)
    for provider in out:
        hold_model(redrive, provider=provider)

    words = words_of(open_page("workers"))

    assert [found for found in re.findall("[^.<>]*(?:Waits|wait) for[^.<]*[.]", words)] == ([told] if told else [])


def test_breakers_are_named_in_words(open_page: OpenPage, redrive):
    hold_model(redrive, provider=breakers.COVERS)

    words = words_of(open_page("workers"))

    assert re.findall(r'rd-strong">([^<]*)</span> <span[^>]*>[^<]*Held back', words) == ["Painters of covers"]
    assert "The offline writer" in words


def test_a_probe_and_a_time_that_has_come_are_told(open_page: OpenPage, redrive):
    hold_model(redrive)
    with redrive.engine.begin() as connection:
        connection.exec_driver_sql("update ops.breakers set retry_at = now() - interval '1 second'")
    page = open_page("overview")
    assert any("The next item asks it again." in warning.value for warning in page.warning)
    with redrive.engine.begin() as connection:
        breakers.begin_probe(connection, redrive.settings.provider, utc_now(), silent_since=utc_now() - timedelta(hours=1))
    forget_cached_reads()

    page.run()

    assert any("One item asks it at this moment." in warning.value for warning in page.warning)


def test_a_model_that_answers_is_no_banner(open_page: OpenPage):
    page = open_page("overview")

    assert not [warning for warning in page.warning if "does not answer" in warning.value]
    assert not has_button(page, "Cancel everything")
