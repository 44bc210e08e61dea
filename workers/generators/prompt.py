"""What the model is asked: the files in `prompts/`, filled with a brief. Wording is changed there, not here."""

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from string import Template
from typing import Literal

from backend.content.keys import ContentKind
from backend.content.written import ConceptBrief, CoverBrief

_FOLDER = Path(__file__).with_name("prompts")
_FACTS_TAG = re.compile("</?facts>", re.IGNORECASE)
_NOT_STATED = {"en": "not stated", "zh": "未说明"}
_SEPARATOR = {"en": ", ", "zh": "、"}

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Prompt:
    system: str
    user: str
    language: Language

    def again(self, reason: str) -> "Prompt":
        """The same request after an answer that could not be used."""
        told = fill("again", self.language, reason=reason)
        return replace(self, user=f"{self.user}\n\n{told}")


def write_prompt(kind: ContentKind, brief: ConceptBrief) -> Prompt:
    language = language_of(brief)
    facts = fill("facts", language, **_facts(brief, language))
    return Prompt(
        system=fill("writer", language), user=fill(kind.value, language, facts=facts), language=language)


def write_cover_prompt(brief: CoverBrief) -> str:
    """One text: a model that paints takes no system prompt."""
    language = language_of(brief)
    facts = {"roadmap": brief.roadmap_title or brief.roadmap_id, "topics": _SEPARATOR[language].join(brief.topics), "note": brief.note}
    return fill("cover", language, **{name: one_line(words) or _NOT_STATED[language] for name, words in facts.items()})


def language_of(brief: ConceptBrief | CoverBrief) -> Language:
    """Chinese for zh, zh-CN, zh_Hant and so on; English for everything else."""
    return "zh" if brief.language.lower().startswith("zh") else "en"


def _facts(brief: ConceptBrief, language: Language) -> dict[str, str]:
    separator = _SEPARATOR[language]
    facts = {
        "concept": brief.concept_name or brief.concept_id,
        "description": brief.description,
        "roadmap": brief.roadmap_title,
        "stage": brief.stage_name,
        "module": brief.module_name,
        "difficulty": brief.difficulty,
        "hours": "" if brief.estimated_hours is None else f"{brief.estimated_hours:g}",
        "prerequisites": separator.join(brief.prerequisites),
        "keywords": separator.join(brief.keywords),
    }
    # One line each, and no </facts>: the words of a roadmap stay where the prompt says they are.
    return {
        name: one_line(words) or _NOT_STATED[language]
        for name, words in facts.items()
    }


def without_tags(words: str) -> str:
    return _FACTS_TAG.sub("", words).strip()


def one_line(words: str) -> str:
    return " ".join(_FACTS_TAG.sub("", words).split())


@cache
def _template(name: str, language: Language) -> Template:
    return Template((_FOLDER / f"{name}.{language}.md").read_text(encoding="utf-8").strip())


def fill(name: str, language: Language, **words: str) -> str:
    return _template(name, language).substitute(words)
