#!/usr/bin/env python3
"""Diagnosis without the whole command line: ``scripts/diagnose.py --mailbox anna@contoso.com --via smtp``.

The same as ``provision diagnose …`` (docs/diagnose.md).
"""

import sys

from provision.cli import run

if __name__ == "__main__":
    sys.exit(run(["diagnose", *sys.argv[1:]]))
