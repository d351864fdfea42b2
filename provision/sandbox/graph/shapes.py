"""The complete documents of new directory objects, with Microsoft Graph's defaults.

Owns: which properties a fresh object has and their default values, as a read straight after the create shows them
("Create application", "Create serviceprincipal", "Create User" of the Microsoft Graph reference).
Does not own: whether a value is allowed (the resource modules), or storing it.
"""

from __future__ import annotations

from typing import Any

from provision.sandbox.directory import Document
from provision.sandbox.shared import copied

_INFO: dict[str, Any] = {
    "logoUrl": None,
    "marketingUrl": None,
    "privacyStatementUrl": None,
    "supportUrl": None,
    "termsOfServiceUrl": None,
}
_VERIFIED_PUBLISHER: dict[str, Any] = {"displayName": None, "verifiedPublisherId": None, "addedDateTime": None}

APPLICATION: Document = {
    "deletedDateTime": None,
    "appId": None,
    "applicationTemplateId": None,
    "disabledByMicrosoftStatus": None,
    "createdByAppId": None,
    "createdDateTime": None,
    "displayName": None,
    "description": None,
    "groupMembershipClaims": None,
    "identifierUris": [],
    "isDeviceOnlyAuthSupported": None,
    "isDisabled": None,
    "isFallbackPublicClient": None,
    "nativeAuthenticationApisEnabled": None,
    "notes": None,
    "publisherDomain": None,
    "serviceManagementReference": None,
    "signInAudience": "AzureADandPersonalMicrosoftAccount",
    "tags": [],
    "tokenEncryptionKeyId": None,
    "uniqueName": None,
    "samlMetadataUrl": None,
    "defaultRedirectUri": None,
    "certification": None,
    "optionalClaims": None,
    "servicePrincipalLockConfiguration": None,
    "requestSignatureVerification": None,
    "authenticationBehaviors": None,
    "managerApplications": [],
    "addIns": [],
    "api": {
        "acceptMappedClaims": None,
        "knownClientApplications": [],
        "requestedAccessTokenVersion": None,
        "oauth2PermissionScopes": [],
        "preAuthorizedApplications": [],
    },
    "appRoles": [],
    "info": _INFO,
    "keyCredentials": [],
    "parentalControlSettings": {"countriesBlockedForMinors": [], "legalAgeGroupRule": "Allow"},
    "passwordCredentials": [],
    "publicClient": {"redirectUris": []},
    "requiredResourceAccess": [],
    "verifiedPublisher": _VERIFIED_PUBLISHER,
    "web": {
        "homePageUrl": None,
        "logoutUrl": None,
        "redirectUris": [],
        "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False},
        "redirectUriSettings": [],
    },
    "spa": {"redirectUris": []},
    "_owners": [],
    "_oauth2RequirePostResponse": False,
}

SERVICE_PRINCIPAL: Document = {
    "deletedDateTime": None,
    "accountEnabled": True,
    "alternativeNames": [],
    "appDescription": None,
    "appDisplayName": None,
    "appId": None,
    "applicationTemplateId": None,
    "appOwnerOrganizationId": None,
    "appRoleAssignmentRequired": False,
    "createdByAppId": None,
    "createdDateTime": None,
    "description": None,
    "disabledByMicrosoftStatus": None,
    "displayName": None,
    "homepage": None,
    "isDisabled": None,
    "loginUrl": None,
    "logoutUrl": None,
    "notes": None,
    "notificationEmailAddresses": [],
    "preferredSingleSignOnMode": None,
    "preferredTokenSigningKeyThumbprint": None,
    "replyUrls": [],
    "servicePrincipalNames": [],
    "servicePrincipalType": "Application",
    "signInAudience": None,
    "tags": [],
    "tokenEncryptionKeyId": None,
    "samlSingleSignOnSettings": None,
    "addIns": [],
    "appRoles": [],
    "info": _INFO,
    "keyCredentials": [],
    "oauth2PermissionScopes": [],
    "passwordCredentials": [],
    "resourceSpecificApplicationPermissions": [],
    "verifiedPublisher": _VERIFIED_PUBLISHER,
    "_owners": [],
}

USER: Document = {
    "deletedDateTime": None,
    "accountEnabled": True,
    "ageGroup": None,
    "assignedLicenses": [],
    "assignedPlans": [],
    "businessPhones": [],
    "city": None,
    "companyName": None,
    "consentProvidedForMinor": None,
    "country": None,
    "createdDateTime": None,
    "creationType": None,
    "department": None,
    "displayName": None,
    "employeeId": None,
    "employeeHireDate": None,
    "employeeType": None,
    "externalUserState": None,
    "faxNumber": None,
    "givenName": None,
    "identities": [],
    "imAddresses": [],
    "jobTitle": None,
    "legalAgeGroupClassification": None,
    "mail": None,
    "mailNickname": None,
    "mobilePhone": None,
    "officeLocation": None,
    "onPremisesImmutableId": None,
    "onPremisesSyncEnabled": None,
    "otherMails": [],
    "passwordPolicies": None,
    "passwordProfile": None,
    "postalCode": None,
    "preferredDataLocation": None,
    "preferredLanguage": None,
    "provisionedPlans": [],
    "proxyAddresses": [],
    "securityIdentifier": None,
    "showInAddressList": None,
    "signInSessionsValidFromDateTime": None,
    "state": None,
    "streetAddress": None,
    "surname": None,
    "usageLocation": None,
    "userPrincipalName": None,
    "userType": "Member",
    "_passwordHash": None,
    "_mfa": "off",
    "_appPasswords": [],
    "_authenticationPolicy": None,
    "_locked": False,
}

GROUP: Document = {
    "deletedDateTime": None,
    "classification": None,
    "createdDateTime": None,
    "creationOptions": [],
    "description": None,
    "displayName": None,
    "expirationDateTime": None,
    "groupTypes": [],
    "isAssignableToRole": None,
    "mail": None,
    "mailEnabled": False,
    "mailNickname": None,
    "membershipRule": None,
    "membershipRuleProcessingState": None,
    "onPremisesSyncEnabled": None,
    "preferredDataLocation": None,
    "preferredLanguage": None,
    "proxyAddresses": [],
    "renewedDateTime": None,
    "resourceBehaviorOptions": [],
    "resourceProvisioningOptions": [],
    "securityEnabled": True,
    "securityIdentifier": None,
    "theme": None,
    "visibility": None,
    "_owners": [],
    "_members": [],
}


_WHOLE: Document = {
    "optionalClaims": {"accessToken": [], "idToken": [], "saml2Token": []},
    "samlSingleSignOnSettings": {"relayState": None},
}
"""Complex properties that a write replaces as a whole, with what an empty one shows.

The azuread Terraform provider clears both by sending ``{}``, and sends all claims because "they must be updated
together" (``application_optional_claims_resource.go``, ``serviceprincipals.go``). It also writes ``web.redirectUris``,
``web.implicitGrantSettings``, ``info`` and ``api.knownClientApplications`` alone and expects their neighbours to stay
(``application_redirect_uris_resource.go``, ``application_registration_resource.go``,
``application_known_clients_resource.go``): those are merged. About ``parentalControlSettings``,
``requestSignatureVerification``, ``servicePrincipalLockConfiguration`` and ``authenticationBehaviors`` no source was
found; they are merged, which is OData's rule for PATCH (4.01 part 1, "Update a Complex Property").
"""


def updated(shape: Document, before: Document, changes: Document) -> Document:
    """A document after a PATCH.

    Args:
        shape: the defaults of the type; what they have for an object is what null makes of it.
        before: the stored document.
        changes: the checked body.
    """
    nulls = {n for n, v in changes.items() if v is None and isinstance(shape.get(n) or before.get(n), dict)}
    cleared = {name: copied(shape.get(name)) for name in nulls}
    return complete({**before, **cleared}, {n: v for n, v in changes.items() if n not in nulls})


def complete(defaults: Document, values: Document) -> Document:
    """The defaults with the given values laid over them; objects are merged but for ``_WHOLE``, the rest replaced.

    A given None replaces a scalar, but an object or a list of the defaults stays: Graph shows ``web`` and ``tags`` even
    when the create said null.
    """
    result: Document = copied(defaults)
    for name, value in values.items():
        before = result.get(name)
        if name in _WHOLE and isinstance(value, dict):
            result[name] = complete(_WHOLE[name], value)
        elif isinstance(before, dict) and isinstance(value, dict):
            result[name] = complete(before, value)
        elif value is None and isinstance(before, dict | list):
            continue
        else:
            result[name] = copied(value)
    return result


def service_principal_of(application: Document, *, owner_tenant: str, values: Document | None = None) -> Document:
    """The service principal that mirrors an application in a tenant.

    Args:
        application: the application document; its names, scopes, roles and reply addresses are copied.
        owner_tenant: the tenant in which the application is registered (``appOwnerOrganizationId``).
        values: what the caller set on the service principal itself.
    """
    web, spa = application["web"], application["spa"]
    scopes = application["api"]["oauth2PermissionScopes"]
    mirrored: Document = {
        "appId": application["appId"],
        "appDisplayName": application["displayName"],
        "displayName": application["displayName"],
        "appDescription": application["description"],
        "appOwnerOrganizationId": owner_tenant,
        "homepage": web["homePageUrl"],
        "logoutUrl": web["logoutUrl"],
        "replyUrls": [*web["redirectUris"], *spa["redirectUris"], *application["publicClient"]["redirectUris"]],
        "servicePrincipalNames": [application["appId"], *application["identifierUris"]],
        "signInAudience": application["signInAudience"],
        "appRoles": application["appRoles"],
        "oauth2PermissionScopes": scopes,
        "info": application["info"],
        "addIns": application["addIns"],
        "verifiedPublisher": application["verifiedPublisher"],
        "_requestedAccessTokenVersion": application["api"]["requestedAccessTokenVersion"],
    }
    return complete(SERVICE_PRINCIPAL, {**mirrored, **(values or {})})
