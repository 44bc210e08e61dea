"""The address that the page was drawn for, and the one that the browser shows."""

from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from backend.clock import utc_now


def script() -> None:
    """A whole run, or a tick of a live part at a given time."""
    import streamlit as st

    from dashboard import address

    if "tick_at" not in st.session_state:
        address.forget_drawn()
        address.remember_drawn()
    elif "writes" in st.session_state:
        address.write("page", st.session_state.writes)
    else:
        st.session_state["answer"] = address.is_drawn_for_another(st.session_state.tick_at)


@pytest.fixture
def page() -> AppTest:
    found = AppTest.from_function(script)
    found.query_params["page"] = "5"
    return found.run()


def tick(drawn: AppTest, at, **query: str) -> bool:
    for name, value in query.items():
        drawn.query_params[name] = value
    drawn.session_state["tick_at"] = at
    return drawn.run().session_state["answer"]


def test_a_browser_that_shows_another_address_for_a_second_is_followed(page):
    now = utc_now()

    assert not tick(page, now)
    assert not tick(page, now, id="r1")
    assert not tick(page, now + timedelta(seconds=0.9), id="r1")
    assert tick(page, now + timedelta(seconds=2), id="r1")


def test_one_tick_that_was_under_way_changes_nothing(page):
    now = utc_now()

    assert not tick(page, now, page="4")
    assert not tick(page, now + timedelta(seconds=2), page="5")
    assert not tick(page, now + timedelta(seconds=4), page="4")


def test_what_a_live_part_writes_itself_is_no_other_address(page):
    page.session_state["tick_at"], page.session_state["writes"] = utc_now(), "6"
    page.run()
    del page.session_state["writes"]

    assert not tick(page, utc_now(), page="6")
    assert not tick(page, utc_now() + timedelta(seconds=9), page="6")
