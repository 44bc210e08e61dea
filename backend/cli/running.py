"""up, web, worker, maintenance, migrate: what keeps Redrive running."""

import os
from typing import NoReturn

import click

from backend.cli.clear_lines import clear_lines, current_settings
from backend.cli.connected import connected
from backend.host import commands
from backend.i18n import _
from backend.settings import Settings


@click.command(help=_("Run everything on this machine until Ctrl-C."))
@click.option("--ends-with-parent", is_flag=True, help=_("Stop when the process that started this one ends, e.g. make."))
def up(ends_with_parent: bool) -> None:
    from backend.host import up as whole
    from backend.host.preparation import prepare

    settings = current_settings()
    with clear_lines():
        whole.run(settings, whole.Parts(prepare=prepare, children=commands.all_children),
                  say=click.echo, ends_with_parent=ends_with_parent)


@click.command(help=_("Run the web process; the servers run already."))
def web() -> None:
    from backend.host.web_address import require_free_port, require_loopback

    settings = current_settings()
    with clear_lines():
        require_loopback(settings.host)
        require_free_port(settings.host, settings.port)
        _become(settings, commands.web_command(settings))


@click.command(help=_("Run one worker process; the servers run already."))
@click.option("--queue", type=click.Choice(commands.QUEUES), required=True, help=_("The one queue it works for."))
def worker(queue: str) -> None:
    settings = current_settings()
    with clear_lines():
        _become(settings, commands.worker_command(queue))


@click.command(help=_("Run the maintenance process; the servers run already."))
def maintenance() -> None:
    settings = current_settings()
    with clear_lines():
        _become(settings, commands.maintenance_command())


@click.command(help=_("Bring the database to the schema of this version."))
def migrate() -> None:
    settings = current_settings()
    with clear_lines():
        from backend.host.command_servers import servers_for
        from backend.storage.migrate import migrate as migrate_database

        with servers_for(settings, holder="redrive migrate") as whole:
            migrate_database(whole.database_url.get_secret_value())
        click.echo(_("The schema is up to date."))


def _become(settings: Settings, command: tuple[str, ...]) -> NoReturn:
    """Replace this process by the command, in the checkout, with the servers in its environment.

    What it needs is looked at here: `redrive up` starts the same commands past us, and its supervisor waits for its servers.
    """
    from backend.host.command_servers import servers_that_run
    from backend.host.project import ROOT

    whole = servers_that_run(settings)
    with connected(whole):
        pass
    os.environ["DATABASE_URL"] = whole.database_url.get_secret_value()
    os.environ["REDIS_URL"] = whole.redis_url.get_secret_value()
    os.environ["REDRIVE_STATE_DIR"] = str(whole.state_dir)
    os.chdir(ROOT)
    os.execv(command[0], command)
