"""Ready-made sentences for the offline writer, filled with a brief. The texts are files in `samples/`.

A file is a list of blocks; a line "=== name" begins one. Blocks of the same name are alternatives.
"""

import hashlib
import random
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template

from backend.content.keys import ContentKind
from backend.content.written import ConceptBrief
from workers.generators.prompt import Language

Block = tuple[str, str]  # name, text

_FOLDER = Path(__file__).with_name("samples")
_BLOCK_START = re.compile(r"^=== (\S+)\n", re.MULTILINE)
_LONGEST_WORDS = 80  # characters: one odd name must not blow up a whole text
_STAND_IN_KEYWORDS: Mapping[Language, tuple[str, ...]] = {
    "en": ("the basic case", "the invariant", "the boundary case", "the intermediate result", "the starting point"),
    "zh": ("基本情形", "不变量", "边界情形", "中间结果", "起点"),
}
_DIFFICULTIES_ZH = {
    "easy": "简单", "beginner": "入门", "medium": "中等", "intermediate": "中级", "hard": "困难", "advanced": "高级"}


def seeded(brief: ConceptBrief, *marks: object) -> random.Random:
    """Randomness that is the same in every process for the same concept and marks."""
    name = "\n".join(map(str, (brief.roadmap_id, brief.concept_id, *marks)))
    return random.Random(hashlib.sha256(name.encode("utf-8", "replace")).digest())


@cache
def blocks_of(kind: ContentKind, language: Language) -> tuple[Block, ...]:
    text = (_FOLDER / f"{kind.value}.{language}.md").read_text(encoding="utf-8")
    parts = _BLOCK_START.split(text)[1:]
    return tuple((name, block.strip()) for name, block in zip(parts[::2], parts[1::2], strict=True))


def fill(block: str, words: Mapping[str, str]) -> str:
    return Template(block).substitute(words)


def words_of(brief: ConceptBrief, language: Language) -> dict[str, str]:
    """What the blocks may mention: $concept, $Concept (as a sentence begins), $keyword, $other, $minutes and so on."""
    concept = _short(brief.concept_name) or _short(brief.concept_id)
    stand_ins = _STAND_IN_KEYWORDS[language]
    own = [keyword for keyword in map(_short, brief.keywords) if keyword]
    keywords = [*own, *seeded(brief, "keywords").sample(stand_ins, k=max(0, 2 - len(own)))]
    difficulty = brief.difficulty.strip() or "medium"
    return {
        "concept": concept,
        "Concept": _capitalised(concept),
        "keyword": keywords[0],
        "Keyword": _capitalised(keywords[0]),
        "other": keywords[1],
        "keywords": _listed(keywords[:5], language),
        "prerequisites": _listed([*filter(None, map(_short, brief.prerequisites))][:5], language),
        "module": _short(brief.module_name) or concept,
        "stage": _short(brief.stage_name) or concept,
        "roadmap": _short(brief.roadmap_title) or brief.roadmap_id,
        "difficulty": _DIFFICULTIES_ZH.get(difficulty.lower(), difficulty) if language == "zh" else difficulty,
        "minutes": str(minutes_for(brief) // 2),
        "slug": _slug(brief),
    }


def minutes_for(brief: ConceptBrief) -> int:
    """Reading and practice time: a tenth of the hours planned for the concept, between 20 and 60 minutes."""
    hours = brief.estimated_hours if brief.estimated_hours and brief.estimated_hours > 0 else 4.0
    return int(min(max(20.0, hours * 6), 60.0)) // 5 * 5


def _short(words: str) -> str:
    words = " ".join(words.split())
    return words if len(words) <= _LONGEST_WORDS else words[: _LONGEST_WORDS - 1].rstrip() + "…"


def _capitalised(words: str) -> str:
    first = words.split(" ", 1)[0]
    return words[:1].upper() + words[1:] if first.islower() else words


def _listed(names: list[str], language: Language) -> str:
    between, last = (", ", " and ") if language == "en" else ("、", "和")
    return last.join(filter(None, [between.join(names[:-1]), *names[-1:]]))


def _slug(brief: ConceptBrief) -> str:
    """For a web address; a name without Latin letters becomes a number."""
    slug = re.sub(r"[^a-z0-9]+", "-", brief.concept_name.lower()).strip("-")[:60].strip("-")
    return slug or f"concept-{seeded(brief, 'slug').randrange(10**6):06d}"
