"""Authorization codes, refresh tokens, device codes and sessions: opaque handles whose meaning stays in the store.

A handle names its tenant (as Entra's do), so that ``/common`` can redeem it; the store keeps only its SHA-256.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import uuid
from typing import Literal

from provision.sandbox.directory import Directory, Document
from provision.sandbox.keys import base64url

HandleKind = Literal["authorizationCode", "refreshToken", "deviceCode", "session"]


def issue_handle(directory: Directory, tenant_id: str, kind: HandleKind, document: Document) -> str:
    """Stores what a new handle means and returns the handle.

    Args:
        directory: the store.
        tenant_id: the tenant it belongs to.
        kind: what it is.
        document: its meaning; ``_expires`` (seconds since 1970) ends it.
    """
    handle = f"1.{base64url(uuid.UUID(tenant_id).bytes)}.{secrets.token_urlsafe(48)}"
    directory.insert(tenant_id, kind, {**document, "_hash": _digest(handle)}, visible_at_once=True)
    return handle


def read_handle(directory: Directory, kind: HandleKind, handle: str) -> tuple[str, Document] | None:
    """The tenant and the meaning of a handle, expired or not; None for one that was never issued."""
    parts = handle.split(".")
    if len(parts) != 3:
        return None
    try:
        tenant_id = str(uuid.UUID(bytes=base64.urlsafe_b64decode(parts[1] + "==")))
    except (ValueError, binascii.Error):
        return None
    found = directory.find(tenant_id, kind, fresh=True, _hash=_digest(handle))
    return (tenant_id, found[0]) if found else None


def _digest(handle: str) -> str:
    return hashlib.sha256(handle.encode()).hexdigest()
