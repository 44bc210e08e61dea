"""What people do with covers: make one anew beside the published, choose, go back, upload; and what is missing, once a day."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from secrets import token_urlsafe

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from backend.actions import retry, single
from backend.actions.actors import Actor, Permission, require
from backend.actions.cover_attempts import discard_pictures, keep_pictures
from backend.actions.cover_attempts import lock as lock_roadmap
from backend.actions.retry import Confirmed, NothingToRetry
from backend.clock import utc_now
from backend.content import wording
from backend.content.checks import check, check_alt_text
from backend.content.covers import CoverVersionState, path_of_made
from backend.content.errors import ItemError
from backend.content.keys import ContentKey, ContentKind
from backend.content.pictures import make_cover
from backend.content.plans import ExclusionRule, Plan, PlannedItem
from backend.content.problems import ProblemKind
from backend.content.scopes import ProblemFilter, Scope
from backend.content.status import CoverStatus, ItemAction, Priority
from backend.content.written import Cover, Written
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import audit, cover_rows, cover_versions, items
from backend.storage.contents import LockedRoadmap
from backend.storage.cover_versions import CoverVersion, StoredPictures
from backend.storage.objects import Objects, StoreUnreachable

MISSING = Scope.matching(ProblemFilter(problem_kinds=(ProblemKind.MISSING,), kinds=(ContentKind.COVER,)))
UPLOADED = "upload"  # in place of the name of a painter
# Of one process: a hostile picture of 25 million pixels takes 0.2 GB while it is looked at; a good one takes 60 ms.
_WORKED_UP_AT_ONCE = threading.BoundedSemaphore(1)


class CoverRefused(ValueError):
    """It cannot be done as things stand; str() says why and what to do first."""


class CoverMovedOn(CoverRefused):
    """Somebody else published another picture in the meantime."""


@dataclass(frozen=True, slots=True)
class CoverRegeneration:
    version_id: str
    operation_id: str


def regenerate(redrive: Redrive, actor: Actor, roadmap_id: str, *, note: str = "") -> CoverRegeneration:
    """Make another version, by the words of a note: beside the published cover, or to be published where a broken one has none.

    Raises NotAllowed, CoverRefused.
    """
    require(actor, Permission.RETRY)
    refusal = wait_words(redrive, actor, 1)
    if refusal:
        raise CoverRefused(refusal)
    found = retry.plan(redrive, Scope.of(ContentKey(ContentKind.COVER, roadmap_id)), actor)
    with redrive.engine.begin() as connection:
        roadmap = _locked(connection, roadmap_id)
        key = _idle(connection, roadmap_id)
        row = cover_rows.find(connection, roadmap_id)
        if row is not None and row.status == CoverStatus.SUCCESS:
            planned = PlannedItem(key, ItemAction.DRAFT, ProblemKind.DRIFTED, _("Cover"), roadmap.title)
        else:
            planned = replace(_included(found), action=ItemAction.DRAFT)
        operation_id = single.begin(redrive, connection, planned, actor, note.strip())
        version_id = cover_versions.insert_wanted(
            connection, roadmap_id, item_id=items.item_ids_of(connection, operation_id)[0], made_by=actor.actor_id, note=note.strip(),
            now=utc_now())
        return CoverRegeneration(version_id, operation_id)


def _included(found: Plan) -> PlannedItem:
    """What a retry would do, by the same rules as any other: too many tries are too many with a note too."""
    if found.included:
        return found.included[0]
    rule = found.excluded[0].rule if found.excluded else ExclusionRule.ALREADY_MADE
    if rule is ExclusionRule.ALREADY_MADE:  # nothing is published, and nothing is wrong yet
        raise CoverRefused(_("There is no cover yet: generate it instead."))
    raise CoverRefused(wording.EXCLUSION_RULES[rule])


def choose(redrive: Redrive, actor: Actor, version_id: str, *, expected_url: str) -> None:
    """Publish a version, an earlier one too. `expected_url`: views.covers.CoverView.url that the person saw.

    Raises NotAllowed, CoverRefused, CoverMovedOn.
    """
    require(actor, Permission.RETRY)
    with redrive.engine.connect() as connection:
        found = cover_versions.find(connection, version_id)
    if found is None:
        raise CoverRefused(_("There is no such version of a cover."))
    if found.state is CoverVersionState.READY:
        _require_picture(redrive, actor, found)  # before anything is held: the store may take long to answer
    with redrive.engine.begin() as connection:
        _locked(connection, found.roadmap_id)
        version = cover_versions.find(connection, version_id) or found
        if version.state is not CoverVersionState.READY:
            raise CoverRefused(_("This version cannot be published: it is {state}.").format(state=version.state.value))
        row = cover_rows.find(connection, version.roadmap_id)
        if (row.url if row else "") != expected_url:
            raise CoverMovedOn(_("The cover was changed in the meantime. Look at it again."))
        _idle(connection, version.roadmap_id)
        _publish(connection, version.roadmap_id, version_id, version.large_url)
        audit.record(connection, actor, action="choose_cover", scope=_scope(version.roadmap_id), result=version_id)


def upload(redrive: Redrive, actor: Actor, roadmap_id: str, picture: bytes, *, alt_text: str) -> str:
    """Publish a picture of one's own: the bytes of a file, which nobody has looked at yet. Returns the version_id.

    Raises NotAllowed, CoverRefused, and ItemError when it can be no cover, has no alt text, or is not taken by the store.
    """
    require(actor, Permission.RETRY)
    with _WORKED_UP_AT_ONCE:
        cover = make_cover(picture, alt_text=alt_text.strip())
    check(cover)
    written = Written(cover, UPLOADED, is_sample=False, calls=0)
    with redrive.engine.begin() as connection:  # not before it is known that it may be published
        _locked(connection, roadmap_id)
        _idle(connection, roadmap_id)
    pictures = _keep(redrive.objects, written)
    try:
        return _publish_upload(redrive, actor, roadmap_id, written, pictures)
    except (CoverRefused, SQLAlchemyError):  # whoever uploaded it has it still
        with contextlib.suppress(StoreUnreachable, SQLAlchemyError):  # then nobody can tell, and it stays
            _discard_unnamed(redrive, roadmap_id, pictures)
        raise


def _keep(objects: Objects, written: Written[Cover]) -> StoredPictures:
    """Under addresses that no row can name yet: where the store takes only one of the two it is to hold neither."""
    made_for = token_urlsafe()
    try:
        return StoredPictures(*keep_pictures(objects, written, made_for))
    except ItemError:
        with contextlib.suppress(StoreUnreachable):
            for picture in (written.content.large, written.content.thumbnail):
                objects.delete(path_of_made(picture, made_for))
        raise


def _discard_unnamed(redrive: Redrive, roadmap_id: str, pictures: StoredPictures) -> None:
    """Unless a row names them: a commit whose answer was lost on its way may have been taken."""
    with redrive.engine.begin() as connection:
        lock_roadmap(connection, roadmap_id)  # after whoever is still about to commit
        is_named = cover_versions.of_address(connection, roadmap_id, pictures.large_url) is not None
    if not is_named:
        discard_pictures(redrive.objects, (pictures.large_url, pictures.thumbnail_url))


def _publish_upload(redrive: Redrive, actor: Actor, roadmap_id: str, written: Written[Cover], pictures: StoredPictures) -> str:
    with redrive.engine.begin() as connection:
        _locked(connection, roadmap_id)
        _idle(connection, roadmap_id)
        version_id = cover_versions.insert_made(connection, roadmap_id, written, pictures, made_by=actor.actor_id, now=utc_now())
        _publish(connection, roadmap_id, version_id, pictures.large_url)
        audit.record(connection, actor, action="upload_cover", scope=_scope(roadmap_id), result=version_id)
        return version_id


def generate_missing_once(redrive: Redrive, actor: Actor) -> Confirmed | None:
    """Confirm the covers that are missing and that nobody tried in the last 24 hours, when the setting says so. None: there are none.

    However often it is called, a roadmap is tried once a day: a cover that fails does not come round again. Raises NotAllowed.
    """
    if not redrive.settings.covers_automatic:
        return None
    planned = retry.plan(redrive, MISSING, actor)
    with redrive.engine.connect() as connection:
        tried = items.tried_today(connection, [item.key for item in planned.included], utc_now())
    left = tuple(item for item in planned.included if item.key not in tried)
    if not left:
        return None
    try:  # asked again where it is confirmed: another process may have tried them, to their end, since then
        return retry.confirm(redrive, replace(planned, included=left), actor, _("Missing covers are generated by themselves."),
                             priority=Priority.AUTOMATIC, once_a_day=True)
    except NothingToRetry:
        return None


def describe(redrive: Redrive, actor: Actor, version_id: str, alt_text: str) -> None:
    """Say what is to be seen on a version, for those who cannot see it.

    Raises NotAllowed, CoverRefused, and ItemError for what are no words.
    """
    require(actor, Permission.RETRY)
    words = alt_text.strip()
    check_alt_text(words)
    with redrive.engine.begin() as connection:
        before = cover_versions.describe(connection, version_id, words)
        if before is None:
            raise CoverRefused(_("There is no such picture of a cover."))
        audit.record(connection, actor, action="describe_cover", scope=_scope(before.roadmap_id), reason=words, result=version_id)


def _in_utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def wait_words(redrive: Redrive, actor: Actor, count: int, *, tell_time: Callable[[datetime], str] = _in_utc) -> str:
    """"", or how many of so many covers can be made now, and when it goes on. `tell_time`: in the time of the reader."""
    room = redrive.cover_calls.room(actor.actor_id)
    if room.count is None or count <= room.count:
        return ""
    if not room.is_counted:
        return _("Calls cannot be counted now, as Redis does not answer. No cover is made until it does.")
    if room.resumes_at is None:
        return _("No cover can be made: the limit of calls is 0. Raise REDRIVE_COVER_CALLS or REDRIVE_COVER_CALLS_PER_PERSON.")
    when = tell_time(room.resumes_at)
    if room.is_used_up:
        return _("No cover can be made now: the limit of calls is used up. It goes on at {when}.").format(when=when)
    return _("{now} of {items} can be made now; the rest waits for the limit of calls and goes on at {when}.").format(
        now=max(room.count, 0), items=wording.items(count), when=when)


def _require_picture(redrive: Redrive, actor: Actor, version: CoverVersion) -> None:
    """That our own store still has it. Where it is gone, its version says so from now on; other stores are left alone."""
    if not version.large_url.startswith(f"{redrive.objects.root_url}/"):
        return
    try:
        if redrive.objects.has(version.large_url):
            return
    except StoreUnreachable as exc:
        raise CoverRefused(_("Not published, as nobody can tell whether the picture is still there: {error}").format(error=exc)) from exc
    with redrive.engine.begin() as connection:
        lock_roadmap(connection, version.roadmap_id)
        if cover_versions.mark_gone(connection, version.version_id, _("The stored picture is gone.")):
            audit.record(connection, actor, action="cover_version_gone", scope=_scope(version.roadmap_id), result=version.version_id)
    raise CoverRefused(_("The stored picture is gone, so this version cannot be published. Choose another one, or make a new one."))


def _publish(connection: Connection, roadmap_id: str, version_id: str, url: str) -> None:
    """What the platform itself had published becomes a version too, so that one can go back to it."""
    now = utc_now()
    row = cover_rows.find(connection, roadmap_id)
    if row and row.status == CoverStatus.SUCCESS and row.url and cover_versions.of_address(connection, roadmap_id, row.url) is None:
        cover_versions.insert_taken_over(connection, roadmap_id, row.url, now)
    cover_versions.mark_published(connection, roadmap_id, version_id, now)
    cover_rows.publish(connection, roadmap_id, url, now)


def _locked(connection: Connection, roadmap_id: str) -> LockedRoadmap:
    roadmap = lock_roadmap(connection, roadmap_id)
    if roadmap is None:
        raise CoverRefused(_("There is no roadmap {roadmap_id}.").format(roadmap_id=roadmap_id))
    return roadmap


def _idle(connection: Connection, roadmap_id: str) -> ContentKey:
    """The key, while nobody works on it."""
    key = ContentKey(ContentKind.COVER, roadmap_id)
    if items.keys_in_work(connection, [key]):
        raise CoverRefused(_("The cover is being made already. Wait for it, or cancel it."))
    return key


def _scope(roadmap_id: str) -> str:
    return str(ContentKey(ContentKind.COVER, roadmap_id))
