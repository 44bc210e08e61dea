"""One cover: what is published beside another version, their alt texts, and making one anew with a note."""

import streamlit as st

from backend.content.covers import CoverVersionState
from backend.content.keys import ContentKey, ContentKind
from backend.i18n import _
from backend.views.covers import PROBLEM_STATES, CoverState, CoverView, ShownVersion
from dashboard import callbacks, cover_callbacks, cover_reads
from dashboard.boundary import guarded_part
from dashboard.components import blocks, cover_pictures, cover_upload, cover_versions
from dashboard.components.cover_filters import close_cover
from dashboard.components.cover_words import COVER_STATES, credit, image, maker, reason, version_line
from dashboard.components.permission import may_retry, retry_help
from dashboard.navigation import roadmap_page
from dashboard.untrusted import escaped, plain

POLL_SECONDS = 2
BUSY = _("Wait until the other version is made, or cancel it.")


def show_unknown(roadmap_id: str) -> None:
    st.warning(_("There is no roadmap with the id **{roadmap_id}**.").format(roadmap_id=plain(roadmap_id)), icon=":material/search_off:")


def show_back() -> None:
    st.button(_("All covers"), key="all-covers", icon=":material/grid_view:", type="tertiary", on_click=close_cover)


def show_cover(found: CoverView) -> None:
    """Everything about one cover; polled only while something of it is being made."""
    is_live = _is_live(found)
    st.fragment(_live, run_every=POLL_SECONDS if is_live else None)(found.card.roadmap_id, is_live)
    if found.card.state is CoverState.SUCCESS or found.card.state in PROBLEM_STATES:
        _offer_regeneration(found, is_live)
    cover_upload.show_upload(found, is_live=is_live)
    cover_pictures.ask_again()


def _is_live(found: CoverView) -> bool:
    return found.card.state is CoverState.MAKING or any(
        shown.version.state is CoverVersionState.GENERATING for shown in found.versions)


def _live(roadmap_id: str, was_live: bool) -> None:
    guarded_part(lambda: _show(roadmap_id, was_live))


def _show(roadmap_id: str, was_live: bool) -> None:
    found = cover_reads.cover(roadmap_id)
    if found is None or _is_live(found) != was_live:
        st.rerun()  # once: polling begins or stops
    _show_head(found, is_live=was_live)
    _show_pair(found, is_live=was_live)
    cover_versions.show_versions(found)


def _show_head(found: CoverView, *, is_live: bool) -> None:
    card = found.card
    st.subheader(plain(card.title or card.roadmap_id), anchor=False)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(f'<div class="rd rd-row">{blocks.toned(COVER_STATES[card.state])}'
                f'<span class="rd-quiet rd-wrap">{escaped(reason(card))}</span></div>', width="content")
        if card.state in PROBLEM_STATES and not is_live:
            st.button(_("Make it now"), key=f"retry-cover:{card.roadmap_id}", type="primary", icon=":material/replay:",
                      disabled=not may_retry(), on_click=callbacks.retry_one,
                      args=(ContentKey(ContentKind.COVER, card.roadmap_id), _("cover of {title}").format(title=card.title)),
                      help=retry_help(_("Make this cover; it can be undone for some seconds.")))
        st.page_link(roadmap_page(), label=_("Roadmap"), query_params={"id": card.roadmap_id}, width="content", icon=":material/grid_on:")


def _show_pair(found: CoverView, *, is_live: bool) -> None:
    """What is published on the left; another version on the right, to compare."""
    other = cover_versions.compared(found)
    left, right = st.columns(2, gap="medium")
    with left:
        published = _("Published now") if found.url else _("Nothing is published")
        st.html(f'<figure class="rd rd-figure"><figcaption class="rd-strong">{escaped(published)}</figcaption>'
                f'{image(found.card.picture, _("There is no cover yet."), is_large=True)}{_lines(found.card.picture)}</figure>')
        _offer_words(next((shown for shown in found.versions if shown.version.is_published and shown.picture == found.card.picture), None))
    with right:
        if other is None:
            st.html(f'<figure class="rd rd-figure"><figcaption class="rd-strong">{escaped(_("Beside it"))}</figcaption>'
                    f'<div class="rd-cover rd-quiet rd-small">{escaped(_empty_words(found))}</div></figure>')
            return
        st.html(f'<figure class="rd rd-figure"><figcaption class="rd-strong">{escaped(_("Beside it"))}: '
                f'<span class="rd-quiet">{escaped(version_line(other))}</span></figcaption>'
                f'{image(other.picture, cover_versions.words(other), is_large=True)}{_lines(other.picture)}</figure>')
        if other.version.state is CoverVersionState.READY:
            st.button(_("Publish this one instead"), key=f"choose-{other.version.version_id}", type="primary", icon=":material/check:",
                      disabled=not may_retry() or is_live, on_click=cover_callbacks.choose, args=(other.version.version_id, found.url),
                      help=BUSY if is_live else retry_help(_("It is shown to readers at once. The one that is published now is kept.")))
        _offer_words(other)


def _offer_words(shown: ShownVersion | None) -> None:
    """The alt text of a picture can be mended; of what the platform published before there is no version to write it to."""
    if shown is None or shown.version.state is not CoverVersionState.READY:
        return
    version = shown.version
    key = f"alt-{version.version_id}"
    with st.popover(_("Edit alt text"), icon=":material/edit:", type="tertiary", disabled=not may_retry(), key=f"edit-{key}"):
        st.text_area(_("What is to be seen, for those who cannot see it"), value=version.alt_text, key=key, max_chars=300, width=360)
        st.button(_("Save"), key=f"save-{key}", type="primary", on_click=cover_callbacks.describe, args=(version.version_id, key))


def _empty_words(found: CoverView) -> str:
    if found.card.state is CoverState.MAKING:
        return _("A cover is being made.")
    return _("There is no other version yet. Make one below, or upload a picture.")


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


def _offer_regeneration(found: CoverView, is_live: bool) -> None:
    """With words for the painter: another version of what is there, or what a broken cover should be like."""
    roadmap_id, is_there = found.card.roadmap_id, found.card.state is CoverState.SUCCESS
    note_key = f"cover-note-{roadmap_id}"
    wait = cover_reads.wait_words(1)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(_("Make another version") if is_there else _("Make it by a note"), key=note_key, max_chars=300, width=460,
                      placeholder=_("What should be different? (optional)") if is_there else _("What should it show, or leave out?"))
        st.button(_("Make it") if is_there else _("Make it by this note"), key=f"regenerate-{roadmap_id}", icon=":material/brush:",
                  disabled=not may_retry() or is_live or bool(wait), on_click=cover_callbacks.regenerate,
                  args=(roadmap_id, note_key, is_there),
                  help=wait or retry_help(_("A version beside the published cover; nothing changes until you publish it.") if is_there
                                          else _("The painter is told these words too. It is published when it is there.")))
