"""One cover: what is published beside another version, all versions, making one anew with a note, and uploading one's own."""

import streamlit as st

from backend.content.covers import CoverVersionState
from backend.content.keys import ContentKey, ContentKind
from backend.i18n import _
from backend.views.covers import PROBLEM_STATES, CoverState, CoverView, ShownVersion
from dashboard import callbacks, cover_callbacks, cover_reads, session
from dashboard.boundary import guarded_part
from dashboard.components import blocks, cover_upload
from dashboard.components.cover_filters import close_cover
from dashboard.components.cover_words import COVER_STATES, VERSION_STATES, credit, image, maker, reason, version_line
from dashboard.components.permission import may_retry, retry_help
from dashboard.navigation import roadmap_page
from dashboard.untrusted import escaped, plain

POLL_SECONDS = 2
LISTED_VERSIONS = 12


def show_unknown(roadmap_id: str) -> None:
    st.warning(_("There is no roadmap with the id **{roadmap_id}**.").format(roadmap_id=plain(roadmap_id)), icon=":material/search_off:")


def show_back() -> None:
    st.button(_("All covers"), key="all-covers", icon=":material/grid_view:", type="tertiary", on_click=close_cover)


def show_cover(found: CoverView) -> None:
    """Everything about one cover; polled only while something of it is being made."""
    is_live = _is_live(found)
    st.fragment(_live, run_every=POLL_SECONDS if is_live else None)(found.card.roadmap_id, is_live)
    if found.card.state is CoverState.SUCCESS:
        _offer_regeneration(found, is_live)
    cover_upload.show_upload(found)


def _is_live(found: CoverView) -> bool:
    return found.card.state is CoverState.MAKING or any(
        shown.version.state is CoverVersionState.GENERATING for shown in found.versions)


def _live(roadmap_id: str, was_live: bool) -> None:
    guarded_part(lambda: _show(roadmap_id, was_live))


def _show(roadmap_id: str, was_live: bool) -> None:
    found = cover_reads.cover(roadmap_id)
    if found is None or _is_live(found) != was_live:
        st.rerun()  # once: polling begins or stops
    _show_head(found)
    _show_pair(found)
    _list_versions(found)


def _show_head(found: CoverView) -> None:
    card = found.card
    st.subheader(plain(card.title or card.roadmap_id), anchor=False)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(f'<div class="rd rd-row">{blocks.toned(COVER_STATES[card.state])}'
                f'<span class="rd-quiet rd-wrap">{escaped(reason(card))}</span></div>', width="content")
        if card.state in PROBLEM_STATES:
            st.button(_("Make it now"), key=f"retry-cover:{card.roadmap_id}", type="primary", icon=":material/replay:",
                      disabled=not may_retry(), on_click=callbacks.retry_one,
                      args=(ContentKey(ContentKind.COVER, card.roadmap_id), _("cover of {title}").format(title=card.title)),
                      help=retry_help(_("Make this cover; it can be undone for some seconds.")))
        st.page_link(roadmap_page(), label=_("Roadmap"), query_params={"id": card.roadmap_id}, width="content", icon=":material/grid_on:")


def _show_pair(found: CoverView) -> None:
    """What is published on the left; another version on the right, to compare."""
    other = _compared(found)
    left, right = st.columns(2, gap="medium")
    with left:
        published = _("Published now") if found.url else _("Nothing is published")
        st.html(f'<figure class="rd rd-figure"><figcaption class="rd-strong">{escaped(published)}</figcaption>'
                f'{image(found.card.picture, _("There is no cover yet."), is_large=True)}{_lines(found.card.picture)}</figure>')
    with right:
        if other is None:
            st.html(f'<figure class="rd rd-figure"><figcaption class="rd-strong">{escaped(_("Beside it"))}</figcaption>'
                    f'<div class="rd-cover rd-quiet rd-small">{escaped(_empty_words(found))}</div></figure>')
            return
        st.html(f'<figure class="rd rd-figure"><figcaption class="rd-strong">{escaped(_("Beside it"))}: '
                f'<span class="rd-quiet">{escaped(version_line(other))}</span></figcaption>'
                f'{image(other.picture, _version_words(other), is_large=True)}{_lines(other.picture)}</figure>')
        if other.version.state is CoverVersionState.READY:
            st.button(_("Publish this one instead"), key=f"choose-{other.version.version_id}", type="primary", icon=":material/check:",
                      disabled=not may_retry() or found.card.state is CoverState.MAKING, on_click=cover_callbacks.choose,
                      args=(other.version.version_id, found.url),
                      help=retry_help(_("It is shown to readers at once. The one that is published now is kept.")))


def _compared(found: CoverView) -> ShownVersion | None:
    """The version that the URL names, else the newest that is not published."""
    asked = session.url_value("version")
    others = [shown for shown in found.versions if not shown.version.is_published]
    return next((shown for shown in others if shown.version.version_id == asked), others[0] if others else None)


def _empty_words(found: CoverView) -> str:
    if found.card.state is CoverState.MAKING:
        return _("A cover is being made.")
    return _("There is no other version yet. Make one below, or upload a picture.")


def _version_words(shown: ShownVersion) -> str:
    if shown.version.state is CoverVersionState.FAILED:
        return _("Failed: {error}").format(error=shown.version.error_message or _("no error recorded"))
    return _("It is being made.")


def _lines(picture) -> str:
    """Under a picture: its alt text, who made it, who is to be named."""
    if not picture.large:
        return ""
    made = _("Made by {maker}").format(maker=maker(picture)) if picture.generator else ""
    made += _(": a sample") if made and picture.is_sample else ""
    told = [_("Alt text: {words}").format(words=picture.alt_text) if picture.alt_text else _("It has no alt text."), made]
    named = credit(picture)
    return (f'<div class="rd-small rd-quiet rd-wrap">{"<br>".join(escaped(words) for words in told if words)}'
            f'{"<br>" + named if named else ""}</div>')


def _list_versions(found: CoverView) -> None:
    if len(found.versions) < 2:
        return
    st.markdown(f"**{_('Versions, newest first')}**")
    shown = _compared(found)
    with st.grid(min_column_width=190, gap="small"):
        for version in found.versions[:LISTED_VERSIONS]:
            _show_version(version, is_compared=shown is not None and shown.version.version_id == version.version.version_id)
    if len(found.versions) > LISTED_VERSIONS:
        st.caption(_("and {count} older ones").format(count=len(found.versions) - LISTED_VERSIONS))


def _show_version(shown: ShownVersion, *, is_compared: bool) -> None:
    version = shown.version
    with st.container(gap="xsmall", key=f"version-{version.version_id}"):
        look = blocks.toned(VERSION_STATES[version.state], _("Published") if version.is_published else "")
        st.html(f'<div class="rd rd-small">{image(shown.picture, _version_words(shown))}'
                f'<div>{look}</div><div class="rd-quiet rd-wrap">{escaped(version_line(shown))}</div></div>')
        if not version.is_published:
            st.button(_("Shown beside") if is_compared else _("Compare"), key=f"compare-{version.version_id}", type="tertiary",
                      disabled=is_compared, on_click=session.write_url, args=("version", version.version_id))


def _offer_regeneration(found: CoverView, is_live: bool) -> None:
    roadmap_id = found.card.roadmap_id
    note_key = f"cover-note-{roadmap_id}"
    wait = cover_reads.wait_words(1)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(_("Make another version"), key=note_key, max_chars=300, width=460,
                      placeholder=_("What should be different? (optional)"))
        st.button(_("Make it"), key=f"regenerate-{roadmap_id}", icon=":material/brush:", disabled=not may_retry() or is_live or bool(wait),
                  on_click=cover_callbacks.regenerate, args=(roadmap_id, note_key),
                  help=wait or retry_help(_("A version beside the published cover; nothing changes until you publish it.")))
