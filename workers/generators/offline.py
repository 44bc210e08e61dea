"""Writes sample text without a model: the same for the same concept, in every process and on every day."""

import asyncio
import itertools
import random
import time
from collections import defaultdict

from backend.content.keys import ContentKind
from backend.content.written import (
    Chapter,
    ChapterBrief,
    ConceptBrief,
    ContentT,
    Question,
    Quiz,
    Resource,
    Resources,
    Spent,
    Tutorial,
    Written,
)
from backend.settings import Settings
from workers.generators.faults import OfflineFaults
from workers.generators.offline_chapter import chapter_for, seeded_chapter
from workers.generators.prompt import Language, language_of
from workers.generators.protocol import Telling
from workers.generators.samples import Block, blocks_of, fill, minutes_for, seeded, words_of

_ORDERS = (
    ("why", "ready", "idea", "example", "practice", "mistakes", "summary"),
    ("ready", "why", "example", "idea", "mistakes", "practice", "summary"),
    ("why", "idea", "ready", "practice", "example", "mistakes", "summary"),
)
_CHAPTER_PIECE = 12  # characters
_QUESTIONS = {"easy": 2, "medium": 2, "hard": 1}
_SUMMARIES: dict[Language, str] = {
    "en": "After this tutorial you can explain $concept in your own words, place it within $module, and try it "
          "in a small case. It also names the mistakes that are made most often.",
    "zh": "学完本教程，你能用自己的话解释$concept，说明它在“$module”中的位置，并在小例子中尝试使用；同时了解最常见的错误。",
}
_SEARCHES: dict[Language, tuple[str, ...]] = {
    "en": ("$concept explained", "$concept worked example", "$module $concept exercises"),
    "zh": ("$concept 入门", "$concept 例题", "$module $concept 练习"),
}


class OfflineGenerator:
    """Takes about settings.offline_delay_seconds for a text, and fails as settings.offline_faults says.

    Which attempt fails is drawn from the concept and the number of the call. The numbers begin at `first_call`; left
    out, at the clock, because each RQ job is a fork: from zero, a retry would draw the same fault again for ever.
    """

    name = "offline"
    is_sample = True

    def __init__(self, settings: Settings, *, first_call: int | None = None) -> None:
        """Raises ValueError when REDRIVE_OFFLINE_FAULTS is malformed."""
        self._delay_seconds = settings.offline_delay_seconds
        self._faults = OfflineFaults.parse(settings.offline_faults)
        self._calls = itertools.count(time.time_ns() if first_call is None else first_call)

    async def write_tutorial(self, brief: ConceptBrief, spent: Spent | None = None) -> Written[Tutorial]:
        await self._work(ContentKind.TUTORIAL, brief, spent or Spent())
        return self._written(tutorial_for(brief))

    async def write_resources(self, brief: ConceptBrief, spent: Spent | None = None) -> Written[Resources]:
        await self._work(ContentKind.RESOURCES, brief, spent or Spent())
        return self._written(resources_for(brief))

    async def write_quiz(self, brief: ConceptBrief, spent: Spent | None = None) -> Written[Quiz]:
        await self._work(ContentKind.QUIZ, brief, spent or Spent())
        return self._written(quiz_for(brief))

    async def write_chapter(self, brief: ChapterBrief, spent: Spent | None = None, telling: Telling | None = None) -> Written[Chapter]:
        """Told piece by piece. It takes as long as eight other texts: somebody looks on."""
        (spent or Spent()).calls += 1
        chapter = chapter_for(brief)
        fault = self._faults.draw(seeded_chapter(brief, "fault", next(self._calls)))
        told = chapter.content[:len(chapter.content) // 2] if fault else chapter.content
        if telling:
            telling.begin()
        for start in range(0, len(told), _CHAPTER_PIECE):
            await asyncio.sleep(8 * self._delay_seconds * _CHAPTER_PIECE / len(chapter.content))
            if telling:
                telling.tell(chapter.title, told[start:start + _CHAPTER_PIECE])
        if fault:
            raise fault
        return self._written(chapter)

    async def close(self) -> None:
        """Nothing is held open."""

    async def _work(self, kind: ContentKind, brief: ConceptBrief, spent: Spent) -> None:
        call = next(self._calls)
        spent.calls += 1
        await asyncio.sleep(delay_seconds_for(kind, brief, average_seconds=self._delay_seconds))
        fault = self._faults.draw(seeded(brief, kind, "fault", call))
        if fault:
            raise fault

    def _written(self, content: ContentT) -> Written[ContentT]:
        return Written(content=content, generator=self.name, is_sample=self.is_sample)


def delay_seconds_for(kind: ContentKind, brief: ConceptBrief, *, average_seconds: float) -> float:
    """The average, 40 % more or less, the same for the same text."""
    return average_seconds * seeded(brief, kind, "delay").uniform(0.6, 1.4)


def tutorial_for(brief: ConceptBrief) -> Tutorial:
    language = language_of(brief)
    chance = seeded(brief, ContentKind.TUTORIAL)
    words = words_of(brief, language)
    alternatives = _by_name(blocks_of(ContentKind.TUTORIAL, language))
    sections = ["notice", *chance.choice(_ORDERS)]
    if not words["prerequisites"]:
        sections[sections.index("ready")] = "ready-none"
    body = "\n\n".join(fill(chance.choice(alternatives[section]), words) for section in sections)
    return Tutorial(
        title=words["Concept"], summary=fill(_SUMMARIES[language], words), body_markdown=body,
        estimated_minutes=minutes_for(brief))


def resources_for(brief: ConceptBrief) -> Resources:
    language = language_of(brief)
    chance = seeded(brief, ContentKind.RESOURCES)
    words = words_of(brief, language)
    blocks = blocks_of(ContentKind.RESOURCES, language)
    chosen = sorted(chance.sample(range(len(blocks)), k=chance.randint(4, 6)))
    return Resources(
        resources=[_resource(blocks[position], words) for position in chosen],
        search_queries=[fill(phrase, words) for phrase in _SEARCHES[language]])


def quiz_for(brief: ConceptBrief) -> Quiz:
    language = language_of(brief)
    chance = seeded(brief, ContentKind.QUIZ)
    words = words_of(brief, language)
    alternatives = _by_name(blocks_of(ContentKind.QUIZ, language))
    return Quiz(questions=[
        _question((difficulty, block), words, chance)
        for difficulty, count in _QUESTIONS.items()
        for block in chance.sample(alternatives[difficulty], k=count)
    ])


def _by_name(blocks: tuple[Block, ...]) -> dict[str, list[str]]:
    alternatives: dict[str, list[str]] = defaultdict(list)
    for name, text in blocks:
        alternatives[name].append(text)
    return alternatives


def _resource(block: Block, words: dict[str, str]) -> Resource:
    kind, text = block
    title, url, description = fill(text, words).splitlines()
    return Resource.model_validate({"title": title, "url": url, "type": kind, "description": description})


def _question(block: Block, words: dict[str, str], chance: random.Random) -> Question:
    """From lines that begin with ? (question), + (right), - (wrong) and ! (explanation)."""
    difficulty, text = block
    lines = [(line[0], line[2:]) for line in fill(text, words).splitlines()]
    answers = [line for line in lines if line[0] in "+-"]
    chance.shuffle(answers)
    told = dict(lines)
    return Question.model_validate({
        "question": told["?"],
        "options": [answer for _mark, answer in answers],
        "correct_options": [position for position, (mark, _answer) in enumerate(answers) if mark == "+"],
        "explanation": told["!"],
        "difficulty": difficulty,
    })
