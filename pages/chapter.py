"""Chapter: one chapter of a novel to read, to watch while it is written, to write again, and to compare with its drafts."""

import streamlit as st

from dashboard.chapter_reads import chapter, novel
from dashboard.components import chapter_body, chapter_compare, chapter_head, chapter_side
from dashboard.components.header import as_of, show_header, show_title
from dashboard.components.live_operations import show_live
from dashboard.components.plan_dialog import show_plan_dialog
from dashboard.components.regenerate_dialog import show_regenerate_dialog
from dashboard.components.stop_dialog import show_stop_dialog
from dashboard.reads import crew
from dashboard.texts import _

novel_id, number = chapter_head.asked_chapter()
show_title(_("Chapter"))
with st.spinner(_("Reading the chapter …")):
    row = novel(novel_id) if novel_id else None
    found, who = chapter(novel_id, number) if row and number else None, crew()
    compared = chapter_compare.asked_comparison(found)
show_header(as_of(found), who)
chapter_head.show_back()
show_live()
if found is None:
    chapter_head.show_none(novel_id, row)
else:
    chapter_head.show_head(found, row)
    if compared:
        chapter_compare.show_comparison(found, compared)
    else:
        middle, side = st.columns([5, 2], gap="large")
        with middle:
            chapter_body.show_body(found)
            chapter_body.show_drafts_being_written(found)
            chapter_body.show_others(found, row)
        with side:
            chapter_side.show_side(found)
show_plan_dialog()
show_stop_dialog()
show_regenerate_dialog()
