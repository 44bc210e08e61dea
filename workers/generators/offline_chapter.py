"""Sample chapters without a model, out of `samples/chapter.*.md`: the same for the same chapter and note, in every process."""

import hashlib
import random
from collections import defaultdict

from backend.content.keys import ContentKind
from backend.content.written import Chapter, ChapterBrief
from workers.generators.chapter_prompt import chapter_language
from workers.generators.prompt import one_line
from workers.generators.samples import blocks_of, fill

_SCENES = 5
_LONGEST_WORDS = 80


def chapter_for(brief: ChapterBrief) -> Chapter:
    language = chapter_language(brief)
    chance = seeded_chapter(brief)
    blocks: dict[str, list[str]] = defaultdict(list)
    for name, text in blocks_of(ContentKind.CHAPTER, language):
        blocks[name].append(text)
    words = {
        "novel": one_line(brief.novel_title)[:_LONGEST_WORDS], "number": str(brief.chapter_number),
        "choice": one_line(brief.choice)[:_LONGEST_WORDS], "note": one_line(brief.note)[:_LONGEST_WORDS],
    }
    parts = ["notice", *(["after-choice"] if brief.choice else ["opening"])]
    paragraphs = [fill(chance.choice(blocks[part]), words) for part in parts]
    paragraphs += [fill(text, words) for text in chance.sample(blocks["scene"], k=min(_SCENES, len(blocks["scene"])))]
    options = [fill(text, words).splitlines() for text in chance.sample(blocks["option"], k=3)]
    return Chapter.model_validate({
        "title": fill(chance.choice(blocks["title"]), words), "content": "\n\n".join([*paragraphs, fill(blocks["ending"][0], words)]),
        "options": [{"text": text, "impact": impact} for text, impact in options]})


def seeded_chapter(brief: ChapterBrief, *marks: object) -> random.Random:
    name = "\n".join(map(str, (brief.novel_id, brief.chapter_number, brief.note, brief.model, brief.temperature, *marks)))
    return random.Random(hashlib.sha256(name.encode("utf-8", "replace")).digest())
