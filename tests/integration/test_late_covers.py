"""Pictures that came too late: each is kept where people can choose it, and nothing is left in the store that no row names."""

import pytest
from sqlalchemy import text

from backend.actions import attempts, covers, reconciler, spills, withdrawals
from backend.actions.attempts import Attempt
from backend.actions.covers import CoverRefused
from backend.content.covers import CoverVersionState
from backend.content.errors import ErrorKind, ItemError
from backend.content.status import CoverStatus, ItemState
from backend.content.written import CoverBrief, Spent, Written
from backend.redrive import Redrive
from backend.storage.objects import Objects, StoreUnreachable
from tests.integration.test_attempts import COVER, begun, item_row, queued
from tests.integration.test_covers import KEY, FakePainter, add_bare, begin_one, painted, row_of, run, versions
from tests.model_pictures import encoded


class Overtaken(FakePainter):
    """While it paints, something happens."""

    def __init__(self, redrive: Redrive, statement: str) -> None:
        super().__init__()
        self._redrive, self._statement = redrive, statement

    async def paint(self, brief: CoverBrief, spent: Spent | None = None, answered=None) -> Written:
        with self._redrive.engine.begin() as connection:
            connection.execute(text(self._statement))
        return await super().paint(brief, spent, answered)


def kept(redrive: Redrive) -> dict[str, list[str]]:
    return {folder: redrive.objects.paths(f"{folder}/") for folder in ("covers", "spills", "spills-set-aside")}


def named(redrive: Redrive) -> list[str]:
    """Paths of all pictures that versions of r1 name."""
    return sorted(redrive.objects.path_of(url) for found in versions(redrive) for url in (found.large_url, found.thumbnail_url))


def cancelled(redrive: Redrive, attempt: Attempt) -> None:
    assert withdrawals.confirm_cancelled(redrive, attempt.item)


def test_a_picture_whose_item_was_cancelled_becomes_a_version_to_choose(redrive, operator):
    add_bare(redrive, "r1")
    item_id, = queued(redrive, operator, KEY)
    painter = Overtaken(redrive, "update ops.items set state = 'cancelled', settled_at = now()")

    assert run(redrive, painter, [item_id]) == {"late": 1}
    reconciler.save_spilled(redrive)

    version, = versions(redrive)
    assert (version.state, version.is_published) == (CoverVersionState.READY, False)
    assert kept(redrive) == {"covers": named(redrive), "spills": [], "spills-set-aside": []}
    assert not row_of(redrive).cover_image_url
    covers.choose(redrive, operator, version.version_id, expected_url="")
    assert row_of(redrive).generation_status == CoverStatus.SUCCESS


def test_a_late_picture_settles_an_item_that_waits_to_be_made_again(redrive, operator):
    add_bare(redrive, "r1")
    item_id, = queued(redrive, operator, KEY)
    painter = Overtaken(redrive, "update ops.items set state = 'queued', attempt = attempt + 1")

    assert run(redrive, painter, [item_id]) == {"late": 1}

    assert spills.save_spilled(redrive) == [KEY]
    assert item_row(redrive, item_id).state == ItemState.SUCCEEDED
    assert kept(redrive) == {"covers": named(redrive), "spills": [], "spills-set-aside": []}


def test_a_late_picture_stands_beside_the_one_that_another_attempt_made(redrive, operator):
    add_bare(redrive, "r1")
    first = begin_one(redrive, operator)
    withdrawals.give_back(redrive, first.item)
    second = begun(redrive, first.item.item_id)
    assert attempts.save(redrive, second, painted(COVER.model_copy(update={"large": b"RIFF other", "thumbnail": b"RIFF tiny"})))
    published = row_of(redrive).cover_image_url
    assert not attempts.save(redrive, first, painted())

    spills.spill(redrive, first.item, painted())
    reconciler.save_spilled(redrive)

    assert [(found.is_published, found.large_url == published) for found in versions(redrive)] == [(False, False), (True, True)]
    assert kept(redrive) == {"covers": named(redrive), "spills": [], "spills-set-aside": []}


def test_the_same_picture_is_kept_once_however_often_it_is_saved(redrive, operator):
    add_bare(redrive, "r1")
    attempt = begin_one(redrive, operator)
    spills.spill(redrive, attempt.item, painted())

    assert spills.save_spilled(redrive) == [KEY]      # the reconciler was quicker
    assert not attempts.save(redrive, attempt, painted())
    spills.spill(redrive, attempt.item, painted())
    spills.save_spilled(redrive)

    assert len(versions(redrive)) == 1
    assert kept(redrive) == {"covers": named(redrive), "spills": [], "spills-set-aside": []}


def test_a_picture_of_a_deleted_roadmap_is_set_aside_and_leaves_nothing_else(redrive, operator):
    add_bare(redrive, "r1")
    item_id, = queued(redrive, operator, KEY)
    painter = Overtaken(redrive, "update roadmap_metadata set deleted_at = now()")

    assert run(redrive, painter, [item_id]) == {"failed": 1}
    reconciler.save_spilled(redrive)

    assert (kept(redrive)["covers"], kept(redrive)["spills"], len(kept(redrive)["spills-set-aside"])) == ([], [], 1)


def test_a_late_picture_waits_while_somebody_holds_its_roadmap(redrive, operator):
    add_bare(redrive, "r1")
    attempt = begin_one(redrive, operator)
    spills.spill(redrive, attempt.item, painted())
    cancelled(redrive, attempt)

    with redrive.engine.connect() as holder:
        holder.execute(text("select 1 from roadmap_metadata for update"))
        reconciler.save_spilled(redrive)
        assert len(kept(redrive)["spills"]) == 1
        holder.rollback()
    reconciler.save_spilled(redrive)

    assert (kept(redrive)["spills"], len(versions(redrive))) == ([], 1)


def test_a_late_picture_waits_for_a_store_that_takes_no_picture(redrive, operator, monkeypatch):
    add_bare(redrive, "r1")
    attempt = begin_one(redrive, operator)
    spills.spill(redrive, attempt.item, painted())
    cancelled(redrive, attempt)

    def away(_self, path, _picture):
        raise ItemError(ErrorKind.SAVE_STORE_GONE, f"{path} was not taken")

    monkeypatch.setattr(Objects, "put_picture", away)
    with pytest.raises(StoreUnreachable):
        spills.save_spilled(redrive)

    assert len(kept(redrive)["spills"]) == 1


def test_an_upload_that_is_refused_leaves_nothing_in_the_store(redrive, operator, monkeypatch):
    add_bare(redrive, "r1")
    locked, asked = covers._locked, []

    def deleted_in_between(connection, roadmap_id):
        asked.append(roadmap_id)
        if len(asked) == 2:
            raise CoverRefused("There is no roadmap r1.")
        return locked(connection, roadmap_id)

    monkeypatch.setattr(covers, "_locked", deleted_in_between)
    with pytest.raises(CoverRefused):
        covers.upload(redrive, operator, "r1", encoded(1200, 630), alt_text="A teal square")

    assert (kept(redrive)["covers"], len(asked)) == ([], 2)
