"""What an action is aimed at: a filter over the problems, or an explicit set of content keys. Never empty by accident."""

from dataclasses import dataclass, fields, replace
from typing import Any

from backend.content.keys import ContentKey, ContentKind
from backend.content.problems import ProblemKind


@dataclass(frozen=True, slots=True)
class ProblemFilter:
    """Which problems; an empty field does not narrow."""

    problem_kinds: tuple[ProblemKind, ...] = ()
    kinds: tuple[ContentKind, ...] = ()
    owner_id: str = ""
    cause_id: str = ""
    minimum_age_seconds: int = 0
    minimum_attempts: int = 0
    text: str = ""

    @property
    def is_everything(self) -> bool:
        return replace(self, text=self.text.strip()) == ProblemFilter()


@dataclass(frozen=True, slots=True)
class Scope:
    """Exactly one of filter and keys. Make one with `everything`, `of` or `matching`."""

    filter: ProblemFilter | None = None
    keys: tuple[ContentKey, ...] = ()

    def __post_init__(self) -> None:
        if (self.filter is None) == (not self.keys):
            raise ValueError("a scope is a filter or content keys; for all problems say Scope.everything()")

    @classmethod
    def everything(cls) -> "Scope":
        return cls(ProblemFilter())

    @classmethod
    def matching(cls, problem_filter: ProblemFilter) -> "Scope":
        """Raises ValueError when the filter narrows nothing: everything must be said by name."""
        if problem_filter.is_everything:
            raise ValueError("the filter is empty; for all problems say Scope.everything()")
        return cls(problem_filter)

    @classmethod
    def of(cls, *keys: ContentKey) -> "Scope":
        return cls(keys=tuple(dict.fromkeys(keys)))

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Scope":
        """The filter of a record. Raises KeyError for a scope of keys: only their number is kept here."""
        given = dict(stored["filter"])
        for name, kind in (("problem_kinds", ProblemKind), ("kinds", ContentKind)):
            given[name] = tuple(kind(value) for value in given.get(name, ()))
        known = {field.name for field in fields(ProblemFilter)}
        return cls(ProblemFilter(**{name: value for name, value in given.items() if name in known}))

    def as_json(self) -> dict[str, object]:
        """The scope for the record; keys are stored as items, so only their number is kept here."""
        if self.filter is None:
            return {"keys": len(self.keys)}
        values = {field.name: getattr(self.filter, field.name) for field in fields(self.filter)}
        return {"filter": {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value}}
