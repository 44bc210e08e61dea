"""Bring a database to the schema this code needs, with Alembic, one migrator at a time."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, func, select

from backend.storage.engine import make_engine
from backend.storage.platform_tables import novels, roadmap_metadata
from backend.storage.schema import MIGRATIONS, check_platform_columns

MIGRATION_LOCK = 7_203_001  # any number that is ours alone


def migrate(database_url: str) -> None:
    """Create what is absent, in both schemas. Raises SchemaError when a platform table lacks a column."""
    engine = make_engine(database_url, pool_size=2)
    try:
        with engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            check_platform_columns(connection)
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def is_empty(engine: Engine) -> bool:
    """True when the platform holds no roadmap and no novel."""
    with engine.connect() as connection:
        return not connection.scalar(select(
            select(roadmap_metadata.c.roadmap_id).exists() | select(novels.c.id).exists()))
