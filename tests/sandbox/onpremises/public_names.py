"""Run in a network and mount namespace of its own: clients that know nothing of a local tenant, at the public names.

Started by ``test_public_names.py``. It brings loopback up, answers DNS for every name with 127.0.0.1, starts the local
tenant on port 443, and plays one of ``STORIES``; the last line is a JSON object with what it saw.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

_SIOCSIFFLAGS, _UP_AND_RUNNING = 0x8914, 0x41


def loopback_up() -> None:
    """What ``ip link set lo up`` does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))


ABSENT: set[str] = set()
"""Names that the name server does not know."""
SERVICES: dict[str, str] = {}
"""SRV records: a name and its one record."""
ASKED: list[tuple[str, str]] = []
"""What the name server was asked: kinds and names."""


def answer_names() -> None:
    """A name server for this namespace: every name but ``ABSENT`` has the address 127.0.0.1, some have a service."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 53))

    def serve() -> None:
        while True:
            question, client = listener.recvfrom(4096)
            asked = dns.message.from_wire(question)
            answer = dns.message.make_response(asked)
            answer.flags |= dns.flags.RA
            wanted, kind = asked.question[0].name, dns.rdatatype.to_text(asked.question[0].rdtype)
            name = wanted.to_text(omit_final_dot=True).lower()
            ASKED.append((kind, name))
            if name in ABSENT or (kind == "SRV" and name not in SERVICES):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            elif kind in {"A", "SRV"}:
                record = "127.0.0.1" if kind == "A" else SERVICES[name]
                answer.answer.append(dns.rrset.from_text(wanted, 60, "IN", kind, record))
            listener.sendto(answer.to_wire(), client)

    threading.Thread(target=serve, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("resolv.conf", "nameserver 127.0.0.1\n"), ("hosts", "127.0.0.1 localhost\n")):
            file = Path(folder) / name
            file.write_text(text)
            subprocess.run(["mount", "--bind", str(file), str(Path("/etc", name).resolve())], check=True)


def by_name(server: Any) -> dict[str, object]:
    """Nothing set but an address and a password: exchangelib finds, signs in and sends by itself."""
    import httpx
    from entra_tenant import Entra
    from ews_tenant import Ews
    from exchangelib import (
        DELEGATE,
        IMPERSONATION,
        OAUTH2,
        Account,
        Configuration,
        Credentials,
        Identity,
        Mailbox,
        Message,
    )
    from exchangelib.credentials import OAuth2Credentials

    ada, olga = server.new_accounts(server.first, {"alias": "ada"}, {"alias": "olga"})
    seen: dict[str, object] = {}

    def opened(person: dict[str, str]) -> Account:
        signed_in = Credentials(person["domainUser"], person["password"])
        return Account(person["mail"], credentials=signed_in, autodiscover=True, access_type=DELEGATE)

    account = opened(ada)
    seen["endpoint"], seen["auth"] = account.protocol.service_endpoint, account.protocol.auth_type
    Message(account=account, subject="Found", to_recipients=[Mailbox(email_address=olga["mail"])]).send()
    seen["own"] = [str(one.sender.email_address) for one in opened(olga).inbox.filter(subject="Found")]

    with httpx.Client(base_url=server.base_url, verify=str(server.ca_file), trust_env=False) as http:
        entra = Entra(http, server.first, server)
        ews = Ews(entra, entra.register(), server)
        ews.grant()
        ews.allow()
        identity = Identity(primary_smtp_address=entra.upn("bob"))
        credentials = OAuth2Credentials(
            client_id=ews.app.client_id,
            client_secret=ews.app.secret,
            tenant_id=server.tenant_id,
            identity=identity,
        )
        config = Configuration(server="outlook.office365.com", credentials=credentials, auth_type=OAUTH2)
        cloud = Account(entra.upn("bob"), config=config, autodiscover=False, access_type=IMPERSONATION)
        to = [Mailbox(email_address=entra.upn("bob"))]
        Message(account=cloud, subject="Online", to_recipients=to).send()
        seen["cloud"] = cloud.inbox.filter(subject="Online").count()
    seen["hosts"] = sorted({row["host"] for row in server.log() if "/EWS/" in row["path"]})
    return seen


def by_service_record(server: Any) -> dict[str, object]:
    """The domain has no address of its own: ``provision verify`` fails, until DNS names the service."""
    (ada,) = server.new_accounts(server.first, {"alias": "ada"})
    domain = ada["mail"].partition("@")[2]
    ABSENT.update({domain, f"autodiscover.{domain}"})
    command = [sys.executable, "-m", "provision", "verify", "--via", "ews", "--user", ada["mail"], "--json"]
    command += ["--ews-user", ada["domainUser"], "--ews-autodiscover", "--ews-auth", "ntlm", "--password-file", "-"]

    def verify() -> dict[str, object]:
        ASKED.clear()
        done = subprocess.run(command, input=ada["password"], capture_output=True, text=True, check=False)
        steps = json.loads(done.stdout)["steps"]
        service = f"_autodiscover._tcp.{domain}"
        return {
            "code": done.returncode,
            "steps": [(step["step"], step["outcome"]) for step in steps],
            "said": steps[0]["said"],
            "asked": ("SRV", service) in ASKED,
        }

    without = verify()
    SERVICES[f"_autodiscover._tcp.{domain}"] = f"0 0 443 mail.{domain}."
    return {"without": without, "with": verify()}


STORIES: dict[str, Callable[[Any], dict[str, object]]] = {"names": by_name, "service": by_service_record}


def main() -> None:
    """Plays the story that the second argument names, with the tenant's files where the first says."""
    loopback_up()
    answer_names()
    from provision.sandbox import Sandbox

    with Sandbox(Path(sys.argv[1]), port=443, public_names=True) as server:
        os.environ |= {name: str(server.ca_file) for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")}
        sys.stdout.write(f"{json.dumps(STORIES[sys.argv[2]](server))}\n")


if __name__ == "__main__":
    main()
