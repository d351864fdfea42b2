"""Envelopes of Exchange Web Services: reading one from a stranger, writing answers and faults.

Owns: XML. Does not own: operations, or who may call them.
Source: "EWS operations in Exchange" and "Handling errors in EWS" (the fault's form; it comes with HTTP status 500).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
ERRORS = "http://schemas.microsoft.com/exchange/services/2006/errors"

MAX_BODY = 36 * 1024 * 1024
"""Bytes of a request: Exchange takes messages of 36 MB ("Exchange Online limits"), and EWS carries them as text."""
_MAX_DEPTH = 60

for _prefix, _name in (("s", SOAP), ("m", MESSAGES), ("t", TYPES), ("e", ERRORS)):
    ET.register_namespace(_prefix, _name)


class Malformed(Exception):
    """The request is no SOAP envelope; ``line`` and ``position`` say where it stops being one."""

    def __init__(self, violation: str, *, line: int = 0, position: int = 0) -> None:
        super().__init__(violation)
        self.violation = violation
        self.line = line
        self.position = position


@dataclass(frozen=True)
class Envelope:
    """A request."""

    name: str
    """The operation, for example ``CreateItem``."""
    operation: Element
    version: str | None
    """``RequestServerVersion``."""
    impersonation: Element | None
    """``ConnectingSID`` of the ``ExchangeImpersonation`` header."""


def t(name: str) -> str:
    """An element's name in the namespace of types."""
    return f"{{{TYPES}}}{name}"


def m(name: str) -> str:
    """An element's name in the namespace of messages."""
    return f"{{{MESSAGES}}}{name}"


def local(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rpartition("}")[2]


def text(parent: Element, tag: str, default: str = "") -> str:
    """The text of a child element, or the default when there is none."""
    found = parent.find(tag)
    return default if found is None else (found.text or "").strip()


def below(parent: Element, tag: str) -> list[Element]:
    """The children of a child element; none when it is absent."""
    found = parent.find(tag)
    return [] if found is None else list(found)


def element(tag: str, content: str | None = None, children: Iterable[Element] = (), **attributes: str) -> Element:
    """A new element."""
    made = Element(tag, attributes)
    made.text = content
    made.extend(children)
    return made


def parse(body: bytes) -> Element:
    """The root of an XML document; neither a document type nor an entity is read.

    Raises:
        Malformed: no XML, with a document type, or nested too deeply.
    """
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except ET.ParseError as error:
        line, position = error.position
        raise Malformed(str(error), line=line, position=position + 1) from None
    except (DefusedXmlException, ValueError, LookupError):  # a document type, or an encoding that nobody knows
        raise Malformed("For security reasons DTD is prohibited in this XML document.", line=1, position=1) from None
    if _depth(root) > _MAX_DEPTH:
        raise Malformed("The maximum read depth has been exceeded.", line=1, position=1)
    return root


def _depth(root: Element) -> int:
    depth, level = 0, [root]
    while level and depth <= _MAX_DEPTH:
        depth, level = depth + 1, [child for parent in level for child in parent]
    return depth


def read(body: bytes) -> Envelope:
    """The request in a body.

    Raises:
        Malformed: no XML, no envelope, or no operation in it.
    """
    root = parse(body)
    content = root.find(f"{{{SOAP}}}Body")
    operation = None if content is None else next(iter(content), None)
    if root.tag != f"{{{SOAP}}}Envelope" or operation is None:
        raise Malformed("The SOAP envelope has no body with an operation.", line=1, position=1)
    header = root.find(f"{{{SOAP}}}Header")
    version = None if header is None else header.find(t("RequestServerVersion"))
    sid = None if header is None else header.find(f"{t('ExchangeImpersonation')}/{t('ConnectingSID')}")
    return Envelope(local(operation.tag), operation, None if version is None else version.get("Version"), sid)


def write(body: Element, server: Element | None = None) -> bytes:
    """An envelope around a response, with the server's version in the header."""
    envelope = Element(f"{{{SOAP}}}Envelope")
    if server is not None:
        envelope.append(element(f"{{{SOAP}}}Header", children=[server]))
    envelope.append(element(f"{{{SOAP}}}Body", children=[body]))
    answer: bytes = ET.tostring(envelope, encoding="utf-8", xml_declaration=True)
    return answer


def fault(code: str, sentence: str, brief: str, details: Iterable[tuple[str, str]] = ()) -> Element:
    """A SOAP fault as Exchange writes it.

    Args:
        code: the ResponseCode.
        sentence: what happened, in Exchange's words.
        brief: the code's own sentence, which ``Message`` has.
        details: names and values for ``MessageXml``.
    """
    reason = element("faultstring", sentence)
    reason.set("{http://www.w3.org/XML/1998/namespace}lang", "en-US")
    detail = element("detail", children=[element(f"{{{ERRORS}}}ResponseCode", code)])
    detail.append(element(f"{{{ERRORS}}}Message", brief))
    if rows := [element(t(name), value) for name, value in details]:
        detail.append(element(t("MessageXml"), children=rows))
    # The code is a qualified name in text, so its prefix is declared by hand.
    code_element = element("faultcode", f"a:{code}")
    code_element.set("xmlns:a", TYPES)
    return element(f"{{{SOAP}}}Fault", children=[code_element, reason, detail])
