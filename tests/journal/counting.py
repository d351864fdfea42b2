"""A process that counts in a journal: ``counting.py URL KEY TIMES``. Says how often it had to read again."""

from __future__ import annotations

import sys

from provision.journal import Conflict, open_store


def main() -> None:
    url, key, times = sys.argv[1:]
    store = open_store(url)
    again = 0
    for _ in range(int(times)):
        while True:
            entry = store.read(key)
            count = 0 if entry is None else entry.document["count"]
            try:
                store.write(key, {"count": count + 1}, expected=None if entry is None else entry.version)
            except Conflict:
                again += 1
            else:
                break
    sys.stdout.write(f"{again}\n")


if __name__ == "__main__":
    main()
