"""demo, import, detect: what is in the platform, and what is wrong there."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli.clear_lines import clear_lines, current_settings
from backend.cli.connected import connected
from backend.i18n import _
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.redrive import Redrive


@click.command(help=_("Load the demo platform, or bring it back (--reset)."))
@click.option("--reset", is_flag=True, help=_("Delete what was changed in the demo and load it again."))
def demo(reset: bool) -> None:
    settings = current_settings()
    with clear_lines(), _connected(settings, holder="redrive demo") as redrive:
        from backend.demo.load import load_demo, reset_demo

        counts = reset_demo(redrive) if reset else load_demo(redrive)
        click.echo(_("The demo platform is there: {counts}.").format(counts=_in_words(counts)))


@click.command("import", help=_("Load roadmaps and novels from JSON files."))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(files: tuple[Path, ...]) -> None:
    settings = current_settings()
    with clear_lines(), _connected(settings, holder="redrive import") as redrive:
        from backend.actions.actors import Actor, Role
        from backend.actions.imports import import_files

        actor = Actor(settings.operator, Role(settings.operator_role))
        click.echo(_("Imported: {counts}.").format(counts=_in_words(import_files(redrive, actor, files))))


@click.command(help=_("Show what is failed, missing or otherwise wrong."))
@click.option("--json", "as_json", is_flag=True, help=_("Print one JSON document."))
@click.option("--rebuild", is_flag=True, help=_("Look at every owner again instead of the changed ones."))
@click.option("--deep", is_flag=True, help=_("Ask the object store too whether the pictures that are named are there."))
def detect(as_json: bool, rebuild: bool, deep: bool) -> None:
    settings = current_settings()
    with clear_lines(), _connected(settings, holder="redrive detect") as redrive:
        from backend.actions.deep import look
        from backend.storage.objects import StoreUnreachable
        from backend.views.detection import counts_and_problems

        try:
            looked = look(redrive) if deep else None
        except StoreUnreachable as exc:
            raise click.ClickException(str(exc)) from exc
        found = counts_and_problems(redrive, rebuild=rebuild)
    if as_json:
        document = dataclasses.asdict(found)
        if looked:
            document["pictures"] = {
                "looked_at": looked.looked_at, "gone": [str(key) for key in looked.gone],
                "thumbnails_mended": [str(key) for key in looked.mended]}
        click.echo(json.dumps(document, default=datetime.isoformat, ensure_ascii=False, indent=2))
        return
    click.echo(_("As of {time}").format(time=f"{found.as_of:%Y-%m-%d %H:%M:%S} UTC"))
    if looked:
        click.echo(_("Pictures looked for in the store: {count}, gone: {gone}, thumbnails made again: {mended}").format(
            count=looked.looked_at, gone=len(looked.gone), mended=len(looked.mended)))
    for kind, count in found.counts.items():
        click.echo(f"{count:>8}  {kind}")
    for problem in found.problems:
        click.echo("  ".join(part for part in (
            f"{problem.kind:<10}", str(problem.key), problem.title, problem.detail, problem.error_message) if part))
    if not found.problems:
        click.echo(_("Nothing is failed or missing."))


@contextmanager
def _connected(settings: Settings, *, holder: str) -> "Iterator[Redrive]":
    """Redrive on the servers that the command talks to. Raises HostError besides what `connected` raises."""
    from backend.host.command_servers import servers_for

    with servers_for(settings, holder=holder) as whole, connected(whole) as redrive:
        yield redrive


def _in_words(counts: Any) -> str:
    """The fields of a dataclass of counts: "12 roadmaps, 3 novels"."""
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in dataclasses.asdict(counts).items())
