"""How the old platform found what is failed or missing: one roadmap after the other, in Python.

Two variants: entities as its repositories load them, and a lean one that reads only the columns the loop looks at.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import DeclarativeBase, Session

from backend.storage.platform_tables import (
    quiz_metadata,
    resource_recommendation_metadata,
    roadmap_metadata,
    tutorial_metadata,
)

Found = list[tuple[str, str, str, str]]  # roadmap_id, concept_id, kind, what is wrong


class Base(DeclarativeBase):
    pass


class Roadmap(Base):
    __table__ = roadmap_metadata


class Tutorial(Base):
    __table__ = tutorial_metadata


class Resources(Base):
    __table__ = resource_recommendation_metadata


class Quiz(Base):
    __table__ = quiz_metadata


def roadmap_ids(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(Roadmap.roadmap_id).where(Roadmap.deleted_at.is_(None)).order_by(Roadmap.roadmap_id)))


def find_with_entities(engine: Engine, ids: Iterable[str]) -> Found:
    """A session for each roadmap, the roadmap and its rows as entities."""
    found: Found = []
    for roadmap_id in ids:
        with Session(engine) as session:
            roadmap = session.get(Roadmap, roadmap_id)
            tutorials = {row.concept_id: row for row in session.scalars(
                select(Tutorial).where(Tutorial.roadmap_id == roadmap_id, Tutorial.is_latest))}
            resources = {row.concept_id: row for row in session.scalars(select(Resources).where(Resources.roadmap_id == roadmap_id))}
            quizzes = {row.concept_id: row for row in session.scalars(select(Quiz).where(Quiz.roadmap_id == roadmap_id))}
            found += _loop(
                roadmap_id, roadmap.framework_data,
                {concept_id: bool(row.content_url) for concept_id, row in tutorials.items()},
                {concept_id: bool(row.resources) for concept_id, row in resources.items()},
                {concept_id: bool(row.questions) for concept_id, row in quizzes.items()})
    return found


def find_lean(engine: Engine, ids: Iterable[str]) -> Found:
    """One connection for all; of each row only what the loop asks: is there something in it?"""
    t, r, q = tutorial_metadata.c, resource_recommendation_metadata.c, quiz_metadata.c
    found: Found = []
    with engine.connect() as connection:
        for roadmap_id in ids:
            framework = connection.scalar(select(roadmap_metadata.c.framework_data).where(roadmap_metadata.c.roadmap_id == roadmap_id))
            tutorials = connection.execute(
                select(t.concept_id, t.content_url.is_not(None)).where(t.roadmap_id == roadmap_id, t.is_latest))
            resources = connection.execute(
                select(r.concept_id, func.json_array_length(r.resources) > 0).where(r.roadmap_id == roadmap_id))
            quizzes = connection.execute(
                select(q.concept_id, func.json_array_length(q.questions) > 0).where(q.roadmap_id == roadmap_id))
            found += _loop(
                roadmap_id, framework, *({row[0]: row[1] for row in rows} for rows in (tutorials, resources, quizzes)))
    return found


def _loop(roadmap_id: str, framework: Any, *saved: dict[str, bool]) -> Found:
    found: Found = []
    kinds = (("tutorial", "content_status"), ("resources", "resources_status"), ("quiz", "quiz_status"))
    for stage in framework.get("stages", []):
        for module in stage.get("modules", []):
            for concept in module.get("concepts", []):
                concept_id = concept["concept_id"]
                for (kind, status_field), is_filled in zip(kinds, saved, strict=True):
                    status = concept.get(status_field)
                    if concept_id not in is_filled:
                        found.append((roadmap_id, concept_id, kind, "failed" if status == "failed" else "missing"))
                    elif not is_filled[concept_id]:
                        found.append((roadmap_id, concept_id, kind, "empty"))
                    elif status != "completed":
                        found.append((roadmap_id, concept_id, kind, "status"))
    return found
