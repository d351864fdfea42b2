"""The weather of the local tenant blows on SMTP too: refusals, delays, lost answers, by command and path."""

from __future__ import annotations

import smtplib
import threading
import time
from typing import Any

import pytest

from tests.sandbox.submission.conftest import Connect, Office
from tests.sandbox.submission.test_sending import letter


@pytest.mark.parametrize(("status", "seen"), [(429, (421, b"4.3.2")), (451, (451, b"4.7.0")), (554, (554, b"5.7.0"))])
def test_it_refuses_a_command(office: Office, connect: Connect, status: int, seen: tuple[int, bytes]) -> None:
    """A status that only HTTP has means that the service is not available, and ends the connection."""
    ada = office.person("ada2")
    client = connect(ada)
    rule: dict[str, Any] = {"name": "storm", "action": "status", "status": status, "count": 1}
    office.sandbox.set_faults([{**rule, "match": {"method": "MAIL", "path": "^smtp://.*/ada2@"}}])
    code, text = client.mail(ada.user_principal_name)
    assert (code, text.split()[0]) == seen
    row = next(row for row in reversed(office.sandbox.log()) if row["method"] == "MAIL")
    assert (row["status"], row["fault"]) == (seen[0], "storm")
    if code == 421:
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()
    else:
        assert client.mail(ada.user_principal_name)[0] == 250


@pytest.mark.parametrize(("action", "arrived"), [("drop_before", 0), ("drop_after", 1)])
def test_it_loses_answers(office: Office, connect: Connect, action: str, arrived: int) -> None:
    """A client cannot tell which of the two it was: the message arrived or did not."""
    ada = office.person("ada2")
    client = connect(ada)
    office.sandbox.set_faults([{"match": {"method": "DATA"}, "action": action, "count": 1}])
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        client.send_message(letter(ada.user_principal_name, ada.user_principal_name))
    assert len(office.folder(ada)) == arrived


def test_it_holds_an_answer_until_it_is_released(office: Office, connect: Connect) -> None:
    ada = office.person("ada2")
    client = connect(ada)
    office.sandbox.set_faults([{"match": {"method": "DATA"}, "action": "hold_after", "count": 1}])
    message = letter(ada.user_principal_name, ada.user_principal_name)
    sending = threading.Thread(target=client.send_message, args=(message,))
    sending.start()
    deadline = time.monotonic() + 10
    while not office.sandbox.status()["held"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(office.folder(ada)) == 1
    assert sending.is_alive()
    office.sandbox.release()
    sending.join(10)
    assert not sending.is_alive()


def test_it_delays_a_sign_in(office: Office, connect: Connect) -> None:
    ada = office.person("ada2")
    office.sandbox.set_faults([{"match": {"method": "AUTH"}, "action": "delay", "seconds": 0.4}])
    started = time.monotonic()
    connect(ada)
    assert time.monotonic() - started >= 0.4
