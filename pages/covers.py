"""Covers: the gallery, problems first; one cover with its versions; making what is missing."""

import streamlit as st

from dashboard.components import cover_bar, cover_detail, cover_filters, cover_gallery, retry_bar
from dashboard.components.header import show_header, show_title
from dashboard.components.live_operations import show_live
from dashboard.components.plan_dialog import show_plan_dialog
from dashboard.components.stop_dialog import show_stop_dialog
from dashboard.cover_callbacks import generate_on_opening
from dashboard.cover_reads import cover
from dashboard.reads import crew
from dashboard.texts import _

asked, roadmap_id = cover_filters.read_filter(), cover_filters.asked_cover()
show_title(_("Covers"))
with st.spinner(_("Reading covers …")):
    generate_on_opening()
    found, who = cover(roadmap_id) if roadmap_id else None, crew()
    page = None if found else cover_gallery.read_page(asked)
    chosen = () if found else retry_bar.prune_selection()
show_header((found or page).as_of, who)
show_live()
if found:
    cover_detail.show_back()
    cover_detail.show_cover(found)
else:
    if roadmap_id:
        cover_detail.show_unknown(roadmap_id)
    cover_bar.show_offer()
    cover_filters.show_filters(asked, page)
    if page.rows:
        cover_bar.show_bar(asked, page, chosen)
        cover_filters.show_paging(asked, page)
        cover_gallery.show_gallery(asked, page)
    else:
        cover_filters.show_nothing_found(asked)
show_plan_dialog()
show_stop_dialog()
