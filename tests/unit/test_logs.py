"""One event is one line, and no line holds a secret."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from backend.logs import configure_logging
from backend.settings import Settings


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


def make_settings(**values: object) -> Settings:
    return Settings.model_validate({"log_format": "json", **values})


def test_a_json_line_hides_what_is_secret_by_name_by_look_and_by_being_known(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(make_settings(openai_api_key="no-usual-look-991"))

    structlog.get_logger("t").info(
        "asked", api_key="abc", tokens_used=7, nested={"url": "redis://u:pw123456@h/0", "password": "x"},
        said=["echo no-usual-look-991"])

    line = json.loads(capsys.readouterr().err)
    assert line["api_key"] == "***"
    assert line["tokens_used"] == 7
    assert line["nested"] == {"url": "redis://***@h/0", "password": "***"}
    assert line["said"] == ["echo ***"]


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_an_event_with_a_traceback_is_one_line_without_its_secret(
    log_format: str, capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(make_settings(log_format=log_format))

    try:
        raise ConnectionError("cannot reach\npostgresql://anna:hunter22@db/redrive")
    except ConnectionError:
        structlog.get_logger("t").exception("save failed", key="tutorial:r1:c1")
        logging.getLogger("some.library").exception("and so says the library")

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("ConnectionError" in line and "test_logs.py" in line for line in lines)
    assert not any("hunter22" in line for line in lines)
    assert "tutorial:r1:c1" in lines[0]


def test_a_library_line_is_cleaned_and_shaped_like_ours(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(make_settings())

    logging.getLogger("rq.worker").warning("connecting to %s", "redis://:hunter22@cache/0")

    line = json.loads(capsys.readouterr().err)
    assert line["event"] == "connecting to redis://***@cache/0"
    assert (line["level"], line["logger"]) == ("warning", "rq.worker")
    assert line["timestamp"].endswith("Z")


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(make_settings(log_level="warning"))

    structlog.get_logger("t").info("not this")
    structlog.get_logger("t").warning("but this")

    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["but this"]


def test_stdout_is_left_to_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(make_settings())

    structlog.get_logger("t").error("on stderr")
    print("answer", file=sys.stdout)

    assert capsys.readouterr().out == "answer\n"
