"""Who may reach whom inside a package and inside the core, over every import, late ones too."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/src/*/__init__.py"))
EVERYTHING = ["vitrail", *PACKAGES]
SYSTEMS = [*PACKAGES, "vitrail.faces"]

INFERENCE = ("job", "networks", "result", "writing", "checkpoint", "find", "follow")
LEARNING = ("data", "training", "evaluation", "measure", "parity")
LEARNING_OF_THE_CORE = ("training", "testing")
BELOW = {  # a room, and those that it may not reach
    "official": ("parity",),
    "checkpoint": ("parity", "networks", "job"),
    "model": ("official", "parity", "checkpoint", "networks", "job"),
    "models": ("official", "parity", "checkpoint", "networks", "job"),
    "result": ("writing", "job", "networks"),
    "networks": ("job", "writing", "parity"),
    "writing": ("job", "networks"),
}


@cache
def graph() -> grimp.ImportGraph:
    """All imports but those of the doors: ``<package>.load`` opens the job when it is called."""
    found = grimp.build_graph(*EVERYTHING, exclude_type_checking_imports=True, cache_dir=None)
    for package in PACKAGES:
        for room in found.find_modules_directly_imported_by(package):
            if room.startswith(f"{package}."):
                found.remove_import(importer=package, imported=room)
    return found


def chain(importer: str, imported: str) -> str:
    """How one room reaches another, module by module; empty where it does not."""
    modules = graph().modules
    if not {importer, imported} <= modules:
        return ""
    found = graph().find_shortest_chains(importer=importer, imported=imported, as_packages=True)
    return "\n".join(" -> ".join(path) for path in sorted(found, key=len)[:1])


@pytest.mark.parametrize("owner", SYSTEMS)
@pytest.mark.parametrize("room", INFERENCE)
def test_a_job_never_reaches_training(owner, room):
    """As a chain of imports; ``cli`` may open a room by its name, when a verb asks for it."""
    rooms = [f"{owner}.{name}" for name in LEARNING]
    rooms += [f"vitrail.{name}" for name in LEARNING_OF_THE_CORE]
    found = [path for name in rooms if (path := chain(f"{owner}.{room}", name))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("owner", PACKAGES)
def test_a_command_names_no_room_of_training(owner):
    rooms = [f"{owner}.{name}" for name in LEARNING]
    assert not [path for name in rooms if (path := chain(f"{owner}.cli", name))]


@pytest.mark.parametrize("owner", SYSTEMS)
@pytest.mark.parametrize("room", BELOW)
def test_rooms_know_only_those_below(owner, room):
    found = [path for name in BELOW[room] if (path := chain(f"{owner}.{room}", f"{owner}.{name}"))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("package", EVERYTHING)
def test_no_imports_go_in_a_circle(package):
    modules = {name for name in graph().modules if name.split(".")[0] == package}
    imports = {name: graph().find_modules_directly_imported_by(name) & modules for name in modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_a_room_that_is_checked_is_there():
    """A law over names that nobody has would always hold."""
    for room in ("job", "networks", "result", "writing", "checkpoint"):
        assert all(f"{package}.{room}" in graph().modules for package in PACKAGES), room
    for room in ("official", "parity"):  # a paper that nothing was released of has neither
        assert any(f"{package}.{room}" in graph().modules for package in PACKAGES), room


@pytest.mark.parametrize("package", PACKAGES)
def test_a_result_is_data(package):
    """It has no method that writes, and imports nothing that could."""
    (path,) = ROOT.glob(f"packages/*/src/{package}/result.py")
    tree = ast.parse(path.read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert not [name for name in names if name.startswith(("write", "save", "draw"))]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            text = ast.unparse(node)
            assert not [word for word in ("PIL", "csv", "report", "output") if word in text], text
