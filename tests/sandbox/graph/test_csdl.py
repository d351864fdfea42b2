"""``$metadata``: whole in itself, open to everybody, and true of what the tenant answers."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from provision.sandbox.graph import routes

_EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
_BEYOND = {"servicePrincipal": {"createdDateTime"}, "group": {"creationOptions"}}
"""Graph v1.0 returns these outside of its metadata."""
_JSON: dict[str, type | tuple[type, ...]] = {
    "Edm.Boolean": bool,
    "Edm.Int32": int,
    "Edm.Int64": int,
    "Edm.Double": (int, float),
}


class Metadata:
    """The document as a client reads it."""

    def __init__(self, text: str) -> None:
        (self.schema,) = ElementTree.fromstring(text).iter(f"{_EDM}Schema")
        self.types = {e.get("Name"): e for e in self.schema if e.tag in (f"{_EDM}EntityType", f"{_EDM}ComplexType")}
        self.enums = {e.get("Name"): {m.get("Name") for m in e} for e in self.schema.iter(f"{_EDM}EnumType")}

    def members(self, name: str, tag: str) -> dict[str, str]:
        """The properties (or navigation properties) of a type with everything it inherits."""
        element = self.types[name]
        base = element.get("BaseType", "").removeprefix("graph.")
        inherited = self.members(base, tag) if base else {}
        return inherited | {p.get("Name"): p.get("Type") for p in element.findall(f"{_EDM}{tag}")}

    def check(self, value: Any, type_text: str, where: str) -> None:
        """Fails when a JSON value is not of the declared type."""
        if value is None:
            return
        if type_text.startswith("Collection("):
            assert isinstance(value, list), where
            for item in value:
                self.check(item, type_text[11:-1], where)
        elif type_text.startswith("Edm."):
            assert isinstance(value, _JSON.get(type_text, str)), where
        elif type_text.removeprefix("graph.") in self.enums:
            assert set(value.split(",")) <= self.enums[type_text.removeprefix("graph.")], where
        else:
            self.check_object(value, type_text.removeprefix("graph."), where)

    def check_object(self, value: dict[str, Any], name: str, where: str) -> None:
        known = self.members(name, "Property")
        for key, inner in value.items():
            if key.startswith("@") or key in _BEYOND.get(name, ()):
                continue
            assert key in known, f"{where}.{key} is not declared"
            self.check(inner, known[key], f"{where}.{key}")


@pytest.fixture
def metadata(graph) -> Metadata:
    answer = graph.call("GET", "/$metadata", token="")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/xml")
    return Metadata(answer.text)


def test_everything_that_is_named_is_declared(metadata):
    text = ElementTree.tostring(metadata.schema, encoding="unicode")
    named = set(re.findall(r'"(?:Collection\()?(?:microsoft\.)?graph\.(\w+)\)?"', text))
    assert named <= set(metadata.types) | set(metadata.enums)
    for name, element in metadata.types.items():
        children = [child.get("Name") for child in element if child.get("Name")]
        assert len(children) == len(set(children)), name
        base = metadata.types.get(element.get("BaseType", "").removeprefix("graph."))
        assert base is None or base.tag == element.tag, f"{name}: an entity type and a complex type"


def test_only_what_is_served_is_declared(metadata):
    assert set(metadata.members("application", "NavigationProperty")) == {
        "appManagementPolicies",
        "federatedIdentityCredentials",
        "owners",
    }
    (container,) = metadata.schema.iter(f"{_EDM}EntityContainer")
    assert {child.get("Name") for child in container} == {route.segments[0] for route in routes.ROUTES}
    actions = {e.get("Name") for e in metadata.schema if e.tag in (f"{_EDM}Action", f"{_EDM}Function")}
    assert {"addPassword", "delta", "getByIds", "restore", "sendMail"} <= actions
    assert actions <= {segment for route in routes.ROUTES for segment in route.segments}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/applications", "application"),
        ("/servicePrincipals", "servicePrincipal"),
        ("/users", "user"),
        ("/groups", "group"),
        ("/domains", "domain"),
        ("/organization", "organization"),
        ("/subscribedSkus", "subscribedSku"),
        ("/directoryRoles", "directoryRole"),
        ("/directoryRoleTemplates", "directoryRoleTemplate"),
        ("/roleManagement/directory/roleAssignments", "unifiedRoleAssignment"),
        ("/roleManagement/directory/roleDefinitions", "unifiedRoleDefinition"),
        ("/policies/authorizationPolicy", "authorizationPolicy"),
        ("/policies/defaultAppManagementPolicy", "tenantAppManagementPolicy"),
        ("/policies/identitySecurityDefaultsEnforcementPolicy", "identitySecurityDefaultsEnforcementPolicy"),
    ],
)
def test_answers_are_of_the_declared_types(graph, metadata, path, name):
    made = graph.new_application(
        optionalClaims={"idToken": [{"name": "email"}]},
        api={"oauth2PermissionScopes": []},
        requiredResourceAccess=[{"resourceAppId": "00000003-0000-0000-c000-000000000000", "resourceAccess": []}],
    )
    graph.new_principal(made)
    graph.ok("POST", f"/applications/{made['id']}/addPassword", json={})
    graph.ok(
        "POST",
        "/groups",
        json={"displayName": "g", "mailEnabled": False, "mailNickname": "g", "securityEnabled": True},
    )
    answer = graph.ok("GET", path)
    rows = answer.get("value", [answer])
    assert rows
    for row in rows:
        metadata.check_object(row, name, path)
