"""The ends of secrets as a calendar (RFC 5545) to import or to subscribe to: an event for each, with two reminders.

An event's UID is the key id, so a calendar that is read again moves its events instead of adding some. A secret without
an end has no event.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, timedelta

from icalendar import Alarm, Calendar, Event

from provision.secrets.expiry import Entry, Registration

_REMINDERS = (timedelta(days=30), timedelta(days=7))
_ANEW = timedelta(days=1)
"""How often a subscriber should read it again (RFC 7986, REFRESH-INTERVAL)."""
_WORDS = {"secret": "Client secret", "certificate": "Certificate"}


def calendar(registrations: Iterable[Registration]) -> str:
    """The calendar.

    Args:
        registrations: whose secrets and certificates.

    Returns:
        Lines that end in CR LF, as RFC 5545 has them.
    """
    made = Calendar.new(
        prodid="-//provision//secrets status//EN", name="Ends of client secrets", refresh_interval=_ANEW
    )
    for registration in registrations:
        for entry in registration.entries:
            if entry.ends is not None:
                made.add_component(_event(registration, entry))
    text: bytes = made.to_ical()
    return text.decode()


def _event(registration: Registration, entry: Entry) -> Event:
    title = f"{_WORDS[entry.kind]} {entry.name or entry.key_id} of {registration.name} ends"
    whose = f"slot {entry.slot.upper()} of provision" if entry.slot else "not made by provision"
    event = Event()
    event.add("uid", f"{entry.key_id}@{registration.client_id}")
    event.add("dtstamp", registration.at.astimezone(UTC))
    event.add("dtstart", (entry.ends or registration.at).astimezone(UTC).replace(microsecond=0))
    event.add("summary", title)
    event.add(
        "description",
        f"Key id: {entry.key_id}\nClient id: {registration.client_id}\nTenant: {registration.tenant_id}\n"
        f"Whose: {whose}{', in use' if entry.in_use else ''}",
    )
    event.add("transp", "TRANSPARENT")
    for before in _REMINDERS:
        alarm = Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("trigger", -before)
        alarm.add("description", f"{title} in {before.days} days")
        event.add_component(alarm)
    return event
