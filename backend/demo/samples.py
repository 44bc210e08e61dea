"""Demo tutorials, resources and quizzes, made from a concept's own words. Deterministic, in English and Chinese."""

from dataclasses import dataclass
from zlib import crc32

from backend.content.written import Question, Quiz, Resource, Resources, Tutorial
from backend.demo.catalogue import Concept, Roadmap
from backend.demo.sample_words import WORDS, Words


@dataclass(frozen=True, slots=True)
class Sample:
    """What stands for one concept when everything went well."""

    tutorial: Tutorial
    resources: Resources
    quiz: Quiz


def write_sample(roadmap: Roadmap, concept: Concept) -> Sample:
    """The same concept always gives the same texts."""
    words = WORDS[roadmap.language]
    return Sample(_tutorial(roadmap, concept, words), _resources(roadmap, concept, words), _quiz(roadmap, concept, words))


def _tutorial(roadmap: Roadmap, concept: Concept, words: Words) -> Tutorial:
    names = {other.concept_id: other.name for other in roadmap.concepts}
    before = words.comma.join(names[needed] for needed in concept.prerequisites)
    seed = _seed(concept)
    steps = "\n".join(
        f"{number}. {_pick(words.steps, seed + number).format(keyword=keyword)}"
        for number, keyword in enumerate(concept.keywords, start=1))
    facts = {
        "name": concept.name, "description": concept.description, "roadmap": roadmap.title, "stage": concept.stage_name,
        "module": concept.module_name, "hours": f"{concept.estimated_hours:g}", "before": before,
        "keywords": words.comma.join(concept.keywords), "first": concept.keywords[0], "last": concept.keywords[-1],
        "steps": steps,
    }
    parts = (
        "# {name}", _pick(words.openings, seed), "{description}",
        f"## {words.before_heading}", words.before if before else words.nothing_before,
        f"## {words.steps_heading}", "{steps}",
        f"## {words.practice_heading}", _pick(words.practices, seed // 7),
        f"> {words.notice}",
    )
    body = "\n\n".join(part.format(**facts) for part in parts)
    return Tutorial(
        title=concept.name, summary=words.summary.format(**facts), body_markdown=body + "\n",
        estimated_minutes=round(concept.estimated_hours * 15) + seed % 4 * 5)


def _resources(roadmap: Roadmap, concept: Concept, words: Words) -> Resources:
    seed = _seed(concept)
    kinds = list(words.resources)
    picked = [kinds[(seed + step) % len(kinds)] for step in range(3 + seed % 3)]
    resources = [
        Resource(
            title=words.resources[kind][0].format(name=concept.name), type=kind,
            url=f"https://example.org/{roadmap.roadmap_id}/{concept.concept_id}/{kind}",
            description=words.resources[kind][1].format(name=concept.name, keyword=concept.keywords[0]))
        for kind in picked]
    searches = [f"{concept.name} {keyword}" for keyword in concept.keywords[:2]]
    return Resources(resources=resources, search_queries=searches)


def _quiz(roadmap: Roadmap, concept: Concept, words: Words) -> Quiz:
    """Three questions, each with one right answer among words of neighbouring concepts."""
    neighbours = _neighbours(roadmap, concept)
    asked = [
        _question(words.ask_description.format(name=concept.name), concept.description,
                  [other.description for other in neighbours], "easy", concept, words),
        _question(words.ask_keyword.format(name=concept.name), words.comma.join(concept.keywords),
                  [words.comma.join(other.keywords) for other in neighbours], "medium", concept, words),
        _question(words.ask_place.format(name=concept.name, roadmap=roadmap.title), _place(concept, words),
                  sorted({_place(other, words) for other in roadmap.concepts} - {_place(concept, words)})[:3],
                  "hard", concept, words),
    ]
    return Quiz(questions=asked)


def _question(text: str, right: str, wrong: list[str], difficulty: str, concept: Concept, words: Words) -> Question:
    position = (_seed(concept) + len(text)) % (len(wrong) + 1)
    options = [*wrong[:position], right, *wrong[position:]]
    return Question(
        question=text, options=options, correct_options=[position], difficulty=difficulty,
        explanation=words.explanation.format(name=concept.name, right=right.rstrip(".。")))


def _neighbours(roadmap: Roadmap, concept: Concept) -> list[Concept]:
    at = roadmap.concepts.index(concept)
    return [roadmap.concepts[(at + step) % len(roadmap.concepts)] for step in (1, 3, 5)]


def _place(concept: Concept, words: Words) -> str:
    return words.place.format(stage=concept.stage_name, module=concept.module_name)


def _seed(concept: Concept) -> int:
    return crc32(concept.concept_id.encode())


def _pick(choices: tuple[str, ...], seed: int) -> str:
    return choices[seed % len(choices)]
