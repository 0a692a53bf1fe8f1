"""The collection's packages have ranks; a file imports its own package or one of a lower rank."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "collections/ansible_collections/mec/migration/plugins"
THIRD_PARTY = "ansible_collections.mec.migration.plugins."
RANKS = {
    "module_utils": {
        "base": 0,
        "state": 1,
        "transport": 1,
        "kernel": 1,
        "docker": 2,
        "criu": 3,
        "network": 4,
        "image": 4,
        "files": 4,
        "memory": 4,
        "service": 5,
        "preflight": 6,
        "source": 7,
        "target": 7,
        "resolve": 8,
        "module": 8,
    },
    "plugin_utils": {
        "base": 0,
        "inputs": 1,
        "location": 2,
        "mdp": 2,
        "evaluation": 3,
        "prediction": 3,
        "decision": 3,
        "report": 4,
        "loop": 4,
        "resolve": 4,
        "actions": 5,
    },
}
MOST_LINES = 500


def imports(util: str, package: str, source: str) -> Iterator[tuple[str, str, str]]:
    """Each import of the collection's own code in *source*: library, package and file it leads to.

    Local imports and those for type checkers count: they are shipped, too.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom):
            continue
        words = (node.module or "").split(".") if node.module else []
        if node.level == 0:
            if not (node.module or "").startswith(THIRD_PARTY):
                continue
            words = words[4:]
        elif node.level == 1:
            words = [util, package, *words]
        elif node.level == 2:
            words = [util, *words]
        for name in node.names:
            path = [*words, name.name]
            yield path[0], path[1], path[2] if len(path) > 2 else ""


def violations(util: str, package: str, source: str) -> list[str]:
    """What in *source*, a file of *package*, breaks the rule."""
    ranks, found = RANKS[util], []
    for library, other, _file in imports(util, package, source):
        if library != util:
            if util == "module_utils" or other != "base":
                found.append(f"imports {library}.{other}")
        elif other != package and ranks[other] >= ranks[package]:
            found.append(f"imports {other}, of rank {ranks[other]}, from rank {ranks[package]}")
    return found


FILES = [(util, path) for util in RANKS for path in sorted((PLUGINS / util).rglob("*.py"))]


@pytest.mark.parametrize(
    ("util", "path"), FILES, ids=[f"{util}/{path.parent.name}/{path.stem}" for util, path in FILES]
)
def test_a_file_imports_its_own_package_or_one_of_a_lower_rank(util, path):
    assert path.parent.parent.name == util, "helpers lie in packages"
    assert violations(util, path.parent.name, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("util", "package", "source"),
    [
        ("module_utils", "kernel", "from ..docker.client import docker_client"),
        ("module_utils", "source", "from ..target.receiver import Receiver"),
        ("module_utils", "kernel", "def late():\n    from ..memory import trackers"),
        ("module_utils", "base", "if TYPE_CHECKING:\n    from ..kernel.cgroup import Cgroup"),
        ("module_utils", "base", "from ...plugin_utils.base.errors import DecisionError"),
        ("plugin_utils", "loop", "from ...module_utils.memory.source import MemorySource"),
        ("plugin_utils", "mdp", f"from {THIRD_PARTY}plugin_utils.decision.request import plain"),
    ],
)
def test_an_import_that_breaks_the_rule_is_found(util, package, source):
    assert violations(util, package, source)


@pytest.mark.parametrize("util", RANKS)
def test_no_files_import_each_other_in_a_circle(util):
    graph = {}
    for path in sorted((PLUGINS / util).rglob("*.py")):
        package = path.parent.name
        reached = imports(util, package, path.read_text(encoding="utf-8"))
        own = {(pkg, file) for library, pkg, file in reached if library == util}
        graph[(package, path.stem)] = own
    done: set[tuple[str, str]] = set()

    def walk(file, way):
        assert file not in way, " -> ".join("/".join(step) for step in (*way, file))
        if file in done or file not in graph:
            return
        for other in graph[file]:
            walk(other, (*way, file))
        done.add(file)

    for file in graph:
        walk(file, ())


def packed(module: str) -> set[str]:
    """The files of ``module_utils`` that Ansible sends to a host with *module*, as ``package/file``."""
    found: set[str] = set()
    todo = [("", PLUGINS / "modules" / f"{module}.py")]
    while todo:
        package, path = todo.pop()
        for _library, other, file in imports("module_utils", package, path.read_text(encoding="utf-8")):
            if f"{other}/{file}" not in found:
                found.add(f"{other}/{file}")
                todo.append((other, PLUGINS / "module_utils" / other / f"{file}.py"))
    return found


@pytest.mark.parametrize("moves", ["criu/dump", "files/sync", "memory/trackers", "transport/wire"])
def test_what_looks_for_a_service_on_every_host_is_sent_without_what_moves_one(moves):
    """Every move begins with a look, and each file that is sent costs time on controller and hosts."""
    assert moves not in packed("container_spec_info")
    assert moves in packed("live_migration")


@pytest.mark.parametrize("util", RANKS)
def test_no_file_is_too_long_to_read_at_one_sitting(util):
    lines = {
        path: len(path.read_text(encoding="utf-8").splitlines()) for path in (PLUGINS / util).rglob("*.py")
    }
    assert {str(path): count for path, count in lines.items() if count > MOST_LINES} == {}
