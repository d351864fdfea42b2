"""The tables, one set for both databases, and the statements that differ between them.

Times are seconds since 1970 by the database's own clock (``now``).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

METADATA = MetaData()
_KEY = String().with_variant(String(collation="C"), "postgresql")
"""Sorted by bytes in both databases, so that pages come in the same order."""
_DOCUMENT = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

SCHEMA = Table("provision_fleet_schema", METADATA, Column("version", Integer, nullable=False))

RUNS = Table(
    "provision_fleet_runs",
    METADATA,
    Column("id", _KEY, primary_key=True),
    Column("fleet", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("options", _DOCUMENT, nullable=False),
    Column("begun", Double, nullable=False),
    Column("ended", Double),
)
Index("provision_fleet_runs_by_fleet", RUNS.c.fleet, RUNS.c.action)

ROWS = Table(
    "provision_fleet_rows",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("document", _DOCUMENT, nullable=False),
)
"""Rows of fleet files, each content once: most tenants are the same in every run."""

JOBS = Table(
    "provision_fleet_jobs",
    METADATA,
    Column("run", _KEY, ForeignKey(RUNS.c.id, ondelete="CASCADE"), primary_key=True),
    Column("key", _KEY, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("token", BigInteger),
    Column("status", Text),
    Column("outcome", _DOCUMENT),
    Column("at", Double),
)
"""A tenant in a run; ``token`` is the fencing token of who wrote the outcome. ``digest`` names a row without a foreign
key, which would want an index as large as the table; ``FleetStore.prune`` takes rows away that no job names."""

TENANTS = Table(
    "provision_fleet_tenants",
    METADATA,
    Column("fleet", Text, primary_key=True),
    Column("key", _KEY, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("run", _KEY),
    Column("holder", Text),
    Column("until", Double),
    Column("kept", _DOCUMENT),
)
"""The lease (held while ``until`` is there and not over) and what is kept between runs."""

LATEST = Table(
    "provision_fleet_latest",
    METADATA,
    Column("fleet", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    Column("key", _KEY, primary_key=True),
    Column("run", _KEY, nullable=False),
)
"""The run that last had something to say about a tenant."""

WATCHES = Table(
    "provision_fleet_watches",
    METADATA,
    Column("fleet", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("holder", Text),
    Column("until", Double),
    Column("document", Text, nullable=False),
)
"""Who watches a fleet, and what it has told (``watching``)."""


class now(FunctionElement[float]):
    """The database's clock at this moment, not at the transaction's beginning: seconds since 1970."""

    type = Double()
    inherit_cache = True
    name = "now"


@compiles(now, "sqlite")
def _now_in_sqlite(_element: now, _compiler: Any, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_in_postgres(_element: now, _compiler: Any, **_options: Any) -> str:
    return "cast(extract(epoch from clock_timestamp()) as double precision)"


def upsert(dialect: str, table: Table) -> Any:
    """An ``insert`` that knows ``on conflict``, as each database has its own."""
    return (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
