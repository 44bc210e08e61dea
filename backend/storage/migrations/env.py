"""Alembic's entry: runs the migrations on the connection that `backend.storage.migrate` hands over."""

from alembic import context

from backend.storage.ops_tables import ops
from backend.storage.platform_tables import platform
from backend.storage.schema import VERSION_TABLE

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=[platform, ops],
    include_schemas=True,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
