"""What a view costs, whatever else the machine does: how many pages PostgreSQL looks at for it."""

from collections.abc import Callable

from sqlalchemy import Engine, event


def pages_read(engine: Engine, view: Callable[[], object]) -> int:
    """Pages of tables and indexes, in memory or not, that all queries of the view look at."""
    asked: list[tuple[str, object]] = []

    def note(*call: object) -> None:
        asked.append((call[2], call[3]))

    event.listen(engine, "before_cursor_execute", note)
    view()
    event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        plans = [connection.exec_driver_sql(f"explain (analyze, buffers, format json) {statement}", values).scalar_one()[0]["Plan"]
                 for statement, values in asked]
    return sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans)


def pages_of(engine: Engine, table: str) -> int:
    """So many does a look at all of the table read."""
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"select pg_relation_size('{table}') / current_setting('block_size')::int").scalar_one()
