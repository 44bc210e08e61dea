"""How charts mark the time."""

from datetime import datetime, timedelta

import pytest

from dashboard.components.charts import clock_x

NOW = datetime(2026, 11, 28, 9, 30)


@pytest.mark.parametrize(("minutes", "marks"), [(0, "%H:%M:%S"), (2, "%H:%M:%S"), (30, "%H:%M"), (1440, "%H:%M")])
def test_no_two_marks_of_an_axis_say_the_same_time(minutes, marks):
    axis = clock_x([NOW - timedelta(minutes=minutes), NOW]).to_dict()["axis"]

    assert axis["format"] == marks
