"""Documentation that must not drift from the code."""

import re
from pathlib import Path

from backend.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def settings_rows() -> list[str]:
    """One line of README's table for each setting."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None or field.default == "" else f"`{field.default}`"
        rows.append(f"| `{field.alias or f'REDRIVE_{name.upper()}'}` | {default} | {field.description} |")
    return rows


def test_readme_tells_every_setting_with_its_default_and_help():
    readme = (ROOT / "README.md").read_text()

    missing = [row for row in settings_rows() if row not in readme]

    assert not missing, "README.md lacks these lines:\n" + "\n".join(missing)


def test_readme_tells_no_setting_that_does_not_exist():
    told = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))

    known = {row.split("`")[1] for row in settings_rows()}

    assert told <= known


def test_every_pinned_library_has_its_reason():
    decisions = (ROOT / "DECISIONS.md").read_text()
    named = [re.split(r"[\[=]", line)[0] for name in ("requirements.in", "requirements-dev.in")
             for line in (ROOT / name).read_text().splitlines() if line and line[0] not in "#-"]

    assert not [library for library in named if library not in decisions]


def test_files_that_contributing_names_exist():
    named = re.findall(r"`((?:backend|workers|dashboard|tests|pages)/[\w./*-]+)`", (ROOT / "CONTRIBUTING.md").read_text())

    assert named
    assert not [path for path in named if not (ROOT / path).exists()]
