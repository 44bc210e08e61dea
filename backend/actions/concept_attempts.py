"""One attempt at a tutorial, at resources or at a quiz: what it begins with, and what it saves. See work.Family and attempts."""

from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import DataError

from backend.actions.work import Stored, Work
from backend.content.errors import ErrorKind, ItemError
from backend.content.facts import KeyFacts, OwnerFacts
from backend.content.framework import Concept
from backend.content.keys import ContentKey
from backend.content.language import language_of
from backend.content.problems import Verdict
from backend.content.status import ContentStatus
from backend.content.written import ConceptBrief, Quiz, Resources, Tutorial, Written
from backend.i18n import _
from backend.storage import contents
from backend.storage.contents import LockedRoadmap
from backend.storage.facts import load_key_facts
from backend.storage.items import StoredItem
from backend.storage.objects import Objects, path_part


def lock(connection: Connection, owner_id: str) -> LockedRoadmap | None:
    return contents.lock_roadmap(connection, owner_id)


def lock_to_end(connection: Connection, owner_id: str) -> LockedRoadmap | None:
    try:
        with connection.begin_nested():
            return contents.lock_roadmap(connection, owner_id)
    except DataError:  # PostgreSQL cannot read it as jsonb
        return None


def load(connection: Connection, key: ContentKey) -> tuple[KeyFacts, OwnerFacts] | None:
    return load_key_facts(connection, key)


def declared(connection: Connection, key: ContentKey, owner: LockedRoadmap | None) -> str | None:
    concept = _concept(owner, key)
    return concept.declared(key.kind) if concept else None


def begin(
    connection: Connection, item: StoredItem, owner: LockedRoadmap | None, verdict: Verdict | None, now: datetime,
) -> Work | ItemError:
    concept = _concept(owner, item.key)
    if owner is None or concept is None or verdict is None:
        return ItemError(ErrorKind.SAVE_OWNER_GONE, _("The roadmap or the concept was deleted in the meantime."))
    _declare(connection, item, concept, ContentStatus.GENERATING)
    return Work(_brief(owner, concept))


def repair(connection: Connection, item: StoredItem, owner: LockedRoadmap) -> None:
    concept = _concept(owner, item.key)
    if concept is not None:
        contents.patch_concept(connection, item.key.owner_id, concept, contents.saved_fields(connection, item.key))


def keep(objects: Objects, item: StoredItem, written: Written) -> Stored:
    """A path of its own for each attempt: a late one never overwrites what readers see."""
    if not isinstance(written.content, Tutorial):
        return ()
    path = f"tutorials/{path_part(item.key.owner_id)}/{path_part(item.key.part)}/{item.item_id}-{item.attempt}.md"
    return (objects.put_text(path, written.content.body_markdown),)


def finish(
    connection: Connection, item: StoredItem, owner: LockedRoadmap | None, written: Written, stored: Stored, now: datetime,
) -> None:
    concept = _concept(owner, item.key)
    if concept is None:
        raise ItemError(ErrorKind.SAVE_OWNER_GONE, _("The roadmap or the concept was deleted while it was being written."))
    contents.patch_concept(connection, item.key.owner_id, concept, _insert(connection, item.key, written.content, stored, now))


def _insert(
    connection: Connection, key: ContentKey, content: Tutorial | Resources | Quiz, stored: Stored, now: datetime,
) -> contents.FrameworkFields:
    match content:
        case Tutorial():
            return contents.insert_tutorial(connection, key, content, stored[0], now)
        case Resources():
            return contents.replace_resources(connection, key, content, now)
        case Quiz():
            return contents.replace_quiz(connection, key, content, now)


def end_without(connection: Connection, item: StoredItem, owner: LockedRoadmap | None, message: str, now: datetime) -> None:
    _declare(connection, item, _concept(owner, item.key), ContentStatus.FAILED)


def put_back(connection: Connection, item: StoredItem, owner: LockedRoadmap | None, now: datetime) -> None:
    concept = _concept(owner, item.key)
    if concept is not None and concept.declared(item.key.kind) == ContentStatus.GENERATING:
        _declare(connection, item, concept, item.previous_status)


def _declare(connection: Connection, item: StoredItem, concept: Concept | None, status: str | None) -> None:
    if concept is not None:
        contents.patch_concept(connection, item.key.owner_id, concept, contents.status_field(item.key.kind, status))


def _concept(owner: LockedRoadmap | None, key: ContentKey) -> Concept | None:
    return owner.framework.concept(key.part) if owner else None


def _brief(roadmap: LockedRoadmap, concept: Concept) -> ConceptBrief:
    fields = concept.fields
    hours = fields.get("estimated_hours")
    return ConceptBrief(
        roadmap_id=roadmap.roadmap_id, roadmap_title=roadmap.title,
        language=language_of(roadmap.title, concept.name, concept.stage_name),
        stage_name=concept.stage_name, module_name=concept.module_name,
        concept_id=concept.concept_id, concept_name=concept.name,
        description=str(fields.get("description") or ""), difficulty=str(fields.get("difficulty") or ""),
        estimated_hours=float(hours) if isinstance(hours, (int, float)) else None,
        prerequisites=_words(fields.get("prerequisites")), keywords=_words(fields.get("keywords")))


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in value) if isinstance(value, list) else ()
