"""Which tenants a command means."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.fleet.selection import Shard, select
from provision.fleet.source import Fleet
from provision.fleet.tenant import Tenant

FLEET = Fleet(
    "customers",
    (
        Tenant("a", "a.com", groups=("north",)),
        Tenant("b", "b.com", groups=("south",), profile="ozols"),
        Tenant("c", "c.com", groups=("north", "big")),
        Tenant("d", "d.com"),
    ),
    (),
    Path("tenants.yaml"),
)


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        ({}, "abcd"),
        ({"keys": ["d", "a"]}, "ad"),
        ({"groups": ["north"]}, "ac"),
        ({"groups": ["north"], "keys": ["d"]}, "acd"),
        ({"profiles": ["ozols"]}, "b"),
        ({"without": ["big", "d"]}, "ab"),
        ({"shard": Shard(1, 3)}, "ad"),
        ({"shard": Shard(3, 3)}, "c"),
        ({"keys": ["a"], "shard": Shard(2, 2)}, ""),
    ],
)
def test_a_selection_keeps_the_file_s_order(asked: dict[str, object], keys: str) -> None:
    assert "".join(tenant.key for tenant in select(FLEET, **asked)) == keys  # type: ignore[arg-type]


def test_the_shards_of_a_selection_are_all_of_it_and_no_tenant_twice() -> None:
    found = [tenant.key for n in range(1, 6) for tenant in select(FLEET, shard=Shard(n, 5))]
    assert sorted(found) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"keys": ["x"]}, "no tenant x"),
        ({"groups": ["nort"]}, "Did you mean north?"),
        ({"profiles": ["cloudx"]}, "Did you mean cloudex?"),
        ({"groups": ["south"], "without": ["b"]}, "is left by this selection"),
    ],
)
def test_a_name_that_is_nowhere_is_no_empty_selection(asked: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        select(FLEET, **asked)  # type: ignore[arg-type]
    assert sentence in str(refused.value)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2"])
def test_a_part_of_a_whole_is_written_like_one(text: str) -> None:
    with pytest.raises(InvalidInput):
        Shard.parse(text)
