"""What a person does on the pages, in one step each."""

import re
from contextlib import suppress

from playwright.sync_api import Locator, Page, expect

from tests.journeys.conftest import PATIENCE, Stack

HEARD = 20_000  # milliseconds in which a page shows that it heard a press, if it did
DRAWN_ANEW = 1_500  # milliseconds after which a dialog that was drawn anew is there again


def open_page(page: Page, stack: Stack, path: str, heading: str) -> None:
    page.goto(f"{stack.address}/{path}")
    expect(page.get_by_role("heading", name=heading, exact=True, level=1)).to_be_visible()


def settle(page: Page) -> None:
    """Until the page is drawn: what it was before stands beside what it becomes."""
    expect(page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]')).to_be_attached()


def press(button: Locator) -> None:
    """Once the page around it is drawn: what is drawn anew in that moment may not hear it."""
    expect(button).to_be_enabled()
    settle(button.page)
    button.click()


def open_plan_of_everything(page: Page) -> Locator:
    """Press "Retry everything that is broken"; the dialog with the plan."""
    press(page.get_by_role("button", name="Retry everything that is broken"))
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Confirm")).to_be_visible()
    return dialog


def type_count(dialog: Locator, count: int) -> None:
    """A large plan can be confirmed once its count is typed."""
    expect(dialog.get_by_role("button", name="Confirm")).to_be_disabled()
    settle(dialog.page)
    dialog.get_by_label(f"Type {count:,} to start so many items").fill(str(count))
    expect(dialog.get_by_role("button", name="Confirm")).to_be_enabled()


def retry_small(page: Page, count: int) -> None:
    """Press "Retry everything that is broken" in a small scope: it starts without a dialog, and says how many."""
    press(page.get_by_role("button", name="Retry everything that is broken"))
    expect_started(page, count)
    expect(page.get_by_role("dialog")).to_have_count(0)


def expect_started(page: Page, count: int) -> None:
    """The page says how many: in a notice that is gone after some seconds, and where the operation itself stands."""
    words = re.compile(rf"Retry of {count} items (started|starts in)|of {count} done|\b{count} retried")
    expect(page.get_by_text(words).first).to_be_visible()


def retry_large(page: Page, count: int) -> None:
    """The same where it is large: the count is typed, then Ctrl+Enter confirms."""
    dialog = open_plan_of_everything(page)
    type_count(dialog, count)
    confirm_by_keys(dialog)


def confirm_by_keys(dialog: Locator) -> None:
    """Ctrl+Enter, and again where a busy page did not hear it: what is confirmed twice is begun once.

    A dialog that is drawn anew is away for a moment too: it is closed when it stays away.
    """
    page = dialog.page
    for _press in range(PATIENCE // HEARD):
        settle(page)
        page.keyboard.press("Control+Enter")
        with suppress(AssertionError):
            expect(dialog).to_be_hidden(timeout=HEARD)
            page.wait_for_timeout(DRAWN_ANEW)
            settle(page)
            assert not dialog.is_visible()
            return
    raise AssertionError("the dialog is still open")


def expect_outcome(page: Page, words: str) -> None:
    """The finished operation says what became of it: "21 retried, 21 healthy"."""
    expect(page.get_by_text(re.compile(words)).first).to_be_visible(timeout=2 * PATIENCE)  # workers may only be starting


def items_done(page: Page) -> int:
    """How many items the running operation says are done."""
    words = page.get_by_text(re.compile(r"\d+ of \d+ done")).first.inner_text()
    return int(re.search(r"([\d,]+) of", words).group(1).replace(",", ""))
