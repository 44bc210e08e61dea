"""Makes the virtual environment .venv and installs the pinned packages: run, test or lock. Standard library only.

A stamp in .venv says what was installed, so that a second call is done in a moment.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)  # not the one of an active .venv, which may be made anew
STAMP = VENV / "installed"
BUILD_REQUIREMENTS = "scripts/requirements-build.txt"
REQUIREMENTS = {"run": "requirements.txt", "test": "requirements-dev.txt"}
LOCKS = {  # from -> to; the first holds the second whole, so its versions fit both, and the later ones keep to them
    "requirements-dev.in": "requirements-dev.txt",
    "requirements.in": "requirements.txt",
    "scripts/requirements-build.in": BUILD_REQUIREMENTS,
}


class CannotInstall(Exception):
    """str() is one line with the next step."""


def main(wanted: str, *options: str) -> None:
    with Path(__file__).open() as lock:  # `make run` and `make test` may come at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if wanted == "lock":
            pin_all(*options)
        else:
            install(wanted)


def install(wanted: str) -> None:
    """Have in .venv what `run` or `test` needs. What the tests need holds what running needs."""
    stamps = {name: stamp_of(name) for name in REQUIREMENTS}
    installed = STAMP.read_text() if STAMP.exists() and PYTHON.exists() else ""
    if installed and installed in (stamps[wanted], stamps["test"]):
        return
    make_environment()
    print(f"Installing the packages of {REQUIREMENTS[wanted]} into .venv ...", flush=True)
    STAMP.unlink(missing_ok=True)
    pip_install("--require-hashes", "-r", REQUIREMENTS[wanted], "-r", BUILD_REQUIREMENTS)
    pip_install("--no-deps", "--no-build-isolation", "--editable", ".")
    STAMP.write_text(stamps[wanted])


def stamp_of(wanted: str) -> str:
    """Where it is and what was asked for: a moved checkout or a changed list is installed again."""
    content = hashlib.sha256(str(ROOT).encode())
    for name in (REQUIREMENTS[wanted], BUILD_REQUIREMENTS, "pyproject.toml"):
        content.update((ROOT / name).read_bytes())
    return f"{wanted} {content.hexdigest()}"


def make_environment() -> None:
    """A .venv with a Python that works; one that does not, e.g. of a removed Python, is made anew."""
    if works(PYTHON) and (uv() or has_pip() or can_get_pip()):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    print(f"Making the virtual environment .venv (Python {sys.version.split()[0]}) ...", flush=True)
    if uv():
        call([uv(), "venv", "--quiet", "--python", BASE_PYTHON, str(VENV)])
        return
    if not can_make_environments():
        raise CannotInstall(
            f"Python {sys.version.split()[0]} of this machine cannot make virtual environments. On Debian and Ubuntu: "
            "apt-get install python3-venv; then the same command again. (Or install uv, which needs no such package.)")
    call([BASE_PYTHON, "-m", "venv", str(VENV)])


def pip_install(*arguments: str) -> None:
    if uv():
        call([uv(), "pip", "install", "--quiet", "--python", str(PYTHON), *arguments])
    else:
        call([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments])


def pin_all(*options: str) -> None:
    """Write the lock files. Pinned versions stay where they still fit; with --upgrade the newest are taken."""
    program = uv()
    if not program:
        make_environment()
        call([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"])
        program = str(VENV / "bin/uv")
    for source, target in LOCKS.items():
        keep_to = [] if target == "requirements-dev.txt" else ["--constraints", "requirements-dev.txt"]
        call([program, "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--python-version", "3.11",
              "--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", "make lock",
              *options, *keep_to, source, "--output-file", target])
        print(f"{source} -> {target}", flush=True)


def uv() -> str | None:
    return shutil.which("uv") or (str(VENV / "bin/uv") if (VENV / "bin/uv").exists() else None)


def works(python: Path) -> bool:
    return python.exists() and subprocess.run([str(python), "-c", ""], capture_output=True).returncode == 0


def has_pip() -> bool:
    return subprocess.run([str(PYTHON), "-c", "import pip"], capture_output=True).returncode == 0


def can_get_pip() -> bool:
    """An environment that uv made has no pip; without uv it gets one, where this Python brings it."""
    return subprocess.run([str(PYTHON), "-m", "ensurepip"], capture_output=True).returncode == 0


def can_make_environments() -> bool:
    return subprocess.run([BASE_PYTHON, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0


def call(command: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")}
    if subprocess.run(command, cwd=ROOT, env=environment).returncode:
        raise CannotInstall(f"This did not work: {' '.join(command)}. Its own words stand above; put that right and try again.")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except CannotInstall as exc:
        print(exc, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
