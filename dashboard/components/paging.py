"""Pages of a list: the number is in the URL, the place in words, the choice of another page."""

import streamlit as st

from backend.i18n import _
from dashboard import address, session

DIGITS = 6  # a longer number in the URL is no page


def asked_page(name: str = "page") -> int:
    """The page in the URL, at least 1. `name`: its parameter."""
    asked = address.value(name)
    return max(1, int(asked)) if asked.isdecimal() and len(asked) <= DIGITS else 1


def page_count(total: int, page_size: int) -> int:
    return max(1, -(-total // page_size))


def show_place(asked: int, total: int, page_size: int, shown: int, order: str = "", *, name: str = "page") -> None:
    """"101 to 200 of 345." and what it is sorted by, with the other pages. `shown`: rows on this page."""
    last = page_count(total, page_size)
    current = min(asked, last)
    first = (current - 1) * page_size + 1
    place = _("{first:,} to {last:,} of {total:,}").format(first=first, last=first + shown - 1, total=total)
    st.caption(f"{place}. {order}" if order else place, width="content")
    if last > 1:
        st.pagination(last, default=current, key=f"{name}-{current}", on_change=_turned, args=(name, current))


def _turned(name: str, before: int) -> None:
    page = session.widget_value(f"{name}-{before}")
    address.write(name, "" if page == 1 else str(page))
