"""DNS of the sending domain, by dnspython: MX, SPF, Microsoft's two DKIM selectors, DMARC.

Owns: the questions. Does not own: what the answers mean (``rules.domain``). A name that is not there is an answer; a
server that does not answer is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.diagnose.facts import DomainFacts, NotKnown
from provision.errors import InvalidInput

if TYPE_CHECKING:
    from dns.resolver import Resolver

SELECTORS = ("selector1", "selector2")
"""Microsoft's ("How to use DKIM for email in your custom domain")."""
_SECONDS = 5.0


def read(domain: str, *, server: str | None = None) -> DomainFacts:
    """Reads a domain's records.

    Args:
        domain: its name.
        server: ``address:port`` of the DNS server to ask; the machine's own without it.

    Raises:
        InvalidInput: the server's address cannot be.
    """
    try:
        resolver = _resolver(server)
    except ModuleNotFoundError:
        because = NotKnown("the Python package dnspython is not installed (pip install 'provision[dns]')")
        return DomainFacts(domain, because, because, because, because)
    return DomainFacts(
        name=domain,
        mx=_hosts(_ask(resolver, domain, "MX")),
        spf=_beginning(_ask(resolver, domain, "TXT"), "v=spf1"),
        dkim=_keys(resolver, domain),
        dmarc=_first(_beginning(_ask(resolver, f"_dmarc.{domain}", "TXT"), "v=dmarc1")),
    )


def _resolver(server: str | None) -> Resolver:
    import dns.exception
    import dns.resolver

    try:
        resolver = dns.resolver.Resolver(configure=server is None)
    except dns.exception.DNSException:
        raise InvalidInput("This machine has no DNS server.", remedy="Name one: --dns-server ADDRESS:PORT.") from None
    if server is not None:
        host, _, port = server.rpartition(":")
        try:
            resolver.nameservers = [host or server]
            resolver.port = int(port) if host else 53
        except ValueError:
            raise InvalidInput(
                f"{server!r} is not the address of a DNS server.", remedy="Write it as 192.0.2.53:53."
            ) from None
    resolver.timeout, resolver.lifetime = _SECONDS / 2, _SECONDS
    return resolver


def _ask(resolver: Resolver, name: str, kind: str) -> list[str] | NotKnown:
    import dns.exception
    import dns.resolver

    try:
        answer = resolver.resolve(name, kind)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError, ValueError):
        return NotKnown(f"DNS gives no answer for {kind} of {name}")
    if kind == "MX":
        return [str(row.exchange) for row in sorted(answer, key=lambda row: row.preference)]
    return [b"".join(row.strings).decode("utf-8", "replace") for row in answer]


def _hosts(found: list[str] | NotKnown) -> tuple[str, ...] | NotKnown:
    """Names without the closing dot; the null MX (RFC 7505) is none."""
    if isinstance(found, NotKnown):
        return found
    return tuple(host.rstrip(".").lower() for host in found if host != ".")


def _beginning(found: list[str] | NotKnown, word: str) -> tuple[str, ...] | NotKnown:
    if isinstance(found, NotKnown):
        return found
    return tuple(text for text in found if text.lower() == word or text.lower().startswith((f"{word} ", f"{word};")))


def _first(found: tuple[str, ...] | NotKnown) -> str | NotKnown | None:
    return found if isinstance(found, NotKnown) else next(iter(found), None)


def _keys(resolver: Resolver, domain: str) -> tuple[str, ...] | NotKnown:
    there = []
    for selector in SELECTORS:
        found = _ask(resolver, f"{selector}._domainkey.{domain}", "TXT")
        if isinstance(found, NotKnown):
            return found
        if any("p=" in text and not text.replace(" ", "").endswith("p=") for text in found):
            there.append(selector)
    return tuple(there)
