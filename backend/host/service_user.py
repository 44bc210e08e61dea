"""Whom PostgreSQL runs as. It refuses root; nothing outside our own folders is chmodded and no user is made."""

import hashlib
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from backend.host.errors import HostError
from backend.i18n import _

CANDIDATES = ("postgres", "nobody")
HOME_OF_UNREACHABLE = Path("/var/lib/redrive")


@dataclass(frozen=True)
class ServiceUser:
    name: str
    user_id: int
    group_id: int

    def can_reach(self, path: Path) -> bool:
        """Can this user get to `path`? Asked of the kernel, in a child that became that user."""
        target = f"{path}/." if path.is_dir() else str(path)
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(self.group_id)
                os.setuid(self.user_id)
                os.stat(target)
                os._exit(0)
            except BaseException:  # a child of fork() must never return into the caller's code
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def own(self, folder: Path) -> None:
        os.chown(folder, self.user_id, self.group_id)

    def subprocess_arguments(self) -> dict[str, object]:
        return {"user": self.user_id, "group": self.group_id, "extra_groups": []}


def service_user() -> ServiceUser | None:
    """The user PostgreSQL has to run as, or None when it can run as whoever we are."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServiceUser(name=name, user_id=entry.pw_uid, group_id=entry.pw_gid)
    raise HostError(_("PostgreSQL does not run as root and there is no user `postgres` or `nobody`. "
                      "Add one (useradd --system postgres), run as another user, or set DATABASE_URL."))


def is_reachable(state: Path, user: ServiceUser | None) -> bool:
    """Can PostgreSQL keep its files in the state folder? That folder alone is loosened, so far that it can be walked through."""
    if user is None or user.can_reach(state):
        return True
    os.chmod(state, 0o711)
    return user.can_reach(state)


def home_elsewhere(state: Path) -> Path:
    """A folder under /var/lib/redrive for the files of a state folder that PostgreSQL's user cannot get to."""
    home = HOME_OF_UNREACHABLE / hashlib.sha256(str(state).encode()).hexdigest()[:10]
    home.mkdir(parents=True, exist_ok=True)
    for folder in (HOME_OF_UNREACHABLE, home):
        os.chmod(folder, 0o711)
    return home
