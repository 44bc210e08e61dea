"""How each process talks to PostgreSQL."""

import pytest
from sqlalchemy import text

from backend.bootstrap import connect, connect_work_horse


@pytest.mark.parametrize(("connecting", "plans"), [(connect_work_horse, [(3, 0)]), (connect, [])])
def test_a_work_horse_plans_a_statement_once_and_others_anew_each_time(settings, connecting, plans):
    """(generic, custom) plans of a statement that was asked three times; a statement that is not prepared is in no such list."""
    redrive = connecting(settings)
    try:
        with redrive.engine.connect() as connection:
            statement = text("select /* thrice */ cast(:number as int) + 1")
            assert [connection.scalar(statement, {"number": number}) for number in range(3)] == [1, 2, 3]
            kept = connection.execute(text("select generic_plans, custom_plans from pg_prepared_statements where statement like :words"),
                                      {"words": "select /* thrice */ %"}).all()
    finally:
        redrive.close()
    assert kept == plans
