"""The house: imports go down only, each library has one door, and files stay small."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "videod"
FILES = sorted(SOURCE.rglob("*.py"))

# the lowest layer first; a folder stands for all that is in it
LAYERS = [
    {"__init__", "errors", "redact", "config", "fields", "message", "job", "events", "cancel", "progress"}
    | {"backoff", "spent"},
    {"guardian", "pipes", "process", "limits", "space", "slots", "connections", "logs", "heap"}
    | {"vault", "jobqueue", "embedded", "media", "mp4", "codec", "transfer", "isapi"},
    {"context", "shared", "obtain", "deliver", "kinds", "intake", "attempt", "fitness", "pool", "claiming", "worker"},
    {"signals", "systemd", "reload", "heartbeat", "postman", "rounds", "boot", "service"},
    {"pidfile", "note", "daemonize", "sources", "web", "cli", "__main__"},
]
# a kind and the rooms below it see no Redis, signal, thread
BLIND = {"kinds", "media", "mp4", "transfer", "codec", "isapi"}
DOORS = {
    "redis": "jobqueue/connection.py",
    "subprocess": "process.py",
    "daemon": "daemonize.py",
    "lockfile": {"pidfile.py", "daemonize.py"},
    "http.client": {f"transfer/{name}.py" for name in ("http", "body", "connection", "response")},
    "m3u8": "transfer/playlist.py",
    "defusedxml": "isapi/document.py",
    "uvicorn": "web/serving.py",
    "jinja2": "web/looks.py",
    "itsdangerous": "web/sessions.py",
    "python_multipart": "web/forms.py",
    "argon2": {"web/access.py", "cli/web.py"},
}


def room(path: Path) -> str:
    part = path.relative_to(SOURCE).parts[0]
    return part.removesuffix(".py")


def imports(path: Path) -> list[str]:
    """Absolute names of all imports, wherever they stand; not those for type checking alone."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [
                f"{node.module}.{alias.name}" if node.module == "videod" else str(node.module) for alias in node.names
            ]
    return found


def layer(name: str) -> int:
    return next(i for i, rooms in enumerate(LAYERS) if name in rooms)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_down_only(path: Path) -> None:
    own = layer(room(path))
    for name in imports(path):
        if name.startswith("videod."):
            other = name.split(".")[1]
            assert other == "__version__" or layer(other) <= own, f"{path} imports {name}"
            if room(path) in BLIND:
                assert other not in {"jobqueue", "worker", "pool", "signals", "service"}, f"{path} imports {name}"


def test_there_are_no_cycles() -> None:
    graph = {path: set[Path]() for path in FILES}
    for path in FILES:
        for name in imports(path):
            file = ROOT / (name.replace(".", "/") + ".py")
            if file in graph and file != path:
                graph[path].add(file)
    done: set[Path] = set()

    def walk(path: Path, way: tuple[Path, ...]) -> None:
        assert path not in way, f"cycle: {[str(p.relative_to(SOURCE)) for p in (*way, path)]}"
        if path not in done:
            for below in graph[path]:
                walk(below, (*way, path))
            done.add(path)

    for path in FILES:
        walk(path, ())


def test_each_library_has_one_door() -> None:
    for path in FILES:
        name = str(path.relative_to(SOURCE))
        for library in {full.split(".")[0] for full in imports(path)}:
            doors = DOORS.get(library, name)
            assert name == doors or name in doors, f"{name} imports {library}"


def test_kinds_see_no_thread_and_no_signal() -> None:
    for path in FILES:
        if room(path) == "kinds":
            assert not {"threading", "signal", "concurrent", "queue"} & {n.split(".")[0] for n in imports(path)}, path


def test_no_shell_no_preexec_no_drawer() -> None:
    for path in FILES:
        text = path.read_text()
        assert not re.search(r"shell\s*=\s*True|preexec_fn\s*=|os\.system\(|os\.popen\(", text), path
        assert path.stem not in {"utils", "helpers", "common", "base", "manager", "misc"}, path


def test_only_daemonize_forks() -> None:
    assert [p.name for p in FILES if "os.fork(" in p.read_text()] == ["daemonize.py"]


def test_files_and_functions_stay_small() -> None:
    for path in FILES:
        lines = path.read_text().count("\n")
        assert lines <= 300, f"{path}: {lines} lines"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"


def test_no_state_at_module_level() -> None:
    """No empty container or instance that functions could fill: such state has no owner."""
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
            empty = (
                isinstance(value, (ast.List, ast.Set))
                and not value.elts
                or isinstance(value, ast.Dict)
                and not value.keys
            )
            assert not empty, f"{path}:{node.lineno}"
            assert not any(isinstance(inner, ast.Global) for inner in ast.walk(node)), f"{path}:{node.lineno}"
