"""The group of all commands, the entry point of the console script."""

import click

from backend.cli.check import check
from backend.cli.content import demo, detect, import_
from backend.cli.running import maintenance, migrate, up, web, worker
from backend.i18n import _


@click.group(help=_("Redrive shows what is failed or missing on an AI content platform, and retries it."),
             context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="redrive")
def main() -> None:
    pass


for command in (up, web, worker, maintenance, migrate, demo, import_, detect, check):
    main.add_command(command)

if __name__ == "__main__":
    main()
