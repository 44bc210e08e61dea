"""Which process this is, and whether one that wrote its name somewhere still lives. Only of processes that this one can see."""

import functools
import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessName:
    host: str  # machine, boot and pid namespace: pids of two containers, or of before and after a restart, are not compared
    pid: int


def this_process() -> ProcessName:
    return ProcessName(this_host(), os.getpid())


@functools.cache
def this_host() -> str:
    """The same for all processes that see each other's pids. "" where the kernel does not tell: nobody is compared then."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    digest = hashlib.sha256(f"{boot} {namespace} {socket.gethostname()}".encode()).hexdigest()[:12]
    return f"{socket.gethostname()}/{digest}"


def is_surely_gone(name: ProcessName) -> bool:
    """True: it ran where this process can see, and is there no more. False: it lives, or nobody here can tell."""
    if not name.host or name.host != this_host():
        return False
    try:
        state = Path(f"/proc/{name.pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return not _is_known(name.pid)  # /proc may hide what belongs to other users
    except OSError:
        return False
    return state in "ZX"  # dead, and its parent has not looked yet


def _is_known(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # asks, and sends nothing
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
