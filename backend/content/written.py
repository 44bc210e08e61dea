"""What a generator hands over and storage saves: a tutorial, a list of resources, a quiz, a chapter, a cover, and what it cost.

pydantic models, so that the same class is the JSON schema that a model is asked for and the check of its answer.
"""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tutorial(_Written):
    title: str = Field(description="Title of the tutorial")
    summary: str = Field(description="Two or three sentences that say what the reader will be able to do")
    body_markdown: str = Field(description="The tutorial itself in Markdown")
    estimated_minutes: int = Field(description="Reading and practice time in minutes")


class Resource(_Written):
    title: str
    url: str = Field(description="Full https address")
    type: Literal["article", "video", "book", "course", "documentation", "tool", "exercise"]
    description: str = Field(description="Why this helps, in one sentence")


class Resources(_Written):
    resources: list[Resource]
    search_queries: list[str] = Field(description="Search phrases that lead to more of this kind")


class Question(_Written):
    question: str
    options: list[str] = Field(description="Two to six answers to choose from")
    correct_options: list[int] = Field(description="Positions of the right answers, from 0")
    explanation: str
    difficulty: Literal["easy", "medium", "hard"]


class Quiz(_Written):
    questions: list[Question]


class Choosable(_Written):
    text: str = Field(description="What the reader may choose to do, in one sentence")
    impact: str = Field(description="What follows from it, for the writer of the next chapter")


class Chapter(_Written):
    title: str
    content: str = Field(description="The chapter itself: paragraphs of plain text")
    options: list[Choosable] = Field(description="Two to four ways to go on")


class Cover(_Written):
    """A picture is bytes here and base64 in JSON, so that a spill can hold it."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    large: bytes      # WebP, 1200 x 630 pixels
    thumbnail: bytes  # WebP, 400 x 210 pixels
    alt_text: str
    attribution: str = ""      # "Photo by NAME on Unsplash": shown with the picture
    attribution_url: str = ""


ContentT = TypeVar("ContentT", Tutorial, Resources, Quiz, Chapter, Cover)


@dataclass(slots=True)
class Spent:
    """What one attempt has cost so far. Whoever asks the model adds to it, so that it is known however the attempt ends."""

    calls: int = 0  # requests that reached the endpoint
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    is_probe: bool = False  # it only finds out whether the provider is back: one call, and no further try


@dataclass(frozen=True, slots=True)
class Written(Generic[ContentT]):
    """A finished text with its price. Token counts are None when the endpoint does not tell them."""

    content: ContentT
    generator: str  # name of the model, or "offline"
    is_sample: bool
    calls: int = 1
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ConceptBrief:
    """What a generator is told about one concept of a roadmap."""

    roadmap_id: str
    roadmap_title: str
    language: str  # "en" or "zh": the language of the roadmap's own words
    stage_name: str
    module_name: str
    concept_id: str
    concept_name: str
    description: str = ""
    difficulty: str = ""
    estimated_hours: float | None = None
    prerequisites: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EarlierChapter:
    chapter_number: int
    title: str
    content: str
    chosen: str  # option that readers chose at its end, "" if none


@dataclass(frozen=True, slots=True)
class ChapterBrief:
    """What a generator is told about one chapter of a novel."""

    novel_id: str
    novel_title: str
    setting: str
    language: str
    chapter_number: int
    earlier: tuple[EarlierChapter, ...] = ()  # by number
    choice: str = ""         # of the chapter before
    choice_impact: str = ""
    note: str = ""           # of an editor, to the writer
    model: str = ""          # "": that of the settings
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class CoverBrief:
    """What a painter is told about one roadmap."""

    roadmap_id: str
    roadmap_title: str
    language: str  # "en" or "zh"
    topics: tuple[str, ...] = ()  # names of its stages and modules
    note: str = ""                # of an editor, to the painter
