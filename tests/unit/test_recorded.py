"""What others recorded: times and texts that must not stop a drain."""

from datetime import UTC, datetime

import pytest
from psycopg import errors
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError

from backend.storage.recorded import aware, in_one_line, is_of_the_data, parse_time, storable

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(("value", "at"), [
    ("2026-11-22T12:00:00Z", NOON), ("2026-11-22T20:00:00+08:00", NOON), ("2026-11-22T12:00:00", NOON),
    ("yesterday", None), ("", None), (5, None), (None, None), ("0001-01-01T00:00:00+14:00", None), ("9999-12-31T23:00:00-05:00", None)])
def test_a_recorded_time_is_utc_or_none(value, at):
    assert parse_time(value) == at


def test_a_time_without_a_zone_is_utc():
    assert aware(NOON.replace(tzinfo=None)) == NOON
    assert aware(NOON) is NOON
    assert aware(None) is None


def test_only_what_no_text_can_hold_is_replaced():
    assert storable("a\x00b\ud83dc\U0001f600\n") == "a\ufffdb\ufffdc\U0001f600\n"


@pytest.mark.parametrize(("fault", "is_data"), [
    (DataError("select", {}, errors.UntranslatableCharacter("odd")), True),
    (OperationalError("insert", {}, errors.ProgramLimitExceeded("index row too large")), True),
    (OperationalError("select", {}, errors.LockNotAvailable("lock timeout")), False),
    (OperationalError("select", {}, errors.AdminShutdown("going down")), False),
    (ProgrammingError("select", {}, errors.UndefinedColumn("no such column")), False),
    (RecursionError("too deep"), True), (ValueError("odd"), True), (KeyError("odd"), False)])
def test_a_fault_of_the_data_is_told_from_one_of_the_server(fault, is_data):
    assert is_of_the_data(fault) is is_data


def test_a_fault_is_told_in_one_line_without_the_statement():
    assert in_one_line(DataError("select 1", {}, errors.DataError("odd \x00 value\nDETAIL: more"))) == "odd \ufffd value"
    assert in_one_line(RecursionError()) == "RecursionError"
