"""The versions of a cover, newest first: which is published, and which is shown beside it."""

import streamlit as st

from backend.content.covers import CoverVersionState
from backend.i18n import _
from backend.views.covers import CoverView, ShownVersion
from dashboard import address
from dashboard.components import blocks, paging
from dashboard.components.cover_words import VERSION_STATES, image, version_line
from dashboard.untrusted import escaped

PAGE_SIZE = 12
PAGE = "versions"  # its page, in the URL; "page" is that of the gallery


def compared(found: CoverView) -> ShownVersion | None:
    """The version that the URL names, else the newest that is not published."""
    asked = address.value("version")
    others = [shown for shown in found.versions if not shown.version.is_published]
    return next((shown for shown in others if shown.version.version_id == asked), others[0] if others else None)


def words(shown: ShownVersion) -> str:
    """In place of its picture."""
    if shown.version.state is CoverVersionState.FAILED:
        return _("Failed: {error}").format(error=shown.version.error_message or _("no error recorded"))
    return _("It is being made.")


def show_versions(found: CoverView) -> None:
    """A page of them; the published one is on every page."""
    if len(found.versions) < 2:
        return
    st.markdown(f"**{_('Versions, newest first')}**")
    total, beside = len(found.versions), compared(found)
    page = min(paging.asked_page(PAGE), paging.page_count(total, PAGE_SIZE))
    listed = found.versions[(page - 1) * PAGE_SIZE:page * PAGE_SIZE]
    published = tuple(shown for shown in found.versions if shown.version.is_published and shown not in listed)
    with st.grid(min_column_width=190, gap="small"):
        for shown in published + listed:
            _show(shown, is_compared=beside is not None and shown.version.version_id == beside.version.version_id)
    if total > PAGE_SIZE:
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            paging.show_place(page, total, PAGE_SIZE, len(listed), name=PAGE)


def _show(shown: ShownVersion, *, is_compared: bool) -> None:
    version = shown.version
    with st.container(gap="xsmall", key=f"version-{version.version_id}"):
        look = blocks.toned(VERSION_STATES[version.state], _("Published") if version.is_published else "")
        st.html(f'<div class="rd rd-small">{image(shown.picture, words(shown))}'
                f'<div>{look}</div><div class="rd-quiet rd-wrap">{escaped(version_line(shown))}</div></div>')
        if not version.is_published:
            st.button(_("Shown beside") if is_compared else _("Compare"), key=f"compare-{version.version_id}", type="tertiary",
                      disabled=is_compared, on_click=address.write, args=("version", version.version_id))
