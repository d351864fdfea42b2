"""What Microsoft Graph refuses, the local tenant refuses: status, ``error.code``, sentence and shape, row by row."""

from __future__ import annotations

import time
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from provision.sandbox import seed
from provision.sandbox.directory import Document
from provision.sandbox.entra.tokens import sign

NOBODY = "11111111-2222-3333-4444-555555555555"
_ALL = {"displayName": "x", "signInAudience": "AzureADMyOrg"}


def _app(**values: object) -> Document:
    return {**_ALL, **values}


BODIES: list[tuple[str, str, str, object, int, str, str]] = [
    (
        "unknown property",
        "POST",
        "/applications",
        _app(foo=1),
        400,
        "Request_BadRequest",
        "The property 'foo' does not exist",
    ),
    (
        "unknown nested property",
        "POST",
        "/applications",
        _app(web={"redirectUrls": []}),
        400,
        "Request_BadRequest",
        "The property 'redirectUrls' does not exist on type 'Microsoft.DirectoryServices.WebApplication'",
    ),
    ("extension", "POST", "/applications", _app(extension_x_y="1"), 400, "Request_BadRequest", "extension properties"),
    ("wrong type", "POST", "/applications", _app(tags="x"), 400, "Request_BadRequest", "Property tags in payload"),
    (
        "wrong bool",
        "POST",
        "/applications",
        _app(isFallbackPublicClient="no"),
        400,
        "Request_BadRequest",
        "does not match",
    ),
    ("read-only", "POST", "/applications", _app(appId=NOBODY), 400, "Request_BadRequest", "read-only"),
    (
        "wrong @odata.type",
        "POST",
        "/applications",
        {"@odata.type": "#microsoft.graph.user"},
        400,
        "BadRequest",
        "A type named",
    ),
    (
        "redirect with half an IPv6 address",
        "POST",
        "/applications",
        _app(web={"redirectUris": ["http://[::1"]}),
        400,
        "Request_BadRequest",
        "web.redirectUris",
    ),
    (
        "redirect with a port that is none",
        "POST",
        "/applications",
        _app(web={"redirectUris": ["https://a.example:99999/"]}),
        400,
        "Request_BadRequest",
        "web.redirectUris",
    ),
    (
        "required API without permissions",
        "POST",
        "/applications",
        _app(requiredResourceAccess=[{"resourceAppId": NOBODY}]),
        400,
        "Request_BadRequest",
        "A value is required for property 'resourceAccess'",
    ),
    (
        "required permission without id",
        "POST",
        "/applications",
        _app(requiredResourceAccess=[{"resourceAppId": NOBODY, "resourceAccess": [{"type": "Scope"}]}]),
        400,
        "Request_BadRequest",
        "A value is required for property 'id'",
    ),
    (
        "secret from the last year there is",
        "POST",
        "/applications",
        _app(passwordCredentials=[{"startDateTime": "9999-01-01T00:00:00Z"}]),
        400,
        "Request_BadRequest",
        "endDateTime",
    ),
    (
        "no name",
        "POST",
        "/applications",
        {"signInAudience": "AzureADMyOrg"},
        400,
        "Request_BadRequest",
        "'displayName'",
    ),
    ("long name", "POST", "/applications", _app(displayName="x" * 121), 400, "Request_BadRequest", "'displayName'"),
    (
        "audience",
        "POST",
        "/applications",
        _app(signInAudience="Everyone"),
        400,
        "Request_BadRequest",
        "'signInAudience'",
    ),
    (
        "http redirect",
        "POST",
        "/applications",
        _app(web={"redirectUris": ["http://my.cloudex.app/cb"]}),
        400,
        "Request_BadRequest",
        "web.redirectUris",
    ),
    (
        "fragment",
        "POST",
        "/applications",
        _app(web={"redirectUris": ["https://a.example/#x"]}),
        400,
        "Request_BadRequest",
        "web",
    ),
    (
        "wildcard",
        "POST",
        "/applications",
        _app(web={"redirectUris": ["https://*.a.example/"]}),
        400,
        "Request_BadRequest",
        "web",
    ),
    (
        "long redirect",
        "POST",
        "/applications",
        _app(web={"redirectUris": ["https://a.example/" + "x" * 300]}),
        400,
        "Request_BadRequest",
        "web.redirectUris",
    ),
    (
        "one redirect on two platforms",
        "POST",
        "/applications",
        _app(web={"redirectUris": ["https://a.example/"]}, spa={"redirectUris": ["https://a.example/"]}),
        400,
        "Request_BadRequest",
        "redirectUris",
    ),
    (
        "unknown scope id",
        "POST",
        "/applications",
        _app(
            requiredResourceAccess=[
                {
                    "resourceAppId": "00000003-0000-0000-c000-000000000000",
                    "resourceAccess": [{"id": NOBODY, "type": "Scope"}],
                }
            ]
        ),
        400,
        "Request_BadRequest",
        "'id' of resource 'ResourceAccess'",
    ),
    (
        "foreign identifier URI",
        "POST",
        "/applications",
        _app(identifierUris=["https://evil.example"]),
        400,
        "Request_BadRequest",
        "Failed to add",
    ),
    ("null list item", "POST", "/applications", _app(tags=[None]), 400, "Request_BadRequest", "tags"),
    (
        "a bind of a number",
        "POST",
        "/applications",
        _app(**{"owners@odata.bind": 1}),
        400,
        "Request_BadRequest",
        "bind",
    ),
    (
        "a bind nobody takes",
        "POST",
        "/applications",
        _app(**{"appId@odata.bind": "x"}),
        400,
        "Request_BadRequest",
        "bind",
    ),
    ("U+0000", "POST", "/applications", _app(displayName="a\0b"), 400, "Request_BadRequest", "'displayName'"),
    ("U+0000 in a list", "POST", "/applications", _app(tags=["a\0"]), 400, "Request_BadRequest", "'tags'"),
    (
        "U+0000 inside",
        "POST",
        "/applications",
        _app(info={"supportUrl": "https://a.example/\0"}),
        400,
        "Request_BadRequest",
        "'supportUrl'",
    ),
    ("not an object", "POST", "/applications", [1], 400, "BadRequest", "Unable to read JSON"),
    (
        "no application",
        "POST",
        "/servicePrincipals",
        {"appId": NOBODY},
        400,
        "NoBackingApplicationObject",
        f"The appId '{NOBODY}' of",
    ),
    ("no appId", "POST", "/servicePrincipals", {"accountEnabled": True}, 400, "Request_BadRequest", "'appId'"),
    (
        "grant without client",
        "POST",
        "/oauth2PermissionGrants",
        {"scope": "x"},
        400,
        "Request_BadRequest",
        "'clientId'",
    ),
    (
        "grant for nobody",
        "POST",
        "/oauth2PermissionGrants",
        {"clientId": NOBODY, "consentType": "AllPrincipals", "resourceId": NOBODY, "scope": "User.Read"},
        404,
        "Request_ResourceNotFound",
        f"Resource '{NOBODY}' does not exist or one of its queried reference-property objects are not present.",
    ),
    (
        "weak password",
        "POST",
        "/users",
        {
            "accountEnabled": True,
            "displayName": "a",
            "mailNickname": "a",
            "userPrincipalName": "a@contoso.example",
            "passwordProfile": {"password": "short"},
        },
        400,
        "Request_BadRequest",
        "complexity",
    ),
    (
        "foreign domain",
        "POST",
        "/users",
        {
            "accountEnabled": True,
            "displayName": "a",
            "mailNickname": "a",
            "userPrincipalName": "a@other.example",
            "passwordProfile": {"password": "Aa1-xxxxxxxx"},
        },
        400,
        "Request_BadRequest",
        "verified domain",
    ),
    (
        "get by ids",
        "POST",
        "/directoryObjects/getByIds",
        {"ids": ["x"]},
        400,
        "Request_BadRequest",
        "Invalid object identifier 'x'",
    ),
    (
        "policy without users",
        "POST",
        "/identity/conditionalAccess/policies",
        {"displayName": "a", "state": "enabled", "conditions": {"applications": {"includeApplications": ["All"]}}},
        400,
        "BadRequest",
        "users",
    ),
]


def _is_graph_error(response, status: int, code: str, sentence: str) -> None:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code
    assert sentence in error["message"]
    assert set(error["innerError"]) == {"date", "request-id", "client-request-id"}
    assert error["innerError"]["request-id"] == response.headers["request-id"]
    assert "x-ms-ags-diagnostic" in response.headers


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "sentence"), [row[1:] for row in BODIES], ids=[r[0] for r in BODIES]
)
def test_a_bad_body_is_refused_and_nothing_is_stored(graph, method, path, body, status, code, sentence):
    kinds = ("application", "servicePrincipal", "oauth2PermissionGrant", "user", "conditionalAccessPolicy")
    before = [len(graph.directory.all(graph.tenant, kind)) for kind in kinds]
    _is_graph_error(graph.call(method, path, json=body), status, code, sentence)
    assert [len(graph.directory.all(graph.tenant, kind)) for kind in kinds] == before


@pytest.mark.parametrize(
    ("query", "code", "sentence"),
    [
        (
            "$filter=foo eq 'x'",
            "BadRequest",
            "Could not find a property named 'foo' on type 'microsoft.graph.application'.",
        ),
        (
            "$filter=notes eq 'x'",
            "Request_UnsupportedQuery",
            "Unsupported or invalid query filter clause specified for property 'notes' of resource 'Application'.",
        ),
        ("$filter=passwordCredentials/any(p:p/keyId eq null)", "Request_UnsupportedQuery", "'passwordCredentials'"),
        ("$filter=contains(displayName,'x')", "Request_UnsupportedQuery", "'displayName'"),
        ("$filter=displayName ne 'x'", "Request_UnsupportedQuery", "Unsupported Query."),
        ("$filter=appId eq", "BadRequest", "Invalid filter clause"),
        ("$filter=frob(appId,'x')", "BadRequest", "An unknown function with name 'frob' was found."),
        ("$select=nonsense", "BadRequest", "Could not find a property named 'nonsense'"),
        ("$expand=nonsense", "BadRequest", "Could not find a property named 'nonsense'"),
        ("$orderby=notes", "Request_UnsupportedQuery", "Sorting not supported"),
        ("$orderby=nonsense", "BadRequest", "Could not find a property named 'nonsense'"),
        (
            "$top=1000",
            "Request_BadRequest",
            "Invalid page size specified: '1000'. Must be between 1 and 999 inclusive.",
        ),
        ("$top=x", "BadRequest", "$top"),
        ("$skip=1", "BadRequest", "'$skip' is not supported by the service."),
        ("$frobnicate=1", "BadRequest", "$frobnicate"),
        ('$search="displayName:x"', "Request_UnsupportedQuery", "ConsistencyLevel"),
        ("$skiptoken=zzz", "Directory_ExpiredPageToken", "page token"),
        ("$top=1&$top=2", "BadRequest", "more than once"),
        ("$top=" + "9" * 5000, "Request_BadRequest", "Invalid page size"),
        (
            "$filter=appId eq 5",
            "BadRequest",
            "Found operand types 'Edm.String' and 'Edm.Int32' for operator kind 'Equal'.",
        ),
        ("$filter=appId in ('a',5)", "BadRequest", "incompatible types"),
        (f"$filter=appId eq {NOBODY}", "BadRequest", "'Edm.String' and 'Edm.Guid'"),
        ("$filter=createdDateTime ge '2025-01-01'", "BadRequest", "'Edm.DateTimeOffset' and 'Edm.String'"),
        ("$filter=tags/any(t:t eq true)", "BadRequest", "'Edm.String' and 'Edm.Boolean'"),
        (
            "$filter=tags eq 'x'",
            "BadRequest",
            "Invalid filter clause: The operand for a binary operator 'Equal' is not a single value. "
            "Binary operators require both operands to be single values.",
        ),
        ("$filter='x' ne identifierUris", "BadRequest", "binary operator 'NotEqual' is not a single value"),
        ("$filter=tags eq null", "BadRequest", "is not a single value"),
        ("$filter=tags in ('x')", "BadRequest", "The left operand for the IN operation is not a single value."),
        ("$filter=startswith(tags,'x')", "BadRequest", "function with name 'startswith' is not a single value"),
        ("$filter=owners/id eq 'x'", "BadRequest", "a property access of a property 'id' is not a single value"),
        ("$filter=displayName/any(d:d eq 'x')", "BadRequest", "Any/All may only be used following a collection."),
        ("$filter='a' eq 'a'", "Request_UnsupportedQuery", "Unsupported Query."),
        ("$filter=null eq null or appId eq 'x'", "Request_UnsupportedQuery", "Unsupported Query."),
        ("$filter='a' in ('a','b')", "Request_UnsupportedQuery", "Unsupported Query."),
        ("$filter=(notes eq 'x') eq true", "Request_UnsupportedQuery", "Unsupported Query."),
        ("$filter=startswith(displayName,5)", "BadRequest", "No function signature for the function with name"),
        ("$filter=createdDateTime ge 2025-99-99", "BadRequest", "Syntax error at position 19"),
        ("$filter=" + "(" * 200 + "appId eq 'x'" + ")" * 200, "BadRequest", "Recursion depth exceeded"),
        ("$filter=appId eq 'x'" + " or appId eq 'x'" * 200, "BadRequest", "Recursion depth exceeded"),
    ],
)
def test_a_bad_query_is_refused(graph, query, code, sentence):
    _is_graph_error(graph.call("GET", f"/applications?{query}"), 400, code, sentence)


def test_paths_and_methods_that_do_not_exist(graph):
    _is_graph_error(graph.call("GET", "/frobs"), 400, "BadRequest", "Resource not found for the segment 'frobs'.")
    _is_graph_error(graph.call("GET", f"/applications/{NOBODY}/frobs"), 400, "BadRequest", "segment 'frobs'")
    _is_graph_error(graph.call("PUT", "/applications"), 405, "Request_BadRequest", "HTTP method is not allowed")
    _is_graph_error(graph.call("GET", f"/applications/{NOBODY}"), 404, "Request_ResourceNotFound", NOBODY)
    _is_graph_error(graph.call("GET", "/applications/not-a-guid"), 404, "Request_ResourceNotFound", "not-a-guid")


def test_bodies_that_are_not_json(graph):
    json_type = {"Content-Type": "application/json"}
    _is_graph_error(
        graph.call("POST", "/applications", content=b"{", headers=json_type), 400, "BadRequest", "Unable to read JSON"
    )
    _is_graph_error(graph.call("POST", "/applications", headers=json_type), 400, "BadRequest", "Empty Payload")
    _is_graph_error(
        graph.call("POST", "/applications", content=b"{}"), 400, "BadRequest", "Content-Type header declaration"
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    _is_graph_error(
        graph.call("POST", "/applications", content=b"a=b", headers=form), 400, "BadRequest", "Unable to read JSON"
    )


@pytest.mark.parametrize(
    "content",
    [b"[" * 50_000, b'{"displayName": "\\ud800"}', b'{"displayName": NaN}', b'{"displayName": "\xff"}'],
    ids=["too deep", "half a surrogate pair", "not a number", "not UTF-8"],
)
def test_text_that_only_looks_like_json_is_refused_as_unreadable(graph, content):
    """Python reads more than JSON; what it cannot store or follow must not end as an internal error."""
    answer = graph.call("POST", "/applications", content=content, headers={"Content-Type": "application/json"})
    _is_graph_error(answer, 400, "BadRequest", "Unable to read JSON request payload.")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"displayName": "a", "displayName": "b"}', "Multiple properties with the name 'displayName' were detected"),
        (b'{"displayName": "a", "DISPLAYNAME": "b"}', "Multiple properties with the name 'displayName' were detected"),
        (
            b'{"displayName": "a", "web": {"logoutUrl": null, "logoutUrl": null}}',
            "Multiple properties with the name 'logoutUrl' were detected in a resource or a complex value.",
        ),
        (b'{"displayName": "a", "web": {"logoutUrl": null, "LogoutUrl": null}}', "'logoutUrl' were detected"),
        (
            b'{"@odata.type": "#microsoft.graph.application", "@odata.type": "x", "displayName": "a"}',
            "Multiple annotations with the name '@odata.type' were detected.",
        ),
    ],
)
def test_a_name_given_twice_is_refused(graph, content, sentence):
    """Of two values Python would silently keep the last; what a client meant nobody knows."""
    before = graph.directory.all(graph.tenant, "application")
    answer = graph.call("POST", "/applications", content=content, headers={"Content-Type": "application/json"})
    _is_graph_error(answer, 400, "BadRequest", sentence)
    assert graph.directory.all(graph.tenant, "application") == before


@pytest.mark.parametrize("row", [{"headers": "x"}, {"dependsOn": 1}])
def test_a_batch_item_of_the_wrong_form_is_refused(graph, row):
    request = {"id": "1", "method": "GET", "url": "/organization", **row}
    answer = graph.call("POST", "/$batch", json={"requests": [request]})
    _is_graph_error(answer, 400, "BadRequest", "Invalid batch payload format.")


def _claims(graph, **changes):
    now = int(time.time())
    claims = jwt.decode(graph.token, options={"verify_signature": False})
    return {**claims, "iat": now, "nbf": now, "exp": now + 3600, **changes}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("empty", "Access token is empty."),
        ("garbage", "CompactToken parsing failed with error code: 80049217"),
        ("expired", "Lifetime validation failed, the token is expired."),
        ("future", "Lifetime validation failed"),
        ("audience", "Access token validation failure. Invalid audience."),
        ("forged", "Access token validation failure."),
        ("unsigned", "CompactToken parsing failed"),
    ],
)
def test_a_token_that_is_not_right_is_refused_with_the_challenge(graph, name, sentence):
    other = {
        "empty": "",
        "garbage": "abc",
        "expired": sign(graph.world, _claims(graph, exp=int(time.time()) - 600)),
        "future": sign(graph.world, _claims(graph, nbf=int(time.time()) + 6000)),
        "audience": sign(graph.world, _claims(graph, aud="https://outlook.office365.com")),
        "forged": jwt.encode(_claims(graph), _another_key(), algorithm="RS256"),
        "unsigned": jwt.encode(_claims(graph), "", algorithm="none"),
    }[name]
    response = graph.call("GET", "/applications", token=other)
    _is_graph_error(response, 401, "InvalidAuthenticationToken", sentence)
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")


def _another_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_another_tenants_token_sees_only_its_own_tenant(graph):
    """A token is for one tenant: objects of the other are simply not there, and an unknown tenant is no tenant."""
    mine = graph.new_application()
    other = seed.create_tenant(graph.directory, domain="fabrikam.onmicrosoft.com", base_url=graph.world.base_url)
    foreign = sign(graph.world, _claims(graph, tid=other.tenant_id))
    _is_graph_error(
        graph.call("GET", f"/applications/{mine['id']}", token=foreign), 404, "Request_ResourceNotFound", mine["id"]
    )
    nowhere = sign(graph.world, _claims(graph, tid=str(uuid.uuid4())))
    _is_graph_error(
        graph.call("GET", "/applications", token=nowhere), 401, "Authorization_IdentityNotFound", "identity"
    )
