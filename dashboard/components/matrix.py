"""The coverage matrix: every concept by every kind of content, grouped by stage and module.

A component of our own: 120 buttons of Streamlit cost a second a run, a canvas table is out of reach for a screen reader.
"""

from itertools import groupby
from pathlib import Path

import streamlit as st

from backend.content import wording
from backend.content.keys import CONCEPT_KINDS, ContentKey
from backend.content.problems import KeyState
from backend.i18n import _
from backend.views.roadmap import Cell, ConceptRow, RoadmapView
from dashboard import reads, session
from dashboard.boundary import guarded_part
from dashboard.components.roadmap_picker import asked_cell, choose_cell
from dashboard.palette import cell_look

POLL_SECONDS = 2
TOLD_CHARACTERS = 300
_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "redrive_matrix", html='<div class="modules"></div>', css=(_HERE / "matrix.css").read_text(), js=(_HERE / "matrix.js").read_text())


def show_matrix(found: RoadmapView) -> None:
    """Cells turn green one by one while something of this roadmap is being written."""
    if not found.concepts:
        return
    is_working = bool(found.state_counts[KeyState.IN_PROGRESS])
    st.fragment(_live_matrix, run_every=POLL_SECONDS if is_working else None)(found.roadmap_id)


def _live_matrix(roadmap_id: str) -> None:
    guarded_part(lambda: _show(roadmap_id))


def _show(roadmap_id: str) -> None:
    found = reads.read_roadmap(roadmap_id)
    if found is None:
        st.rerun()
    widget_key = f"matrix-{roadmap_id}"
    result = _component(data=matrix_data(found, asked_cell(roadmap_id)), key=widget_key, on_chosen_change=lambda: _chosen(widget_key))
    if result.chosen:
        st.rerun()  # the detail beside the matrix is another part of the page


def _chosen(widget_key: str) -> None:
    state = session.widget_value(widget_key)
    if state and state.chosen:
        choose_cell(ContentKey.parse(state.chosen))


def matrix_data(found: RoadmapView, chosen: ContentKey | None) -> dict:
    """What the browser draws: stages -> modules -> concepts -> cells, in the order of framework_data."""
    return {
        "kinds": [wording.CONTENT_KINDS[kind] for kind in CONCEPT_KINDS],
        "chosen": str(chosen) if chosen else "",
        "stages": [
            {"name": stage, "modules": [
                {"name": module, "concepts": [_concept(row) for row in in_module]}
                for module, in_module in groupby(in_stage, key=lambda row: row.module_name)]}
            for stage, in_stage in groupby(found.concepts, key=lambda row: row.stage_name)]}


def _concept(row: ConceptRow) -> dict:
    return {"name": row.name, "cells": [_cell(row, row.cells[kind]) for kind in CONCEPT_KINDS]}


def _cell(row: ConceptRow, cell: Cell) -> dict:
    look = cell_look(cell.state, cell.problem.kind if cell.problem else None)
    told = _("{kind} of {concept}: {state}").format(kind=wording.CONTENT_KINDS[cell.key.kind], concept=row.name, state=look.word)
    if cell.state is KeyState.PROBLEM and cell.reason:
        told += ". " + cell.reason[:TOLD_CHARACTERS]
    return {"key": str(cell.key), "symbol": look.symbol, "word": look.word, "colour": look.colour, "told": told,
            "calm": cell.state in (KeyState.HEALTHY, KeyState.WAITING)}
