"""Importing roadmaps and finished novels from JSON files: every file of a call, or none of them.

A roadmap file holds stages -> modules -> concepts, a novel file holds chapters. Nothing is generated here: an imported
roadmap's concepts are pending, an imported novel is complete.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from backend.actions.actors import Actor, Permission, require
from backend.clock import utc_now
from backend.content.errors import ItemError
from backend.content.imported import NovelFile, RoadmapFile, layout_faults, parse_document
from backend.i18n import _
from backend.redrive import Redrive
from backend.storage import audit
from backend.storage.imported import insert_novel, insert_roadmap

MAXIMUM_FILE_BYTES = 50_000_000  # a file is read into memory as a whole; the largest curriculum seen has 0.1 MB

class ImportRefused(Exception):
    """Nothing was imported. Each line of str() names a file, the place in it, and what is wrong there."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class ImportedCounts:
    roadmaps: int
    novels: int
    concepts: int
    chapters: int


@dataclass(frozen=True, slots=True)
class _Source:
    file_name: str
    content: RoadmapFile | NovelFile


def import_files(redrive: Redrive, actor: Actor, paths: Iterable[Path]) -> ImportedCounts:
    """Insert every roadmap and novel of the files in one transaction.

    Raises NotAllowed; ImportRefused when a file cannot be read, is laid out otherwise, or names an id that exists.
    """
    require(actor, Permission.IMPORT)
    sources = _read_all([Path(path) for path in paths])
    faults: list[str] = []
    with redrive.engine.begin() as connection:
        now = utc_now()
        for source in sources:
            insert_owner = insert_roadmap if isinstance(source.content, RoadmapFile) else insert_novel
            if not insert_owner(connection, source.content, actor.actor_id, now):
                faults.append(_("{file}: {owner} exists already; nothing was imported").format(
                    file=source.file_name, owner=source.content.owner_id))
        if faults:
            raise ImportRefused(faults)
        counts = _count(sources)
        audit.record(
            connection, actor, action="import", scope=", ".join(source.content.owner_id for source in sources),
            result=_("{roadmaps} roadmaps with {concepts} concepts, {novels} novels with {chapters} chapters").format(
                roadmaps=counts.roadmaps, concepts=counts.concepts, novels=counts.novels, chapters=counts.chapters))
    return counts


def _count(sources: Sequence[_Source]) -> ImportedCounts:
    roadmaps = [source.content for source in sources if isinstance(source.content, RoadmapFile)]
    books = [source.content for source in sources if isinstance(source.content, NovelFile)]
    concepts, written = (len(roadmap.concepts) for roadmap in roadmaps), (len(book.chapters) for book in books)
    return ImportedCounts(len(roadmaps), len(books), sum(concepts), sum(written))


def _read_all(paths: Sequence[Path]) -> list[_Source]:
    """Every file, checked. Raises ImportRefused with the faults of all files at once."""
    if not paths:
        raise ImportRefused([_("No file was named. Name at least one JSON file.")])
    sources: dict[tuple[type, str], _Source] = {}
    faults: list[str] = []
    for path in paths:
        try:
            source = _Source(path.name, _read(path))
        except ImportRefused as refused:
            faults += refused.faults
            continue
        owner_id = source.content.owner_id
        earlier = sources.setdefault((type(source.content), owner_id), source)
        if earlier is not source:
            faults.append(_("{file}: {owner} is already in {other}").format(
                file=path.name, owner=owner_id, other=earlier.file_name))
    if faults:
        raise ImportRefused(faults)
    return list(sources.values())


def _read(path: Path) -> RoadmapFile | NovelFile:
    try:
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            raise ValueError(_("larger than {megabytes} MB").format(megabytes=MAXIMUM_FILE_BYTES // 1_000_000))
        content = parse_document(path.read_text(encoding="utf-8-sig"))
    except ValidationError as exc:
        raise ImportRefused([f"{path.name}: {_path(error['loc'])}: {error['msg'][:1].lower()}{error['msg'][1:]}"
                             for error in exc.errors(include_url=False)]) from exc
    except RecursionError as exc:
        raise ImportRefused([_("{file}: nested too deeply").format(file=path.name)]) from exc
    except (OSError, ValueError, ItemError) as exc:
        raise ImportRefused([f"{path.name}: {getattr(exc, 'strerror', None) or exc}"]) from exc
    if faults := layout_faults(content):
        raise ImportRefused([f"{path.name}: {fault}" for fault in faults])
    return content


def _path(location: Sequence[int | str]) -> str:
    """("chapters", 3, "content") as chapters[3].content."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).removeprefix(".")
