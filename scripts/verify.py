#!/usr/bin/env python3
"""Proof that mail goes out without the whole command line: ``scripts/verify.py --user anna@contoso.com``.

The same as ``provision verify …`` (docs/verify.md).
"""

import sys

from provision.cli import run

if __name__ == "__main__":
    sys.exit(run(["verify", *sys.argv[1:]]))
