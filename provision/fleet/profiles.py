"""Product profiles of one's own on their way to a worker, which has not the folder that they lie in.

Owns: reading them beside a project or a fleet file, and writing them beside whatever reads them there. Does not own:
what a profile is (``settings.profile``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provision.errors import InvalidInput


def own_profiles(folder: Path) -> dict[str, str]:
    """The product profiles of one's own beside a project or a fleet file, to go with its jobs: name to TOML.

    Raises:
        InvalidInput: one cannot be read.
    """
    found = {}
    for file in sorted((folder / "profiles").glob("*.toml")):
        try:
            found[file.stem] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise InvalidInput(
                f"The profile {file} cannot be read.", remedy="Make it readable UTF-8 text, or remove it."
            ) from None
    return found


def put_profiles(profiles: Mapping[str, str], folder: Path) -> None:
    """Writes them beside a project or whatever else is in a folder.

    Args:
        profiles: name to TOML; a name leads to no other folder.
        folder: where ``profiles`` is made, if there are any.
    """
    for name, text in profiles.items():
        place = folder / "profiles"
        place.mkdir(exist_ok=True)
        (place / f"{Path(name).name}.toml").write_text(text, encoding="utf-8")
