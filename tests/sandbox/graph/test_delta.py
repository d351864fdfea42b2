"""Delta queries: a client that follows the links knows what there is, whatever happens in between."""

from __future__ import annotations

import pytest

NOBODY = "11111111-2222-3333-4444-555555555555"


def _path(link: str) -> str:
    return link.removeprefix("https://localhost:8443/v1.0")


def _follow(graph, link: str):
    """The rows of a whole round and the link to the next one, page by page."""
    rows, pages = [], 0
    while True:
        answer = graph.ok("GET", _path(link))
        rows += answer["value"]
        pages += 1
        if "@odata.deltaLink" in answer:
            assert "@odata.nextLink" not in answer
            return rows, answer["@odata.deltaLink"], pages
        link = answer["@odata.nextLink"]
        assert "$skiptoken=" in link


def _mirror(copy: dict, rows: list) -> dict:
    """What a client keeps: each row laid over what it has, removed ones taken out."""
    for row in rows:
        if "@removed" in row:
            copy.pop(row["id"], None)
        else:
            copy[row["id"]] = {**copy.get(row["id"], {}), **row}
    return copy


@pytest.mark.parametrize(
    "path", ["/applications/delta", "/applications/delta()", "/applications/microsoft.graph.delta()"]
)
def test_a_client_that_follows_the_links_has_what_the_tenant_has(graph, path):
    first, second, gone = (graph.new_application(displayName=name) for name in ("first", "second", "gone"))
    rows, link, _ = _follow(graph, path)
    copy = _mirror({}, rows)
    listed = {row["id"]: row for row in graph.ok("GET", "/applications")["value"]}
    assert copy == listed
    assert _follow(graph, link)[0] == []

    third = graph.new_application(displayName="third")
    graph.call("PATCH", f"/applications/{first['id']}", json={"displayName": "First", "tags": ["x"]})
    graph.call("DELETE", f"/applications/{gone['id']}")
    rows, after, _ = _follow(graph, link)
    by_id = {row["id"]: row for row in rows}
    assert by_id.pop(first["id"]) == {"id": first["id"], "displayName": "First", "tags": ["x"]}
    assert by_id.pop(gone["id"]) == {"id": gone["id"], "@removed": {"reason": "changed"}}
    assert by_id.pop(third["id"]) == {name: third[name] for name in third if not name.startswith("@")}
    assert not by_id, second
    assert _follow(graph, link)[0] == rows
    copy = _mirror(copy, rows)

    graph.call("POST", f"/directory/deletedItems/{gone['id']}/restore")
    graph.call("DELETE", f"/applications/{third['id']}")
    graph.call("DELETE", f"/directory/deletedItems/{third['id']}")
    rows, _, _ = _follow(graph, after)
    assert {"id": third["id"], "@removed": {"reason": "deleted"}} in rows
    assert _mirror(copy, rows) == {row["id"]: row for row in graph.ok("GET", "/applications")["value"]}


def test_what_was_gone_before_the_first_request_is_not_mentioned(graph):
    gone = graph.new_application()
    graph.call("DELETE", f"/applications/{gone['id']}")
    rows, _, _ = _follow(graph, "/applications/delta")
    assert gone["id"] not in {row["id"] for row in rows}


def test_what_happens_between_two_pages_is_not_lost(graph):
    made = [graph.new_application(displayName=f"app {n}") for n in range(5)]
    page = graph.ok("GET", "/applications/delta?$top=2&$select=displayName")
    assert page["@odata.context"].endswith("$metadata#applications(displayName)")
    assert [set(row) for row in page["value"]] == [{"id", "displayName"}] * 2
    shown = {row["id"] for row in page["value"]}
    early, late = [row for row in made if row["id"] in shown], [row for row in made if row["id"] not in shown]
    graph.call("DELETE", f"/applications/{early[0]['id']}")
    graph.call("DELETE", f"/applications/{late[0]['id']}")
    graph.call("PATCH", f"/applications/{late[1]['id']}", json={"displayName": "changed"})
    new = graph.new_application(displayName="new")
    rows, link, pages = _follow(graph, page["@odata.nextLink"])
    assert pages > 1
    copy = _mirror({}, [*page["value"], *rows])
    listed = graph.ok("GET", "/applications?$select=id,displayName")["value"]
    assert copy == {row["id"]: row for row in listed}
    assert copy[new["id"]]["displayName"] == "new"
    assert _follow(graph, link)[0] == []


def test_only_selected_properties_are_watched_and_only_named_objects(graph):
    made, other = graph.new_application(), graph.new_application()
    query = f"$select=displayName&$filter=id eq '{made['id']}' or id eq '{NOBODY}'"
    rows, link, _ = _follow(graph, f"/applications/delta?{query}")
    assert rows == [{"id": made["id"], "displayName": made["displayName"]}]
    graph.call("PATCH", f"/applications/{made['id']}", json={"notes": "not watched"})
    graph.call("PATCH", f"/applications/{other['id']}", json={"displayName": "not asked for"})
    rows, link, _ = _follow(graph, link)
    assert rows == []
    graph.call("PATCH", f"/applications/{made['id']}", json={"displayName": "watched", "notes": None})
    assert _follow(graph, link)[0] == [{"id": made["id"], "displayName": "watched"}]
    assert _follow(graph, f"{link}&$select=notes")[0] == [{"id": made["id"], "notes": None}]


def test_a_secret_added_and_a_mirrored_name_are_changes(graph):
    made = graph.new_application()
    principal = graph.new_principal(made)
    _, applications, _ = _follow(graph, "/applications/delta?$deltatoken=latest")
    rows, principals, _ = _follow(graph, "/servicePrincipals/delta?$deltatoken=latest")
    assert rows == []
    graph.ok("POST", f"/applications/{made['id']}/addPassword", json={})
    graph.call("PATCH", f"/applications/{made['id']}", json={"web": {"homePageUrl": "https://a.example"}})
    (row,), _, _ = _follow(graph, applications)
    assert set(row) == {"id", "passwordCredentials", "web"}
    assert row["passwordCredentials"][0]["secretText"] is None
    (row,), _, _ = _follow(graph, principals)
    assert row == {"id": principal["id"], "homepage": "https://a.example"}


def test_a_change_arrives_only_when_it_has_replicated_and_then_for_sure(graph):
    _, link, _ = _follow(graph, "/applications/delta")
    graph.directory.replication_delay = 60.0
    made = graph.new_application()
    graph.directory.insert(graph.tenant, "application", {"id": NOBODY, "displayName": "seeded"}, visible_at_once=True)
    rows, link, _ = _follow(graph, link)
    assert rows == []
    graph.directory.replication_delay = 0.0
    rows, _, _ = _follow(graph, link)
    assert {row["id"] for row in rows} == {made["id"], NOBODY}


def test_a_token_is_good_for_seven_days(graph):
    _, link, _ = _follow(graph, "/applications/delta")

    def after(days: float):
        graph.directory.clock.skew = days * 86400
        return graph.call("GET", _path(link), token=graph.app_token("Application.Read.All"))

    assert after(days=6.9).status_code == 200
    old = after(days=7.1)
    assert (old.status_code, old.json()["error"]["code"]) == (400, "syncStateNotFound")
    assert "must be synchronized again" in old.json()["error"]["message"]


def test_a_token_of_another_collection_is_answered_with_nothing(graph):
    """As a live tenant does: keep a link for each collection, nobody says that they were mixed up."""
    _, link, _ = _follow(graph, "/applications/delta?$deltatoken=latest")
    principal = graph.new_principal(graph.new_application())
    rows, mixed, _ = _follow(graph, f"/servicePrincipals/delta?{link.partition('?')[2]}")
    assert rows == []
    assert "/servicePrincipals/delta?$deltatoken=" in mixed
    assert principal["id"] not in {row["id"] for row in _follow(graph, mixed)[0]}


@pytest.mark.parametrize(
    ("query", "code", "sentence"),
    [
        ("$deltatoken=abc", "BadRequest", "Badly formed token."),
        ("$deltatoken=%00%ff", "BadRequest", "Badly formed token."),
        ("$skiptoken=abc", "BadRequest", "Badly formed token."),
        ("$filter=displayName eq 'x'", "Request_UnsupportedQuery", "Unsupported Query."),
        ("$filter=id eq 'x' and id eq 'y'", "Request_UnsupportedQuery", "Unsupported Query."),
        ("$expand=owners", "Request_UnsupportedQuery", "Unsupported Query."),
        ("$orderby=displayName", "Request_UnsupportedQuery", "Unsupported Query."),
        ("$select=nonsense", "BadRequest", "Could not find a property named 'nonsense'"),
    ],
)
def test_what_a_delta_query_does_not_take_is_refused(graph, query, code, sentence):
    answer = graph.call("GET", f"/applications/delta?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert sentence in answer.json()["error"]["message"]


def test_a_changed_token_is_no_token(graph):
    _, link, _ = _follow(graph, "/applications/delta")
    start, token = _path(link).split("=")
    swapped = token[:30] + ("A" if token[30] != "A" else "B") + token[31:]
    answer = graph.call("GET", f"{start}={swapped}")
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Badly formed token.")


def test_reading_changes_needs_the_right_to_read(graph):
    token = graph.app_token("User.Read.All")
    assert graph.call("GET", "/applications/delta", token=token).status_code == 403
