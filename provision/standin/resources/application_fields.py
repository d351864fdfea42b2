"""The properties of ``azuread.Application``: names, kinds, defaults, rules.

Owns: the table. Does not own: what is done with them (``application``).

Source: terraform-provider-azuread, ``application_resource.go``; Pulumi's names from the pulumi-azuread package.
"""

from __future__ import annotations

from provision.standin import rules
from provision.standin.fields import (
    Field,
    block,
    block_list,
    blocks,
    flag,
    mapping,
    number,
    text,
    text_list,
    texts,
)

SIGN_IN_AUDIENCES = (
    "AzureADMyOrg",
    "AzureADMultipleOrgs",
    "AzureADandPersonalMicrosoftAccount",
    "PersonalMicrosoftAccount",
)
_CLAIM_PROPERTIES = (
    "cloud_displayname",
    "dns_domain_and_sam_account_name",
    "emit_as_roles",
    "include_externally_authenticated_upn_without_hash",
    "include_externally_authenticated_upn",
    "max_size_limit",
    "netbios_domain_and_sam_account_name",
    "on_premise_security_identifier",
    "sam_account_name",
    "use_guid",
)
_GROUP_CLAIMS = ("All", "None", "ApplicationGroup", "DirectoryRole", "SecurityGroup")
_MOST_OWNERS = 100
_MOST_REDIRECTS = 256
_DESCRIPTION_LENGTH = 1024


def _claims(name: str) -> Field:
    return block_list(
        name,
        text("name", required=True),
        text("source", rules.one_of("user")),
        flag("essential", default=False),
        text_list("additionalProperties", rules.one_of(*_CLAIM_PROPERTIES)),
    )


API = block(
    "api",
    texts("knownClientApplications", rules.guid),
    flag("mappedClaimsEnabled"),
    blocks(
        "oauth2PermissionScopes",
        text("id", rules.guid, required=True),
        text("adminConsentDescription", rules.filled),
        text("adminConsentDisplayName", rules.filled),
        flag("enabled", default=True),
        text("type", rules.one_of("Admin", "User"), default="User"),
        text("userConsentDescription", rules.filled),
        text("userConsentDisplayName", rules.filled),
        text("value", rules.claim_value),
    ),
    number("requestedAccessTokenVersion", rules.between(1, 2), default=1),
)
APP_ROLES = blocks(
    "appRoles",
    text("id", rules.guid, required=True),
    texts("allowedMemberTypes", rules.one_of("Application", "User"), required=True, least=1),
    text("description", rules.filled, required=True),
    text("displayName", rules.filled, required=True),
    flag("enabled", default=True),
    text("value", rules.claim_value),
)
WEB = block(
    "web",
    text("homepageUrl", rules.web_address),
    text("logoutUrl", rules.logout_address),
    texts("redirectUris", rules.web_redirect, most=_MOST_REDIRECTS),
    block("implicitGrant", flag("accessTokenIssuanceEnabled"), flag("idTokenIssuanceEnabled")),
)

FIELDS: tuple[Field, ...] = (
    text("displayName", rules.filled, required=True),
    API,
    APP_ROLES,
    mapping("appRoleIds", output=True, recomputed_with="appRoles"),
    text("clientId", output=True),
    text("description", rules.length(0, _DESCRIPTION_LENGTH)),
    flag("deviceOnlyAuthEnabled"),
    text("disabledByMicrosoft", output=True),
    flag("fallbackPublicClientEnabled"),
    block_list(
        "featureTags",
        flag("customSingleSignOn"),
        flag("enterprise"),
        flag("gallery"),
        flag("hide"),
        computed=True,
        conflicts=("tags",),
    ),
    texts("groupMembershipClaims", rules.one_of(*_GROUP_CLAIMS)),
    texts("identifierUris", rules.filled),
    text(
        "logoImage",
        rules.base64_text,
        cannot="the local tenant keeps no pictures; leave it to a run with the real plugin",
    ),
    text("logoUrl", output=True, recomputed_with="logoImage"),
    text("marketingUrl"),
    text("notes", rules.filled),
    mapping("oauth2PermissionScopeIds", output=True, recomputed_with="api.oauth2PermissionScopes"),
    flag("oauth2PostResponseRequired"),
    text("objectId", output=True),
    block("optionalClaims", _claims("accessTokens"), _claims("idTokens"), _claims("saml2Tokens")),
    texts("owners", rules.guid, most=_MOST_OWNERS),
    block(
        "password",
        text("displayName", required=True),
        text("startDate", rules.date, computed=True),
        text("endDate", rules.date, computed=True),
        text("keyId", output=True),
        text("value", output=True, secret=True),
        cannot="it makes no secret inside an application; use azuread.ApplicationPassword",
    ),
    flag("preventDuplicateNames", default=False),
    text("privacyStatementUrl"),
    block("publicClient", texts("redirectUris", rules.public_redirect, most=_MOST_REDIRECTS)),
    text("publisherDomain", output=True),
    blocks(
        "requiredResourceAccesses",
        text("resourceAppId", required=True),
        block_list(
            "resourceAccesses",
            text("id", rules.guid, required=True),
            text("type", rules.one_of("Role", "Scope"), required=True),
            required=True,
        ),
    ),
    text("serviceManagementReference"),
    text("signInAudience", rules.one_of(*SIGN_IN_AUDIENCES), default="AzureADMyOrg"),
    block("singlePageApplication", texts("redirectUris", rules.spa_redirect, most=_MOST_REDIRECTS)),
    text("supportUrl"),
    texts("tags", computed=True, conflicts=("featureTags",)),
    text(
        "templateId",
        rules.guid,
        computed=True,
        replaces=True,
        cannot="the local tenant has no gallery of application templates",
    ),
    text("termsOfServiceUrl"),
    WEB,
)
