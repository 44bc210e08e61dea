"""What is saved for a concept, rendered as the untrusted text it is: nothing is fetched, no HTML is run."""

from typing import Any

import streamlit as st

from backend.content.keys import ContentKey, ContentKind
from backend.i18n import _
from backend.views.operations import ItemRow
from dashboard import reads
from dashboard.durations import age
from dashboard.untrusted import escaped, plain, safe_markdown, web_address

TEXT_HEIGHT = 460


def show_saved(key: ContentKey, written: ItemRow | None) -> None:
    """The saved tutorial, resources or quiz. `written` is the item that wrote it, when it was Redrive."""
    saved = reads.saved_content(key)
    if saved is None:
        st.caption(_("Nothing is saved."))
        return
    if written and written.is_sample:
        st.badge(_("Sample text by the offline writer"), icon=":material/science:", color="orange")
    version = _("version {version}, ").format(version=saved.version) if saved.version else ""
    st.caption(_("{version}saved {age}").format(version=version, age=age(saved.saved_at)))
    if key.kind is ContentKind.TUTORIAL:
        _show_tutorial(saved.text, saved.unreadable)
    elif not saved.entries:
        st.caption(_("The row is there, but it is empty."))
    elif key.kind is ContentKind.RESOURCES:
        st.html('<div class="rd">' + "".join(map(_resource, saved.entries)) + "</div>")
    else:
        with st.container(height=TEXT_HEIGHT):
            st.html('<div class="rd">' + "".join(_question(at, entry) for at, entry in enumerate(saved.entries, 1)) + "</div>")


def _show_tutorial(text: str | None, unreadable: str) -> None:
    if unreadable:
        st.warning(_("The text is recorded, but cannot be read: {reason}").format(reason=plain(unreadable)), icon=":material/broken_image:")
    elif not text or not text.strip():
        st.caption(_("The row is there, but there is no text."))
    else:
        with st.container(height=TEXT_HEIGHT):
            st.markdown(safe_markdown(text), anchors=False)


def _word(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _resource(entry: dict[str, Any]) -> str:
    url = web_address(entry.get("url"))
    title = escaped(_word(entry, "title") or _("without a title"))
    kind, description = escaped(_word(entry, "type")), escaped(_word(entry, "description"))
    named = f'<a href="{escaped(url)}" target="_blank" rel="noopener noreferrer nofollow">{title}</a>' if url else title
    return (f'<p class="rd-wrap" style="margin:.2rem 0 .5rem"><span class="rd-strong">{named}</span> <span class="rd-quiet">{kind}</span>'
            f'<br><span class="rd-quiet rd-small">{description}<br>{escaped(str(entry.get("url") or ""))}</span></p>')


def _question(number: int, entry: dict[str, Any]) -> str:
    options = entry.get("options") if isinstance(entry.get("options"), list) else []
    right = entry.get("correct_options") if isinstance(entry.get("correct_options"), list) else []
    answers = "".join(
        f'<li>{"<b>✓</b>" if at in right else "○"} {escaped(str(option))}</li>' for at, option in enumerate(options))
    return (f'<div class="rd-quiz rd-wrap"><span class="rd-strong">{number}. {escaped(_word(entry, "question"))}</span><ul>{answers}</ul>'
            f'<span class="rd-quiet rd-small">{escaped(_word(entry, "explanation"))}</span></div>')
