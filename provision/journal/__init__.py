"""What a run has begun and not yet finished, kept beside Pulumi's state so that any other runner can go on with it.

Owns: one JSON document for each key, its places (``directory``, ``postgres``, ``objects``), and the rule that a write
names the version it builds on: of two writers who read the same version one gets ``Conflict``. A runner that was taken
for dead is stopped by its next write. Does not own: what is in a document, and who may write it (``lease``).

A place's own library is imported when the place is opened, not before.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from provision.errors import InvalidInput

FOLDER = "provision-journal"
"""The directory, or the beginning of the objects' names, under which documents lie beside Pulumi's state."""

_PLACES = {"file": "directory", "postgres": "postgres", "azblob": "objects", "s3": "objects", "gs": "objects"}
"""The module of each scheme; an extra of the same name brings its library."""
_PART = r"[a-z0-9_-][a-z0-9._-]{0,127}"
_KEY = re.compile(rf"{_PART}(/{_PART})*")
_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")


@dataclass(frozen=True)
class Entry:
    """A document as it was read."""

    document: dict[str, Any]
    version: str
    """Which writing of it; opaque, never the same for two writings of one key."""


class Conflict(Exception):
    """Somebody else wrote, made or removed the document in between; read it again."""


class Store(Protocol):
    """A place that keeps documents. Every method raises ``StateUnavailable``, ``Unreachable``, ``SignInFailed`` or
    ``NotPermitted`` when the place cannot be used, and ``InvalidInput`` for a key that ``check_key`` refuses.
    """

    @property
    def shown(self) -> str:
        """Where it is, without a password, for messages."""

    def read(self, key: str) -> Entry | None:
        """The document and its version; None when there is none."""

    def write(self, key: str, document: Mapping[str, Any], *, expected: str | None) -> str:
        """Writes a document; durable when it returns.

        Args:
            key: which document.
            document: JSON, without NUL characters or NaN; the order of its names is not kept.
            expected: the version that was read; None when there must be none yet.

        Returns:
            The new version.

        Raises:
            Conflict: the document has another version, or is there already, or is gone.
        """

    def keys(self) -> list[str]:
        """Every document's key, in order."""

    def remove(self, key: str, *, expected: str) -> None:
        """Takes a document away.

        Raises:
            Conflict: it has another version, or is gone.
        """


def open_store(backend: str, environ: Mapping[str, str] = os.environ) -> Store:
    """The store at an address. Nothing is sent yet.

    Args:
        backend: a URL as ``PULUMI_BACKEND_URL`` takes it (Pulumi's documentation, "Using a DIY backend"): ``file://``,
            ``postgres://``, ``azblob://``, ``s3://`` or ``gs://``.
        environ: where the place's own sign-in is found, under the names that Pulumi reads.

    Raises:
        InvalidInput: no journal can be kept there, the URL is wrong, or the place's library is not installed.
    """
    scheme = backend.partition("://")[0]
    if scheme in ("http", "https"):
        raise InvalidInput(
            "Pulumi Cloud keeps the state but has no place for this toolkit's journal.",
            remedy="Name a place with --journal or PROVISION_JOURNAL: file://, postgres://, azblob://, s3:// or gs://.",
        )
    if scheme not in _PLACES:
        raise InvalidInput(
            f"A journal cannot be kept in {scheme!r}.",
            remedy=f"Name a URL that begins with one of {', '.join(f'{name}://' for name in _PLACES)}.",
        )
    try:
        place = importlib.import_module(f"{__name__}.{_PLACES[scheme]}")
    except ImportError as missing:
        raise InvalidInput(
            f"A journal in {scheme}:// needs the Python package {missing.name}, which is not installed.",
            remedy=f"pip install 'provision[{_PLACES[scheme]}]'",
        ) from None
    store: Store = place.open_place(backend, environ)
    return store


def check_key(key: str) -> str:
    """The key itself, when it is one: names of a-z, 0-9, dot, dash, underscore, at most 128 long, slashes between.

    A name does not begin with a dot: such files are a directory's own, and two dots lead out of it.

    Raises:
        InvalidInput: it is none.
    """
    if _KEY.fullmatch(key) is None:
        raise InvalidInput(
            f"{key!r} cannot be a journal's name.", remedy="Use the letters a-z, digits, dots, dashes and underscores."
        )
    return key


def encode(document: Mapping[str, Any]) -> str:
    """A document as JSON text.

    Raises:
        ValueError: it holds NaN, a NUL character or half a surrogate pair, which not every place can keep.
        TypeError: it holds something that JSON has not.
    """
    text = json.dumps(dict(document), allow_nan=False, ensure_ascii=False)
    text.encode()
    if _NUL.search(text):
        raise ValueError("a NUL character in a journal")
    return text


def seal(document: Mapping[str, Any], mark: str) -> bytes:
    """A file's content: the document and a mark that no other writing has, so that equal documents are told apart.

    Raises:
        ValueError, TypeError: see ``encode``.
    """
    return f'{{"mark": {json.dumps(mark)}, "document": {encode(document)}}}\n'.encode()


def unseal(content: bytes) -> tuple[dict[str, Any], str]:
    """The document and the mark in a file's content.

    Raises:
        ValueError: it is something else.
    """
    match json.loads(content):
        case {"mark": str(mark), "document": dict(document)}:
            return document, mark
    raise ValueError("no document and mark")
