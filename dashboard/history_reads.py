"""The read of the plots over time, shared by all sessions for a quarter of a minute: hours do not change quickly."""

import streamlit as st

from backend.views import history
from dashboard import reads


@st.cache_data(ttl=15, show_spinner=False, max_entries=2)
def read_history() -> history.History:
    return history.history(reads.connected())
