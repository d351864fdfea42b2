"""The only state of the local tenants: documents in one SQLite file.

Owns: storage, identity of objects, soft deletion, what changed in which order, the clock and replication visibility.
Does not own: HTTP, wire errors, permissions, which properties exist (``graph.schema`` has them).

A document is a JSON object with the property names of Microsoft Graph. Names that start with ``_`` are private to the
local tenant (a secret's hash, the time of creation) and must never leave it: ``public()`` strips them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provision.sandbox.replicas import Replicas
from provision.sandbox.shared import copied, freeze

Document = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tenant (id TEXT PRIMARY KEY, domain TEXT UNIQUE NOT NULL, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tenant_domain (name TEXT PRIMARY KEY, tenant TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tenant_domain_of ON tenant_domain (tenant);
CREATE TABLE IF NOT EXISTS shared (name TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS object (
  tenant TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, doc TEXT NOT NULL,
  created REAL NOT NULL, deleted REAL, seq INTEGER PRIMARY KEY AUTOINCREMENT, UNIQUE (tenant, kind, id));
CREATE TABLE IF NOT EXISTS object_key (
  tenant TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL COLLATE NOCASE, id TEXT NOT NULL,
  PRIMARY KEY (tenant, kind, name, value, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS object_key_id ON object_key (tenant, kind, id);
CREATE INDEX IF NOT EXISTS object_page ON object (tenant, kind, seq);
CREATE TABLE IF NOT EXISTS change (
  n INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
  property TEXT NOT NULL, at REAL NOT NULL, UNIQUE (tenant, kind, id, property));
CREATE INDEX IF NOT EXISTS change_at ON change (at);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tenant_setting (
  name TEXT NOT NULL, tenant TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name, tenant)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS request (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, tenant TEXT, method TEXT NOT NULL, host TEXT NOT NULL,
  path TEXT NOT NULL, status INTEGER NOT NULL, ms REAL NOT NULL, client TEXT NOT NULL, code TEXT, fault TEXT);
"""

KEYS: dict[str, tuple[str, ...]] = {
    "application": ("appId", "displayName", "uniqueName"),
    "servicePrincipal": ("appId", "displayName"),
    "user": ("userPrincipalName", "mail", "_authenticationPolicy"),
    "group": ("displayName", "mail"),
    "oauth2PermissionGrant": ("clientId", "resourceId", "principalId"),
    "appRoleAssignment": ("principalId", "resourceId"),
    "deviceCode": ("_hash", "userCode"),
    "directoryRole": ("roleTemplateId",),
    "domain": ("id",),
    "roleMembership": ("roleId", "memberId"),
    "federatedIdentityCredential": ("_applicationId",),
    "message": ("_userId",),
    "refreshToken": ("_hash",),
    "authorizationCode": ("_hash",),
    "session": ("_hash",),
    "mailbox": ("_userId", "EmailAddresses", "Alias", "DisplayName", "AuthenticationPolicy"),
    "authenticationPolicy": ("Name",),
    "exchangeServicePrincipal": ("AppId", "ObjectId", "DisplayName"),
    "managementScope": ("Name",),
    "managementRoleAssignment": ("Name", "_assigneeId"),
    "roleGroup": ("Name",),
    "onPremisesAccount": ("mail",),
    "googleCustomer": ("domain",),
    "googleUser": ("primaryEmail", "aliases"),
    "googleServiceAccount": ("client_email",),
    "googleToken": ("_hash",),
}
"""Which properties of a kind can be looked up without reading every document; a new lookup is one entry.

Of a property with many values each value is a key of its own."""

TRACKED = ("application", "servicePrincipal")
"""The kinds whose changes are counted, for ``changes``."""

EVERYWHERE = ("application", "deviceCode", "domain", "onPremisesAccount", "waitingMessage")
"""The kinds that can be looked for in all tenants at once, however many there are."""
_EVERYWHERE = ", ".join(f"'{kind}'" for kind in EVERYWHERE)
_INDEXES = f"""
CREATE INDEX IF NOT EXISTS object_everywhere ON object (kind, tenant) WHERE kind IN ({_EVERYWHERE});
CREATE INDEX IF NOT EXISTS object_key_everywhere ON object_key (kind, name, value) WHERE kind IN ({_EVERYWHERE});
"""


@dataclass(frozen=True)
class Change:
    """What happened to one object since a count."""

    id: str
    n: int
    """The count of the last change; they only grow."""
    came_or_went: bool
    """Whether it was created, deleted, restored or purged since."""
    properties: frozenset[str]
    """The public properties that were changed since."""


_VERSION = 1
"""Of the file; a file of a lower one is brought up to it when it is opened."""
_GONE = "_gone"
_SHARED = "_shared"
"""Names the part of a document that it has in common with those of other tenants."""
_ADD_KEY = "INSERT OR IGNORE INTO object_key VALUES (?, ?, ?, ?, ?)"


def _keys(kind: str, document: Document) -> Iterator[tuple[str, str]]:
    """The names and values under which an object can be found."""
    for name in KEYS.get(kind, ()):
        value = document.get(name)
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                yield name, str(one)


def public(document: Document) -> Document:
    """A copy of the document without the private names, at every depth."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if not k.startswith("_")}
        if isinstance(value, list):
            return [strip(v) for v in value]
        return value

    stripped: Document = strip(document)
    return stripped


class Clock:
    """The local tenant's time: the machine's, moved by ``skew`` seconds (a fault that clients must survive)."""

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time() + self.skew

    def iso(self, at: float | None = None) -> str:
        """A time as Microsoft Graph writes it, for example ``2026-11-23T13:00:00Z``."""
        return datetime.fromtimestamp(self.now() if at is None else at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Directory:
    """All state of the local tenants.

    Args:
        path: the SQLite file; it and its tenants outlive the process.
        clock: the tenant's time.

    ``replication_delay`` is how many seconds a new object stays invisible to ``get``, ``find`` and ``all`` (0: none);
    writers that must see it pass ``fresh=True``. ``exchange_delay`` is how many seconds a changed Exchange setting is
    not yet known to the servers that take mail (``exchange.propagation``). ``replicas`` are the servers that sign
    clients in: each knows a credential after a part of the replication delay, the last of them after all of it.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self.clock = clock or Clock()
        self.replication_delay = 0.0
        self.exchange_delay = 0.0
        self.replicas = Replicas()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA + _INDEXES)
        self._shared: dict[str, Document] = {}
        self._given: list[tuple[Document, str]] = []
        self._depth = 0
        self._upgrade()

    def _upgrade(self) -> None:
        """Adds to a file of an earlier version what it does not have; a look at one number when it has all."""
        if self._db.execute("PRAGMA user_version").fetchone()[0] >= _VERSION:
            return
        with self.transaction():
            self._db.execute(
                "INSERT INTO change (tenant, kind, id, property, at) SELECT tenant, kind, id, '', created FROM object"
                " WHERE kind IN (?, ?) AND NOT EXISTS (SELECT 1 FROM change c WHERE c.tenant = object.tenant"
                " AND c.kind = object.kind AND c.id = object.id) ORDER BY seq",
                TRACKED,
            )
            self._db.execute(
                "INSERT OR IGNORE INTO tenant_domain SELECT value, tenant.id"
                " FROM tenant, json_each(tenant.doc, '$.domains') ORDER BY tenant.rowid"
            )
            self._db.execute(
                "INSERT OR IGNORE INTO object_key SELECT tenant, kind, 'id', id, id FROM object WHERE kind = 'domain'"
            )
            for tenant, made in self.setting("seeded", {}).items():
                self.keep_of_tenant(tenant, "seeded", made)
            self._db.execute("DELETE FROM setting WHERE name = 'seeded'")
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def close(self) -> None:
        """Closes the file; the tenants stay in it."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside become visible together or not at all; may be nested."""
        if self._depth == 0:
            self._db.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("ROLLBACK")
            raise
        self._depth -= 1
        if self._depth == 0:
            self._db.execute("COMMIT")

    # Tenants

    def add_tenant(self, tenant: str, domain: str, document: Document) -> None:
        """Stores a tenant (its id is a GUID in lower case, its domain the initial onmicrosoft.com one)."""
        with self.transaction():
            self._db.execute("INSERT INTO tenant VALUES (?, ?, ?)", (tenant, domain.lower(), json.dumps(document)))
            self._db.executemany(
                "INSERT OR IGNORE INTO tenant_domain VALUES (?, ?)",
                ((str(name).lower(), tenant) for name in document.get("domains", ())),
            )

    def tenant(self, name: str, *, gone: bool = False) -> Document | None:
        """A tenant's document by its id or one of its verified domains, with ``id`` and ``domain``; else None.

        ``gone`` finds one too that its customer has given up (``set_gone``).
        """
        name = name.lower()
        columns = "SELECT tenant.id, tenant.domain, tenant.doc FROM tenant"
        row = self._db.execute(f"{columns} WHERE id = ? OR domain = ?", (name, name)).fetchone()
        if row is None:
            custom = f"{columns} JOIN tenant_domain ON tenant_domain.tenant = tenant.id WHERE tenant_domain.name = ?"
            row = self._db.execute(custom, (name,)).fetchone()
        if row is None:
            return None
        document: Document = {"id": row[0], "domain": row[1], **json.loads(row[2])}
        return document if gone or not document.get(_GONE) else None

    def set_gone(self, tenant: str, gone: bool) -> None:
        """Whether nobody finds the tenant any more, though everything in it is kept."""
        document = {**(self.tenant(tenant, gone=True) or {}), _GONE: gone}
        text = json.dumps({name: value for name, value in document.items() if name not in ("id", "domain")})
        self._db.execute("UPDATE tenant SET doc = ? WHERE id = ?", (text, tenant))

    def tenants(self) -> list[str]:
        """The ids of all tenants, oldest first."""
        return [row[0] for row in self._db.execute("SELECT id FROM tenant ORDER BY rowid")]

    def first_tenant(self) -> str | None:
        """The id of the oldest tenant; None when there is none."""
        row = self._db.execute("SELECT id FROM tenant ORDER BY rowid LIMIT 1").fetchone()
        return None if row is None else str(row[0])

    def names_like(self, prefix: str) -> list[str]:
        """The initial domains that begin with a text (letters, digits and hyphens)."""
        rows = self._db.execute(
            "SELECT domain FROM tenant WHERE domain >= ? AND domain < ?", (prefix, f"{prefix}\U0010ffff")
        )
        return [row[0] for row in rows]

    def tenant_count(self) -> int:
        """How many tenants there are."""
        return int(self._db.execute("SELECT COUNT(*) FROM tenant").fetchone()[0])

    def holders(self, kind: str) -> list[str]:
        """The tenants that have any object of a kind (one of ``EVERYWHERE``)."""
        rows = self._db.execute(
            f"SELECT DISTINCT tenant FROM object WHERE kind IN ({_EVERYWHERE}) AND kind = ?",  # noqa: S608 - ours
            (kind,),
        )
        return [row[0] for row in rows]

    def remove_tenant(self, tenant: str) -> None:
        """Removes a tenant and everything in it."""
        with self.transaction():
            for table in ("tenant_domain", "tenant_setting"):
                self._db.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))  # noqa: S608 - fixed names
            for table in ("object", "object_key", "change"):
                self._db.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))  # noqa: S608 - fixed names
            self._db.execute("DELETE FROM tenant WHERE id = ?", (tenant,))

    def remove_all_tenants(self) -> None:
        """Removes every tenant and every object; settings of the server stay."""
        with self.transaction():
            for table in ("object", "object_key", "change", "tenant", "tenant_domain", "tenant_setting"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - fixed names

    # Parts of documents that are the same in many tenants

    def share(self, document: Document) -> str:
        """Stores a part that many documents have in common, once, and returns the name for their ``_shared``.

        A document with that name reads as if it had the part's properties itself; one that it has of its own wins. A
        part never changes: another content has another name.
        """
        name = next((known for given, known in self._given if given is document), "")
        if not name:
            name = hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16]
            self._given.append((document, name))
        if not self._db.execute("SELECT 1 FROM shared WHERE name = ?", (name,)).fetchone():
            self._db.execute("INSERT INTO shared VALUES (?, ?)", (name, json.dumps(document)))
        return name

    def _part(self, name: str) -> Document:
        if name not in self._shared:
            row = self._db.execute("SELECT doc FROM shared WHERE name = ?", (name,)).fetchone()
            self._shared[name] = freeze(json.loads(row[0]))
        return self._shared[name]

    def _loaded(self, text: str) -> Document:
        document: Document = json.loads(text)
        return {**self._part(document[_SHARED]), **document} if _SHARED in document else document

    def _stored(self, document: Document) -> str:
        """A document's text, without what it has in common with others."""
        if _SHARED not in document:
            return json.dumps(document)
        part = self._part(document[_SHARED])
        return json.dumps({k: v for k, v in document.items() if k not in part or (v is not part[k] and v != part[k])})

    # Objects

    def insert(self, tenant: str, kind: str, document: Document, *, visible_at_once: bool = False) -> Document:
        """Stores a new object and returns it; ``id`` is made when absent."""
        stored: Document = copied(document)
        stored.setdefault("id", str(uuid.uuid4()))
        created = 0.0 if visible_at_once else time.time()
        with self.transaction():
            self._db.execute(
                "INSERT INTO object (tenant, kind, id, doc, created) VALUES (?, ?, ?, ?, ?)",
                (tenant, kind, stored["id"], self._stored(stored), created),
            )
            self._index(tenant, kind, stored)
            self._count(tenant, kind, stored["id"], at=created)
        return stored

    def insert_many(self, tenant: str, kind: str, documents: Sequence[Document]) -> None:
        """Stores many new objects of a kind, visible at once; each has its ``id``."""
        with self.transaction():
            self._db.executemany(
                "INSERT INTO object (tenant, kind, id, doc, created) VALUES (?, ?, ?, ?, 0)",
                ((tenant, kind, document["id"], self._stored(document)) for document in documents),
            )
            self._db.executemany(
                _ADD_KEY,
                ((tenant, kind, *key, document["id"]) for document in documents for key in _keys(kind, document)),
            )
            for document in documents:
                self._count(tenant, kind, document["id"], at=0.0)

    def replace(self, tenant: str, kind: str, document: Document) -> Document:
        """Stores a changed object under its ``id``; raises KeyError when there is none."""
        with self.transaction():
            if kind in TRACKED:
                self._count_properties(tenant, kind, document)
            cursor = self._db.execute(
                "UPDATE object SET doc = ? WHERE tenant = ? AND kind = ? AND id = ?",
                (self._stored(document), tenant, kind, document["id"]),
            )
            if cursor.rowcount != 1:
                raise KeyError(document["id"])
            self._db.execute(
                "DELETE FROM object_key WHERE tenant = ? AND kind = ? AND id = ?", (tenant, kind, document["id"])
            )
            self._index(tenant, kind, document)
        changed: Document = copied(document)
        return changed

    def _index(self, tenant: str, kind: str, document: Document) -> None:
        for key in _keys(kind, document):
            self._db.execute(_ADD_KEY, (tenant, kind, *key, document["id"]))

    def _count(self, tenant: str, kind: str, identity: str, prop: str = "", *, at: float | None = None) -> None:
        """Counts a change of a property, or (without one) that the object came or went; only the last is kept."""
        if kind in TRACKED:
            self._db.execute(
                "INSERT OR REPLACE INTO change (tenant, kind, id, property, at) VALUES (?, ?, ?, ?, ?)",
                (tenant, kind, identity, prop, time.time() if at is None else at),
            )

    def _count_properties(self, tenant: str, kind: str, after: Document) -> None:
        row = self._db.execute(
            "SELECT doc FROM object WHERE tenant = ? AND kind = ? AND id = ?", (tenant, kind, after["id"])
        ).fetchone()
        before: Document = {} if row is None else self._loaded(row[0])
        for name in sorted({*before, *after}):
            if not name.startswith("_") and before.get(name) != after.get(name):
                self._count(tenant, kind, after["id"], name)

    def last_change(self) -> int:
        """The count up to which every change has replicated; 0 when there is none."""
        hidden = self._db.execute("SELECT MIN(n) - 1 FROM change WHERE at > ?", (self._visible_before(False),))
        newest = self._db.execute("SELECT COALESCE(MAX(n), 0) FROM change")
        found = hidden.fetchone()[0]
        return int(newest.fetchone()[0] if found is None else found)

    def changes(self, tenant: str, kind: str, since: int) -> list[Change]:
        """The objects of a kind (one of ``TRACKED``) that changed after a count, in the order of their last change."""
        rows = self._db.execute(
            "SELECT id, MAX(n), GROUP_CONCAT(property) FROM change WHERE tenant = ? AND kind = ? AND n > ? AND n <= ?"
            " GROUP BY id ORDER BY MAX(n)",
            (tenant, kind, since, self.last_change()),
        )
        return [
            Change(identity, n, "" in (names := frozenset(text.split(","))), names - {""}) for identity, n, text in rows
        ]

    def _visible_before(self, fresh: bool) -> float:
        return time.time() - (0.0 if fresh else self.replication_delay)

    def get(
        self, tenant: str, kind: str, identity: str, *, fresh: bool = False, deleted: bool = False
    ) -> Document | None:
        """The object with this id; None when absent, not yet replicated, or (unless asked for) deleted."""
        row = self._db.execute(
            "SELECT doc FROM object WHERE tenant = ? AND kind = ? AND id = ? AND created <= ?"
            " AND (deleted IS NULL) != ?",
            (tenant, kind, identity.lower(), self._visible_before(fresh), deleted),
        ).fetchone()
        if row is None and identity != identity.lower():
            row = self._db.execute(
                "SELECT doc FROM object WHERE tenant = ? AND kind = ? AND id = ? AND created <= ?"
                " AND (deleted IS NULL) != ?",
                (tenant, kind, identity, self._visible_before(fresh), deleted),
            ).fetchone()
        return None if row is None else self._loaded(row[0])

    def find(
        self, tenant: str, kind: str, *, fresh: bool = False, deleted: bool = False, **equals: str
    ) -> list[Document]:
        """The live (or soft-deleted) objects whose indexed properties (``KEYS``) equal the given values, oldest first.

        Letter case is ignored.
        """
        wheres, values = [], []
        for name, value in equals.items():
            if name not in KEYS.get(kind, ()):
                raise KeyError(f"{kind}.{name} is not indexed; add it to KEYS")
            wheres.append(
                "o.id IN (SELECT id FROM object_key WHERE tenant = ? AND kind = ? AND name = ? AND value = ?)"
            )
            values += [tenant, kind, name, value]
        rows = self._db.execute(
            "SELECT doc FROM object o WHERE o.tenant = ? AND o.kind = ? AND (o.deleted IS NULL) != ? AND o.created <= ?"  # noqa: S608
            + "".join(f" AND {where}" for where in wheres)
            + " ORDER BY +o.seq",  # the plus keeps SQLite from reading the whole kind in this order
            (tenant, kind, deleted, self._visible_before(fresh), *values),
        )
        return [self._loaded(row[0]) for row in rows]

    def find_everywhere(self, kind: str, *, fresh: bool = False, **equals: str) -> list[tuple[str, Document]]:
        """As ``find``, in all tenants, for one property of a kind out of ``EVERYWHERE``; each with its tenant's id."""
        ((name, value),) = equals.items()
        if kind not in EVERYWHERE or name not in KEYS[kind]:
            raise KeyError(f"{kind}.{name} cannot be looked for in all tenants; add it to KEYS and EVERYWHERE")
        rows = self._db.execute(
            "SELECT o.tenant, o.doc FROM object_key k JOIN object o ON o.tenant = k.tenant AND o.kind = k.kind"  # noqa: S608
            f" AND o.id = k.id WHERE k.kind IN ({_EVERYWHERE}) AND k.kind = ? AND k.name = ? AND k.value = ?"
            " AND o.deleted IS NULL AND o.created <= ? ORDER BY +o.seq",
            (kind, name, value, self._visible_before(fresh)),
        )
        return [(tenant, self._loaded(text)) for tenant, text in rows]

    def everywhere(self, kind: str) -> Iterator[tuple[str, Document]]:
        """All live objects of a kind (one of ``EVERYWHERE``) in all tenants, one after another."""
        rows = self._db.execute(
            f"SELECT tenant, doc FROM object WHERE kind IN ({_EVERYWHERE}) AND kind = ? AND deleted IS NULL",  # noqa: S608
            (kind,),
        )
        return ((tenant, self._loaded(text)) for tenant, text in rows)

    def all(self, tenant: str, kind: str, *, fresh: bool = False, deleted: bool = False) -> list[Document]:
        """All live (or all soft-deleted) objects of a kind, oldest first."""
        rows = self._db.execute(
            "SELECT doc FROM object WHERE tenant = ? AND kind = ? AND (deleted IS NULL) != ? AND created <= ?"
            " ORDER BY seq",
            (tenant, kind, deleted, self._visible_before(fresh)),
        )
        return [self._loaded(row[0]) for row in rows]

    def page(
        self, tenant: str, kind: str, *, after: int = 0, limit: int, fresh: bool = False, deleted: bool = False
    ) -> list[tuple[int, Document]]:
        """At most ``limit`` objects of a kind, oldest first, each with its place.

        Args:
            tenant: the tenant's id.
            kind: which objects.
            after: the place of the last object of the page before; 0 for the first page. Reading the last page costs as
                much as reading the first.
            limit: how many at most.
            fresh: also those that have not replicated yet.
            deleted: the soft-deleted ones instead of the live ones.
        """
        rows = self._db.execute(
            "SELECT seq, doc FROM object WHERE tenant = ? AND kind = ? AND seq > ? AND (deleted IS NULL) != ?"
            " AND created <= ? ORDER BY seq LIMIT ?",
            (tenant, kind, after, deleted, self._visible_before(fresh), limit),
        )
        return [(place, self._loaded(text)) for place, text in rows]

    def count(self, tenant: str, kind: str) -> int:
        """How many live objects of a kind there are."""
        return int(
            self._db.execute(
                "SELECT COUNT(*) FROM object WHERE tenant = ? AND kind = ? AND deleted IS NULL", (tenant, kind)
            ).fetchone()[0]
        )

    def values(self, tenant: str, kind: str, name: str) -> set[str]:
        """The values of an indexed property (``KEYS``) among all objects of a kind, deleted ones too, in lower case."""
        rows = self._db.execute(
            "SELECT value FROM object_key WHERE tenant = ? AND kind = ? AND name = ?", (tenant, kind, name)
        )
        return {str(value).lower() for (value,) in rows}

    def soft_delete(self, tenant: str, kind: str, identity: str) -> bool:
        """Moves an object to the deleted items; False when there was none."""
        return self._moved(tenant, kind, identity, "deleted IS NULL", time.time())

    def restore(self, tenant: str, kind: str, identity: str) -> bool:
        """Brings an object back from the deleted items; False when it is not there."""
        return self._moved(tenant, kind, identity, "deleted IS NOT NULL", None)

    def _moved(self, tenant: str, kind: str, identity: str, condition: str, deleted: float | None) -> bool:
        with self.transaction():
            cursor = self._db.execute(
                f"UPDATE object SET deleted = ? WHERE tenant = ? AND kind = ? AND id = ? AND {condition}",  # noqa: S608 - ours
                (deleted, tenant, kind, identity),
            )
            if cursor.rowcount:
                self._count(tenant, kind, identity)
        return cursor.rowcount == 1

    def remove(self, tenant: str, kind: str, identity: str) -> bool:
        """Removes an object for good, deleted or not; False when there was none."""
        key = (tenant, kind, identity)
        with self.transaction():
            cursor = self._db.execute("DELETE FROM object WHERE tenant = ? AND kind = ? AND id = ?", key)
            self._db.execute("DELETE FROM object_key WHERE tenant = ? AND kind = ? AND id = ?", key)
            if cursor.rowcount:
                self._db.execute("DELETE FROM change WHERE tenant = ? AND kind = ? AND id = ?", key)
                self._count(*key)
        return cursor.rowcount == 1

    # Settings of the server (weather, skew, issuer keys); JSON values

    def setting(self, name: str, default: Any = None) -> Any:
        """A stored setting, or the default."""
        row = self._db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def set_setting(self, name: str, value: Any) -> None:
        """Stores a setting (any JSON value)."""
        self._db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, json.dumps(value)))

    def of_tenant(self, tenant: str, name: str, default: Any = None) -> Any:
        """What is kept beside a tenant under a name (the credentials of its admin, its weather), or the default."""
        query = "SELECT value FROM tenant_setting WHERE name = ? AND tenant = ?"
        row = self._db.execute(query, (name, tenant)).fetchone()
        return default if row is None else json.loads(row[0])

    def of_tenants(self, name: str) -> dict[str, Any]:
        """What is kept under a name, by tenant, for those that have it."""
        rows = self._db.execute("SELECT tenant, value FROM tenant_setting WHERE name = ?", (name,))
        return {tenant: json.loads(value) for tenant, value in rows}

    def keep_of_tenant(self, tenant: str, name: str, value: Any) -> None:
        """Keeps a JSON value beside a tenant; it goes with the tenant, or when it is None."""
        if value is None:
            self._db.execute("DELETE FROM tenant_setting WHERE name = ? AND tenant = ?", (name, tenant))
        else:
            self._db.execute(
                "INSERT OR REPLACE INTO tenant_setting VALUES (?, ?, ?)", (name, tenant, json.dumps(value))
            )

    # The request log

    def record_request(self, row: Document) -> None:
        """Adds one line to the request log: at, tenant, method, host, path, status, ms, client, code, fault."""
        names = ("at", "tenant", "method", "host", "path", "status", "ms", "client", "code", "fault")
        self._db.execute(
            "INSERT INTO request (at, tenant, method, host, path, status, ms, client, code, fault)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            tuple(row.get(name) for name in names),
        )

    def requests(self, since: int = 0) -> list[Document]:
        """The request log after line ``since``; each row carries its line number as ``n``."""
        cursor = self._db.execute("SELECT * FROM request WHERE n > ? ORDER BY n", (since,))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def latest_requests(self, limit: int) -> list[Document]:
        """The last ``limit`` lines of the request log, newest first."""
        cursor = self._db.execute("SELECT * FROM request ORDER BY n DESC LIMIT ?", (limit,))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def clear_requests(self) -> None:
        """Empties the request log."""
        self._db.execute("DELETE FROM request")
