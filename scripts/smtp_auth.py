#!/usr/bin/env python3
"""SMTP AUTH of mailboxes without the whole command line: ``scripts/smtp_auth.py enable anna@contoso.com --yes``.

The same as ``provision smtp-auth …`` (docs/smtp-auth.md).
"""

import sys

from provision.cli import run

if __name__ == "__main__":
    sys.exit(run(["smtp-auth", *sys.argv[1:]]))
