#!/usr/bin/env python3
"""The pages that are made from data: docs/rules.md."""

from pathlib import Path

from provision.diagnose.forms.reference import reference

if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs/rules.md").write_text(reference(), encoding="utf-8")
