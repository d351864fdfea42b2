"""The servers that answer token requests, each of which learns of a credential, or of its end, at its own moment.

Owns: which server answers, and when it learns of a change. Does not own: the credentials, or what a server says that
does not know one (``entra.credentials``).

Writes reach Entra's directory replicas one after the other ("Designing for Eventual Consistency for Microsoft Entra");
a secret that was accepted is refused by the next request (hashicorp/terraform-provider-vault#2079, #881). How many
servers answer one client, and how they are chosen, was not read at a source: here each request goes to any of them.
"""

from __future__ import annotations

import random


class Replicas:
    """Some servers behind one address.

    Args:
        servers: how many; one knows everything as late as the slowest of several.
        seed: of the draws, so that a run can be repeated.
    """

    def __init__(self, servers: int = 1, seed: int = 0) -> None:
        self._servers = servers
        self._seed = seed
        self._draw = random.Random(seed)  # noqa: S311 - reproducible weather, not a secret

    def answering(self) -> int:
        """The server that gets the next request."""
        return self._draw.randrange(self._servers)

    def lag(self, change: str, server: int, longest: float) -> float:
        """How long after a change a server learns of it, seconds: up to the longest, which one of them takes.

        Args:
            change: names it.
            server: from ``answering``.
            longest: the replication delay, seconds.
        """
        fate = random.Random(f"{self._seed} {change}")  # noqa: S311 - as above
        last = fate.randrange(self._servers)
        lags = [fate.uniform(0, longest) for _ in range(self._servers)]
        return longest if server == last else lags[server]
