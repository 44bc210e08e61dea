"""Who may watch a chapter: the page hands out a signed word for one text and for two minutes, the event stream asks for it.

The key is Streamlit's own (server.cookieSecret): random for each start, or shared by several web processes.
"""

import streamlit as st
from itsdangerous import BadData, URLSafeTimedSerializer

TOKEN_SECONDS = 120  # to begin with; a stream that runs goes on


class TokenRefused(Exception):
    """It is missing, forged, too old, or for another text."""


def stream_token(text_id: str) -> str:
    """`text_id`: a chapter_id or a draft_id."""
    return _signer().dumps(text_id)


def check_token(text_id: str, token: str) -> None:
    """Raises TokenRefused."""
    try:
        named = _signer().loads(token, max_age=TOKEN_SECONDS)
    except BadData as exc:
        raise TokenRefused from exc
    if named != text_id:
        raise TokenRefused


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(st.get_option("server.cookieSecret"), salt="redrive-chapter-events")
