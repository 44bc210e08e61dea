"""check: is everything there that Redrive needs? Each with ok, or with the next step."""

import click

from backend.cli.clear_lines import current_settings
from backend.i18n import _


@click.command(help=_("Check servers, schema, object store and model."))
def check() -> None:
    from backend.host.checkup import checkup

    settings = current_settings()
    are_all_good = True
    for finding in checkup(settings):
        are_all_good = are_all_good and finding.is_good
        click.echo(f"{finding.subject:<14} {_('ok') if finding.is_good else _('BAD')}  {finding.line}")
    if not are_all_good:
        raise SystemExit(2)
