#!/usr/bin/env python3
"""The pages that are made from data: docs/rules.md, and the schema of a fleet file."""

from pathlib import Path

from provision.diagnose.forms.reference import reference
from provision.fleet.source.schema import PUBLISHED, text

if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs/rules.md").write_text(reference(), encoding="utf-8")
    PUBLISHED.write_text(text(), encoding="utf-8")
