"""The arrows of DESIGN section 7 and the sizes of STYLE, read from the source itself."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE_LINES = 80
FUNCTION_LINES = 40
FOUNDATION = {"clock", "i18n", "processes", "settings"}  # anybody may use them

# part of backend -> the other parts that it may import
BACKEND_ARROWS = {
    "clock": set(), "i18n": set(), "processes": set(), "settings": set(),
    "content": set(),
    "logs": {"content"},
    "storage": {"content"},
    "jobs": {"content"},
    "redrive": {"content", "storage", "jobs"},
    "bootstrap": {"storage", "jobs", "redrive"},
    "actions": {"content", "storage", "jobs", "redrive"},
    "views": {"content", "storage", "jobs", "redrive"},
    "demo": {"content", "storage", "redrive"},
    "host": {"content", "storage", "demo", "redrive", "bootstrap", "logs"},
    "cli": {"content", "storage", "demo", "redrive", "bootstrap", "logs", "actions", "views", "host"},
}
DASHBOARD_MAY = {"actions", "bootstrap", "content", "redrive", "views"}
WEB_PROCESS = ROOT / "dashboard" / "asgi.py"  # the one module of dashboard/ that belongs to the host


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Dotted names of what a module imports, wherever the import stands: `from a.b import c` is a.b.c."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def backend_parts(path: Path) -> set[str]:
    """Which parts of backend a module imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("backend.")}


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / "backend").parts[0].removesuffix(".py")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources("pages"), ids=named)
def test_a_page_imports_streamlit_and_dashboard_only_and_is_short(path):
    assert roots(path) <= {"streamlit", "dashboard"}
    assert len(path.read_text().splitlines()) <= PAGE_LINES


@pytest.mark.parametrize("path", sources("dashboard"), ids=named)
def test_dashboard_shows_what_backend_knows(path):
    assert not roots(path) & {"workers", "tests", "pages", "rq", "redis", "psycopg", "openai"}
    if path != WEB_PROCESS:
        assert "sqlalchemy" not in roots(path)
        assert backend_parts(path) <= DASHBOARD_MAY | FOUNDATION


@pytest.mark.parametrize("path", sources("backend"), ids=named)
def test_backend_knows_no_page_and_no_worker(path):
    assert not roots(path) & {"streamlit", "dashboard", "pages", "workers", "tests", "altair", "pandas"}


@pytest.mark.parametrize("path", [path for path in sources("backend") if path.name != "__init__.py"], ids=named)
def test_inside_backend_the_arrows_point_one_way(path):
    part = part_of(path)

    assert backend_parts(path) - {part} <= BACKEND_ARROWS[part] | FOUNDATION


@pytest.mark.parametrize("path", sources("workers"), ids=named)
def test_workers_know_no_page(path):
    assert not roots(path) & {"streamlit", "dashboard", "pages", "tests"}


@pytest.mark.parametrize("path", sources("dashboard", "pages"), ids=named)
def test_session_state_and_query_parameters_have_one_door_each(path):
    if path.name not in ("session.py", "address.py"):
        touched = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not touched & {"session_state", "query_params"}


@pytest.mark.parametrize("path", sources("backend", "workers", "dashboard", "pages"), ids=named)
def test_statements_that_write_stand_in_storage_and_the_demo_only(path):
    if path.is_relative_to(ROOT / "backend" / "storage") or path.is_relative_to(ROOT / "backend" / "demo"):
        return
    writing = {f"{module}.{verb}" for module in ("sqlalchemy", "sqlalchemy.dialects.postgresql", "sqlalchemy.sql")
               for verb in ("insert", "update", "delete")}
    assert not writing & set(imports(path))
    strings = [node.value for node in ast.walk(ast.parse(path.read_text()))
               if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert not [words for words in strings if words.lstrip().lower().startswith(("insert into ", "delete from ", "truncate "))]


@pytest.mark.parametrize("path", sources("backend", "dashboard", "pages"), ids=named)
def test_only_jobs_speaks_to_rq(path):
    assert "rq" not in roots(path) or path.is_relative_to(ROOT / "backend" / "jobs")


@pytest.mark.parametrize("path", sources("backend", "workers", "dashboard", "pages"), ids=named)
def test_functions_are_short(path):
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines" for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno + 1 > FUNCTION_LINES]
    assert not long


def test_every_part_of_backend_has_its_arrows():
    assert {part_of(path) for path in sources("backend")} - {"__init__"} == set(BACKEND_ARROWS)


@pytest.mark.parametrize("path", sources("dashboard"), ids=named)
def test_no_module_of_dashboard_bears_a_standard_name(path):
    """Streamlit puts dashboard/ first on sys.path."""
    assert path.parent != ROOT / "dashboard" or path.stem not in sys.stdlib_module_names
