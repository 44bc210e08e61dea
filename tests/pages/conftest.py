"""Pages in an AppTest: the real script against a fresh database and an empty Redis, with nobody at work unless a test says so."""

import functools
import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from backend.clock import utc_now
from backend.redrive import Redrive
from backend.settings import Settings
from backend.storage import heartbeats, problems
from dashboard import chapter_reads, cover_reads, history_reads, novel_reads, reads, rule_reads
from dashboard.components import live_operations

ROOT = Path(__file__).parents[2]
OpenPage = Callable[..., AppTest]
# Streamlit reads what every installed package says of itself: once, and not for each page, which took most of a page's time.
manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)
READS = (reads, rule_reads, history_reads, cover_reads, chapter_reads, novel_reads)  # modules of cached reads


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The settings of the test as the web process finds them, and no cached read of another test."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "REDRIVE_OPERATOR_ROLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("REDRIVE_STATE_DIR", str(settings.state_dir))
    monkeypatch.setenv("REDRIVE_ARMED_SECONDS", "50")  # what can be undone can still be undone when a slow machine looks
    forget_reads()
    yield monkeypatch
    forget_reads()


def forget_reads() -> None:
    """Every cached read, and the connection: as if the cache's second had passed."""
    for read in [found for module in READS for found in vars(module).values()] + [live_operations.operation_block]:
        if hasattr(read, "clear") and callable(read):
            read.clear()


@pytest.fixture(scope="package", autouse=True)
def modules_frozen() -> Iterator[None]:
    """What is loaded by now is never garbage: gc.collect() after each test need not go through it."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_open_connections() -> Iterator[None]:
    """The pages' engines are closed before the test's database is dropped."""
    yield
    forget_reads()
    gc.collect()


@pytest.fixture
def open_page(environment: pytest.MonkeyPatch, redrive: Redrive) -> OpenPage:
    """open_page("problems", problem="failed"): the page after its first run, with the maintenance alive."""
    with redrive.engine.begin() as connection:
        heartbeats.beat(connection, "maintenance@test:1", role="maintenance", now=utc_now())

    def open_(name: str, **query: str | list[str]) -> AppTest:
        problems.drain(redrive.engine, utc_now, redrive.limits)
        forget_cached_reads()
        page = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=120).run()
        if name != "overview":
            page.switch_page(str(ROOT / "pages" / f"{name}.py"))
        for parameter, value in query.items():
            page.query_params[parameter] = value
        page.run()
        return page

    return open_


@pytest.fixture
def dialog_above_one(environment: pytest.MonkeyPatch) -> None:
    """A retry of two items counts as large: it is shown first, and its count is typed."""
    environment.setenv("REDRIVE_INTERACTIVE_ITEMS", "1")


def forget_cached_reads() -> None:
    """The cached reads, but not the connection."""
    for name, read in [*(found for module in READS for found in vars(module).items()), ("block", live_operations.operation_block)]:
        if name != "connected" and hasattr(read, "clear") and callable(read):
            read.clear()


def places(page: AppTest) -> dict[int, str]:
    """What stands at each place of a page: by it Streamlit knows a part again, and what moves is made anew, without its focus."""
    return {place: part.type for place, part in page.main.children.items()}


def words_of(page: AppTest) -> str:
    """Everything that the page says in words."""
    elements = [*page.title, *page.subheader, *page.markdown, *page.caption, *page.info, *page.warning, *page.error, *page.success,
                *page.toast]
    html = [found.proto.body for found in page.get("html")]
    return "\n".join([*(element.value for element in elements), *html])


def button(page: AppTest, label: str):
    """The button with this label; fails when there is none or more than one."""
    found = [button for button in page.button if button.label == label]
    assert len(found) == 1, [button.label for button in page.button]
    return found[0]


def has_button(page: AppTest, label: str) -> bool:
    return any(button.label == label for button in page.button)


def type_count(page: AppTest, count: int | str) -> AppTest:
    """Into the dialog of a large plan."""
    return page.text_input(key="plan_count").input(str(count)).run()


def choose_rows(page: AppTest, rows: list[int]) -> AppTest:
    """Mark rows of the problem table as a browser does. AppTest has no interaction for it, so its own message is made here."""
    table = page.dataframe[0]
    states = page._tree.get_widget_states()
    states.widgets.add(id=table.proto.id, string_value=json.dumps({"selection": {"rows": rows, "columns": [], "cells": []}}))
    return page._run(states)


def shown_titles(page: AppTest) -> list[str]:
    return list(page.dataframe[0].value["title"])


def shown_types(page: AppTest) -> list[str]:
    return list(page.dataframe[0].value["type"])


@pytest.fixture
def stop_database(environment: pytest.MonkeyPatch) -> Callable[[], None]:
    """stop_database(): from now on PostgreSQL cannot be reached. start_database undoes it."""
    def stop() -> None:
        environment.setenv("DATABASE_URL", "postgresql://redrive@127.0.0.1:9/redrive")
        forget_reads()
    return stop


@pytest.fixture
def start_database(environment: pytest.MonkeyPatch, settings: Settings) -> Callable[[], None]:
    def start() -> None:
        environment.setenv("DATABASE_URL", settings.database_url.get_secret_value())
        forget_reads()
    return start


@pytest.fixture
def stop_redis(environment: pytest.MonkeyPatch) -> Callable[[], None]:
    def stop() -> None:
        environment.setenv("REDIS_URL", "redis://127.0.0.1:9/0")
        forget_reads()
    return stop
