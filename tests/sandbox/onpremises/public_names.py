"""Run in a network and mount namespace of its own: clients that know nothing of a local tenant, at the public names.

Started by ``test_public_names.py``. It brings loopback up, answers DNS for every name with 127.0.0.1, starts the local
tenant on port 443, and lets exchangelib find, sign in and send by itself; the last line is a JSON object with what it
saw.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

_SIOCSIFFLAGS, _UP_AND_RUNNING = 0x8914, 0x41


def loopback_up() -> None:
    """What ``ip link set lo up`` does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))


def answer_names() -> None:
    """A name server for this namespace: every name has the address 127.0.0.1 and nothing else."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 53))

    def serve() -> None:
        while True:
            question, client = listener.recvfrom(4096)
            asked = dns.message.from_wire(question)
            answer = dns.message.make_response(asked)
            answer.flags |= dns.flags.RA
            if asked.question[0].rdtype == dns.rdatatype.A:
                answer.answer.append(dns.rrset.from_text(asked.question[0].name, 60, "IN", "A", "127.0.0.1"))
            listener.sendto(answer.to_wire(), client)

    threading.Thread(target=serve, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("resolv.conf", "nameserver 127.0.0.1\n"), ("hosts", "127.0.0.1 localhost\n")):
            file = Path(folder) / name
            file.write_text(text)
            subprocess.run(["mount", "--bind", str(file), str(Path("/etc", name).resolve())], check=True)


def main() -> None:
    """Everything."""
    loopback_up()
    answer_names()
    import os

    import httpx
    from entra_tenant import Entra
    from ews_tenant import Ews

    from provision.sandbox import Sandbox

    with Sandbox(Path(sys.argv[1]), port=443, public_names=True) as server:
        os.environ |= {name: str(server.ca_file) for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")}
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
        sys.stdout.write(f"{json.dumps(seen)}\n")


if __name__ == "__main__":
    main()
