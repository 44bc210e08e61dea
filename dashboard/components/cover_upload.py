"""Uploading a picture of one's own as a cover."""

from pathlib import Path

import streamlit as st

from backend.content.pictures import LEAST_PIXELS, MOST_BYTES, MOST_PIXELS
from backend.i18n import _
from backend.views.covers import CoverView
from dashboard import cover_callbacks
from dashboard.components.permission import may_retry, retry_help

TYPES = ["png", "jpg", "jpeg", "webp", "gif"]
_component = st.components.v2.component("redrive_cover_upload", js=Path(__file__).with_suffix(".js").read_text())


def show_upload(found: CoverView, *, is_live: bool) -> None:
    """The field empties itself once a picture was taken: its key counts the versions. None is published while another is on its way."""
    _component(key="cover-upload")
    roadmap_id = found.card.roadmap_id
    file_key, alt_key = f"cover-file-{roadmap_id}-{len(found.versions)}", f"cover-alt-{roadmap_id}"
    with st.expander(_("Upload a picture of your own"), icon=":material/upload:", key=f"upload-{roadmap_id}"):
        st.caption(_("PNG, JPEG, WebP or GIF, at least {width} x {height} pixels, at most {millions} million of them and {most} MB. "
                     "It is cropped around its middle to 1200 x 630, and its metadata is removed.").format(
                         width=LEAST_PIXELS[0], height=LEAST_PIXELS[1], millions=MOST_PIXELS // 1_000_000, most=MOST_BYTES // 1024 ** 2))
        file = st.file_uploader(_("Picture"), type=TYPES, key=file_key, max_upload_size=MOST_BYTES // 1024 ** 2,
                                disabled=not may_retry() or is_live)
        alt_text = st.text_input(_("Alt text: what is to be seen, for those who cannot see it"), key=alt_key, max_chars=300,
                                 live=True, disabled=not may_retry() or is_live)
        is_ready = file is not None and bool((alt_text or "").strip())
        st.button(_("Publish this picture"), key=f"upload-cover-{roadmap_id}", type="primary", icon=":material/upload:",
                  disabled=not (is_ready and may_retry()) or is_live, on_click=cover_callbacks.upload,
                  args=(roadmap_id, file_key, alt_key),
                  help=retry_help(_("It replaces the published cover, which is kept as a version.") if is_ready
                                  else _("Choose a picture and say what is to be seen on it.")))
