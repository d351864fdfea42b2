"""The domain's records, asked of a real DNS server on this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import dns.message
import dns.rcode
import dns.rrset
import pytest

from provision.diagnose import dns as reading
from provision.diagnose.facts import NotKnown
from provision.errors import InvalidInput

ZONE = {
    ("good.example.", "MX"): ["20 backup.good.example.", "10 good-example.mail.protection.outlook.com."],
    ("good.example.", "TXT"): ['"other=1"', '"v=spf1 include:spf.protection" ".outlook.com -all"'],
    ("selector1._domainkey.good.example.", "CNAME"): ["selector1-good._domainkey.tenant.example."],
    ("selector1-good._domainkey.tenant.example.", "TXT"): ['"v=DKIM1; k=rsa; p=MIIB"'],
    ("selector2._domainkey.good.example.", "TXT"): ['"v=DKIM1; p="'],
    ("_dmarc.good.example.", "TXT"): ['"v=DMARC1; p=none"'],
    ("null.example.", "MX"): ["0 ."],
}
NAMES = {name for name, _ in ZONE}


class Server:
    """A DNS server over UDP that answers from ``ZONE``; asked for ``silent.example`` it says nothing."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                wire, client = self._socket.recvfrom(4096)
            except OSError:
                return
            query = dns.message.from_wire(wire)
            name = str(query.question[0].name).lower()
            if "silent" in name:
                continue
            self._socket.sendto(self._answer(query, name).to_wire(), client)

    @staticmethod
    def _answer(query: dns.message.Message, name: str) -> dns.message.Message:
        answer = dns.message.make_response(query)
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        if "broken" in name:
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer
        if name not in NAMES:
            answer.set_rcode(dns.rcode.NXDOMAIN)
            return answer
        for target in ZONE.get((name, "CNAME"), ()):
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", target))
            name = target
        if rows := ZONE.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *rows))
        return answer

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def test_every_record_of_a_good_domain_is_read(server):
    found = reading.read("good.example", server=server.address)
    assert found.mx == ("good-example.mail.protection.outlook.com", "backup.good.example")
    assert found.spf == ("v=spf1 include:spf.protection.outlook.com -all",)
    assert found.dkim == ("selector1",), "a revoked key (RFC 6376, 3.6.1) is none"
    assert found.dmarc == "v=DMARC1; p=none"


def test_a_domain_without_records_has_none_and_is_known_to(server):
    found = reading.read("empty.example", server=server.address)
    assert (found.mx, found.spf, found.dkim, found.dmarc) == ((), (), (), None)
    assert reading.read("null.example", server=server.address).mx == (), "the null MX takes no mail"


@pytest.mark.parametrize("name", ["broken.example", "silent.example"])
def test_a_server_that_fails_or_says_nothing_makes_nothing_known(server, name, monkeypatch):
    monkeypatch.setattr(reading, "_SECONDS", 0.4)
    found = reading.read(name, server=server.address)
    assert isinstance(found.mx, NotKnown)
    assert "MX of" in found.mx.reason
    assert isinstance(found.dmarc, NotKnown)


@pytest.mark.parametrize("address", ["127.0.0.1:dns", "not an address:53"])
def test_an_address_that_cannot_be_a_server_is_refused(address):
    with pytest.raises(InvalidInput, match="not the address of a DNS server"):
        reading.read("good.example", server=address)


@pytest.mark.parametrize("name", ["a..b", "-" * 300, "exa mple.com"])
def test_a_name_that_cannot_be_a_domain_is_no_crash(server, name):
    found = reading.read(name, server=server.address)
    assert isinstance(found.mx, NotKnown) or found.mx == ()
