"""`redrive up` on a machine that is slow to start it."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.host import up
from backend.host.children import Child, ChildSpec
from backend.host.errors import HostError
from backend.settings import Settings


def waited(monkeypatch: pytest.MonkeyPatch, folder: Path, *, rounds: int, children: tuple[Child, ...] = ()) -> list[str]:
    """What is said until web answers, after so many rounds."""
    answers = iter([False] * rounds + [True])
    monkeypatch.setattr(up, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(up.web_address, "is_healthy", lambda *_: next(answers))
    said: list[str] = []
    servers = SimpleNamespace(watch=lambda: None, state=SimpleNamespace(logs=folder))
    up._wait_until_up(Settings(), SimpleNamespace(watch=lambda: None, children=children), servers, said.append)
    return said


def test_what_takes_long_is_told_once_and_waited_for(monkeypatch, tmp_path):
    said = waited(monkeypatch, tmp_path, rounds=3)

    assert [str(tmp_path) in line for line in said] == [True]


def test_what_dies_again_and_again_is_not_waited_for_however_slowly_it_dies(monkeypatch, tmp_path):
    log = tmp_path / "worker.log"
    log.write_text("no such module\n")
    dying = Child(ChildSpec("worker", ("false",)), log, deaths=3, quick_deaths=0)

    with pytest.raises(HostError, match="worker ends again and again: no such module"):
        waited(monkeypatch, tmp_path, rounds=3, children=(dying,))
