"""The address that the page was drawn for, and the one that the browser shows."""

from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from backend.clock import utc_now

NOW = utc_now()
WAS, OPENED = {"page": "5"}, {"page": "5", "id": "r1"}


def script() -> None:
    """A whole run, or a tick of a live part, with what a callback wrote before it."""
    import streamlit as st

    from dashboard import address

    step, given = st.session_state.step
    if step == "click":
        address.write("id", given)
    elif step == "drawn":
        address.forget_drawn()
        address.remember_drawn()
    else:
        st.session_state["answer"] = address.is_overtaken(given)


class Browser:
    """Sends an address with each run, and knows what it is told."""

    def __init__(self) -> None:
        self.app = AppTest.from_function(script)

    def run(self, step: str, address: dict[str, str], given: object = None) -> dict[str, str]:
        self.app.query_params.clear()
        for name, value in address.items():
            self.app.query_params[name] = value
        self.app.session_state["step"] = step, given
        self.app.run()
        assert not self.app.exception
        return {name: values if isinstance(values, str) else values[0] for name, values in self.app.query_params.items()}

    def tick(self, address: dict[str, str], seconds: float) -> bool:
        self.run("tick", address, NOW + timedelta(seconds=seconds))
        return self.app.session_state["answer"]


@pytest.fixture
def browser() -> Browser:
    found = Browser()
    found.run("drawn", WAS)
    return found


def test_a_click_that_a_tick_overtook_is_followed_after_a_second(browser):
    browser.run("click", WAS, "r1")
    browser.run("drawn", WAS)  # joined with a tick that left before the browser knew

    assert not browser.tick(WAS, 0)  # another one
    assert not browser.tick(OPENED, 1)
    assert not browser.tick(OPENED, 1.9)
    assert browser.tick(OPENED, 3)
    browser.run("drawn", OPENED)
    assert not browser.tick(OPENED, 5)


def test_a_click_that_was_drawn_is_not_drawn_again_for_a_late_tick(browser):
    browser.run("click", WAS, "r1")
    browser.run("drawn", OPENED)

    assert [browser.tick(address, seconds) for seconds, address in enumerate((WAS, OPENED, WAS, OPENED, OPENED))] == [False] * 5


def test_a_browser_that_is_behind_after_a_link_to_the_same_page_is_told_where_it_is(browser):
    browser.run("click", WAS, "r1")
    browser.run("drawn", OPENED)
    linked = {"operation": "op1"}
    browser.run("drawn", linked)

    assert browser.run("tick", OPENED, NOW) == OPENED
    assert browser.run("tick", OPENED, NOW + timedelta(seconds=2)) == linked
    assert browser.app.session_state["answer"] is False


def test_what_a_live_part_writes_itself_is_no_other_address(browser):
    browser.run("click", WAS, "r1")

    assert not browser.tick(OPENED, 0)
    assert not browser.tick(OPENED, 9)
