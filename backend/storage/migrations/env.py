"""Alembic's entry: runs the migrations on the connection that `backend.storage.migrate` hands over."""

from alembic import context

from backend.storage.ops_tables import ops
from backend.storage.platform_tables import platform

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=[platform, ops],
    include_schemas=True,
    version_table="redrive_alembic_version",
)
with context.begin_transaction():
    context.run_migrations()
