"""How much one mailbox may send: messages at once, messages a minute, recipients a day.

Source: "Improvements to the SMTP Authenticated Submission client protocol" (three messages at the same time, 30
messages a minute of which the rest is delayed, 10,000 recipients a day) and "Exchange Online limits" (500 recipients a
message, 35 MB a message).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from provision.sandbox.directory import Directory

AT_ONCE = 3
A_MINUTE = 30
RECIPIENTS_A_DAY = 10_000
RECIPIENTS_A_MESSAGE = 500
MESSAGE_BYTES = 36_700_160
"""``MaxSendSize`` of a new mailbox: 35 MB."""
ANNOUNCED_BYTES = 157_286_400
"""What the server announces as ``SIZE``: the most that an administrator can set."""

_HOUR = 3600
_DAY = 24 * _HOUR


class Limits:
    """The counters of one server; those of a day live in the store and survive it.

    Args:
        directory: the store, with the clock that counts.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._sending: dict[str, int] = defaultdict(int)
        self._minutes: dict[str, deque[float]] = defaultdict(deque)

    @contextmanager
    def sending(self, mailbox_id: str) -> Iterator[bool]:
        """Counts a message on its way in; yields whether there is room for it."""
        self._sending[mailbox_id] += 1
        try:
            yield self._sending[mailbox_id] <= AT_ONCE
        finally:
            self._sending[mailbox_id] -= 1

    def delivery_time(self, mailbox_id: str) -> float:
        """When a message handed over now is delivered: at once, or in the minute that has room (tenant's time)."""
        now = self._directory.clock.now()
        slots = self._minutes[mailbox_id]
        while slots and slots[0] <= now - 60:
            slots.popleft()
        due = now if len(slots) < A_MINUTE else slots[-A_MINUTE] + 60
        slots.append(due)
        return due

    def take_recipients(self, tenant_id: str, mailbox_id: str, count: int) -> bool:
        """Counts recipients; False, and nothing counted, when they are more than the last 24 hours leave."""
        hour = int(self._directory.clock.now() // _HOUR)
        kept = self._directory.get(tenant_id, "submissionQuota", mailbox_id, fresh=True)
        hours = {int(at): sent for at, sent in (kept or {}).get("hours", {}).items() if int(at) > hour - _DAY // _HOUR}
        if sum(hours.values()) + count > RECIPIENTS_A_DAY:
            return False
        hours[hour] = hours.get(hour, 0) + count
        document = {"id": mailbox_id, "hours": hours}
        if kept is None:
            self._directory.insert(tenant_id, "submissionQuota", document)
        else:
            self._directory.replace(tenant_id, "submissionQuota", document)
        return True
