"""Microsoft's clock beside this machine's, by the ``Date`` of its answers."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_AGREE = timedelta(minutes=1)


class Clock:
    """What one line to Microsoft has been told of the time."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    @property
    def ahead(self) -> timedelta:
        """How far Microsoft's clock is ahead of this machine's, by the last answer's ``Date``; whole seconds."""
        return self._ahead

    def now(self) -> datetime:
        """The present: by Microsoft's clock when this machine's differs from it by a minute or more (``ahead``)."""
        return datetime.now(UTC) + (self.ahead if abs(self.ahead) >= _AGREE else timedelta(0))

    def note(self, date: str | None) -> None:
        """Takes an answer's ``Date``; none, or what is no time or has no zone, leaves what was known."""
        with contextlib.suppress(ValueError, TypeError):
            self._ahead = parsedate_to_datetime(date or "") - datetime.now(UTC).replace(microsecond=0)
