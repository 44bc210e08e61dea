"""Items in words."""

from backend.content import wording
from backend.content.status import ItemState
from backend.i18n import _
from backend.views.operations import ItemRow


def item_words(row: ItemRow) -> str:
    """"Tutorial of Backpressure"."""
    kind = wording.CONTENT_KINDS[row.key.kind]
    return _("{kind} of {title}").format(kind=kind, title=row.title) if row.title else kind


def item_outcome(row: ItemRow) -> str:
    """What came of it, in words: the error, who cancelled it and why, the rule that skipped it, or who wrote it."""
    if row.cancelled_by and (row.is_cancelling or row.state is ItemState.CANCELLED):
        by = _("told to stop by {actor}") if row.is_cancelling else _("cancelled by {actor}")
        return by.format(actor=row.cancelled_by) + (f": {row.cancel_reason}" if row.cancel_reason else "")
    if row.error_message and row.state is ItemState.FAILED:
        return row.error_message
    if row.skip_rule:
        return wording.EXCLUSION_RULES[row.skip_rule]
    if row.state is ItemState.SUCCEEDED and not row.generator:
        return _("its status was put right, nothing had to be written")
    return written_by(row)


def written_by(row: ItemRow) -> str:
    """The model, or that it is a sample."""
    if row.is_sample:
        return _("sample text by {generator}").format(generator=row.generator)
    return _("by {generator}").format(generator=row.generator) if row.generator else ""
