"""What the database said, as an item keeps it."""

from psycopg import errors
from sqlalchemy.exc import DataError

from backend.actions.settling import save_error
from backend.content.errors import ErrorKind


def test_a_long_answer_of_the_database_is_kept_in_full():
    said = "value too long for type character varying(255)\nCONTEXT: " + "x" * 1500 + " the end"

    error = save_error(DataError("insert", {}, errors.StringDataRightTruncation(said)))

    assert (error.kind, error.message) == (ErrorKind.SAVE_TOO_LONG, said)
