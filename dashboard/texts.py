"""gettext for the pages, which import streamlit and dashboard only."""

from backend.i18n import _

__all__ = ["_"]
