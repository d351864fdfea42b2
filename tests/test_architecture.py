"""The arrows of docs/architecture.md: which room may import which. A new arrow is a decision, made in the open."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "provision"

ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "settings": {"errors"},
    "microsoft": {"settings", "errors"},
    "app": {"microsoft", "settings", "errors"},
    "secrets": {"journal", "microsoft", "settings", "errors"},
    "mailbox": {"journal", "microsoft", "settings", "errors"},
    "engine": {"settings", "errors"},
    "journal": {"settings", "errors"},
    "standin": {"microsoft", "settings", "errors"},
    "mail": {"microsoft", "settings", "errors"},
    "google": {"mail", "settings", "errors"},
    "onboard": {"app", "secrets", "engine", "journal", "microsoft", "settings", "errors"},
    "fleet": {
        "onboard",
        "diagnose",
        "mailbox",
        "app",
        "secrets",
        "engine",
        "journal",
        "microsoft",
        "settings",
        "errors",
    },
    "report": {"errors"},
    "diagnose": {"mail", "mailbox", "microsoft", "settings", "errors"},
    "sandbox": set(),
    "cli": {
        "fleet",
        "diagnose",
        "onboard",
        "mail",
        "google",
        "app",
        "secrets",
        "mailbox",
        "engine",
        "journal",
        "microsoft",
        "settings",
        "sandbox",
        "report",
        "errors",
    },
    "__main__": {"cli"},
}
STACKS = {"app", "mailbox", "settings", "errors"}


def imported_rooms(path: Path) -> set[str]:
    """The rooms of ``provision`` that a file imports, inside functions too."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; name the room"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "provision" else [module]
        rooms |= {name.split(".")[1] for name in names if name.startswith("provision.")}
    return rooms


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_is_on_the_map() -> None:
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms <= set(ARROWS), "a room is missing from ARROWS and docs/architecture.md"
    drawn = (ROOT / "docs/architecture.md").read_text()
    assert not [room for room in ARROWS if room not in drawn]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        assert not imported_rooms(path)
        return
    assert imported_rooms(path) - {room} <= ARROWS[room]


@pytest.mark.parametrize("path", sorted((ROOT / "stacks").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_programs_stand_on_the_app_room_only(path: Path) -> None:
    assert imported_rooms(path) <= STACKS


def test_no_drawer_rooms() -> None:
    """Names that say nothing about what is inside collect everything; the house has none."""
    drawers = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "lib"}
    assert not [path for path in PACKAGE.rglob("*") if path.stem in drawers]
