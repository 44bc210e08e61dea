"""What people say about a cause: who sees to it, notes and decisions in order, and what was merged into it."""

import streamlit as st

from backend.content import wording
from backend.i18n import _
from backend.views.causes import CauseDetail
from dashboard import cause_callbacks, reads
from dashboard.components import blocks
from dashboard.components.permission import may_triage, triage_help
from dashboard.durations import age
from dashboard.untrusted import escaped, plain


def show_assignee(found: CauseDetail) -> None:
    st.subheader(_("Who sees to it"), anchor=False)
    me = reads.actor().actor_id
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(_("Person"), key="cause-assignee", placeholder=found.assignee or _("nobody"), max_chars=80, width=200,
                      label_visibility="collapsed", disabled=not may_triage())
        st.button(_("Assign"), key="cause-assign", disabled=not may_triage(), on_click=cause_callbacks.assign_cause, args=(found.cause_id,),
                  help=triage_help(_("To the person named here; with no name to nobody.")))
        if found.assignee != me:
            st.button(_("I do"), key="cause-assign-me", disabled=not may_triage(), on_click=cause_callbacks.assign_cause,
                      args=(found.cause_id, me), help=triage_help(_("Assign it to me.")))


def show_history(found: CauseDetail) -> None:
    st.subheader(_("Notes and decisions"), anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(_("Note"), key="cause-note", placeholder=_("What others should know"), max_chars=2000,
                      label_visibility="collapsed", disabled=not may_triage())
        st.button(_("Note it"), key="cause-noted", disabled=not may_triage(), on_click=cause_callbacks.note_cause, args=(found.cause_id,),
                  help=triage_help(_("Keep it here, for everybody.")))
    if not found.events:
        st.caption(_("Nobody has said anything yet."))
        return
    st.html(blocks.table(([
        f'<span class="rd-quiet">{escaped(age(event.at))}</span>',
        f'<span class="rd-wrap"><span class="rd-strong">{escaped(event.actor_id)}</span> {escaped(wording.CAUSE_EVENTS[event.kind])}'
        f'{": " + escaped(event.words) if event.words else ""}</span>'] for event in found.events), is_first_narrow=True))


def show_merging(found: CauseDetail) -> None:
    """What was merged into it, and what it could be merged into."""
    st.subheader(_("Merging"), anchor=False)
    for merged in found.merged:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(plain(_("{cause}, by {actor} {age}").format(
                cause=merged.title[:120], actor=merged.merged_by, age=age(merged.merged_at))), width="stretch")
            st.button(_("Take out"), key=f"part-{merged.fingerprint}", type="tertiary", disabled=not may_triage(),
                      on_click=cause_callbacks.part_cause, args=(merged.fingerprint, merged.title[:80]),
                      help=triage_help(_("It stands for itself again, with what is its own.")))
    others = reads.other_causes(found.cause_id)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox(_("Belongs to"), list(others), key="cause-into", index=None, format_func=lambda other: others.get(other, other),
                     placeholder=_("Another cause that this one is"), label_visibility="collapsed",
                     disabled=not may_triage() or not others)
        st.button(_("Merge"), key="cause-merge", icon=":material/merge:", disabled=not may_triage() or not others,
                  on_click=cause_callbacks.merge_cause, args=(found.cause_id,),
                  help=triage_help(_("All of this belongs to the other cause, now and whenever it comes again.")))
