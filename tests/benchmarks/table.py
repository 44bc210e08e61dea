"""Figures of the benchmarks beside their targets, and the table that is printed at the end."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. Without a target it is told for information only."""

    what: str
    figure: float
    unit: str
    target: float | None = None
    is_at_least: bool = False  # the target is a floor, else a ceiling

    @property
    def ratio(self) -> float | None:
        return self.figure / self.target if self.target else None

    @property
    def is_met(self) -> bool | None:
        if self.target is None:
            return None
        return self.figure >= self.target if self.is_at_least else self.figure <= self.target


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed. Raises ValueError without values."""
    if not values:
        raise ValueError("nothing was measured")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def median(values: Sequence[float]) -> float:
    return percentile(values, 0.5)


def lines_of(figures: Sequence[Figure]) -> list[str]:
    """The table: what, target, figure, ratio figure/target, ok."""
    rows = [("what", "target", "figure", "ratio", "ok")] + [_cells(figure) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join((
        row[0].ljust(widths[0]), *(row[column].rjust(widths[column]) for column in (1, 2, 3)), row[4])).rstrip() for row in rows]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def _cells(figure: Figure) -> tuple[str, str, str, str, str]:
    target = "" if figure.target is None else f"{'>=' if figure.is_at_least else '<='} {_number(figure.target)} {figure.unit}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return (figure.what, target.rstrip(), f"{_number(figure.figure)} {figure.unit}".rstrip(), ratio,
            {True: "yes", False: "NO", None: ""}[figure.is_met])


def _number(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
