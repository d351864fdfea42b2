"""What the portal reads of one tenant: objects joined to what a person asks about them.

Owns: the joins (an application and what was consented to it, a user and its licences, a mailbox and its messages).
Does not own: HTML, or changing anything. It reads past the replication delay: the portal shows what is, not what a
client already sees.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from provision.sandbox import published
from provision.sandbox.directory import Directory, Document, public
from provision.sandbox.exchange import mailboxes, organization
from provision.sandbox.portal.credentials import Credential, credentials

AUDIENCES = {
    "AzureADMyOrg": "This organization only (single tenant)",
    "AzureADMultipleOrgs": "Any organization (multitenant)",
    "AzureADandPersonalMicrosoftAccount": "Any organization and personal accounts",
    "PersonalMicrosoftAccount": "Personal accounts only",
}
PLATFORMS = {"web": "Web", "spa": "Single-page application", "publicClient": "Mobile and desktop"}
MAILBOXES = {
    mailboxes.USER: "User mailbox",
    mailboxes.SHARED: "Shared mailbox",
    mailboxes.ROOM: "Room",
    mailboxes.EQUIPMENT: "Equipment",
}
SMTP_AUTH = "SmtpClientAuthenticationDisabled"
STAGES = {
    "available": "as before",
    "off_by_default": "off by default since the end of December 2026",
    "removed": "removed (550 5.7.30)",
}
MAILBOXES_SHOWN = 200
FOLDERS = {"inbox": "Inbox", "sentitems": "Sent items", "drafts": "Drafts", "deleteditems": "Deleted items"}


@dataclass(frozen=True)
class Permission:
    """One permission that an application asks for, or holds."""

    resource: str
    name: str
    kind: str
    """``delegated`` or ``application``."""
    granted: str
    """Who consented: ``for everyone``, ``for N users``, empty when nobody did."""


@dataclass
class Application:
    """An app registration with everything that decides whether it can send."""

    document: Document
    audience: str
    redirects: list[tuple[str, str]]
    """Platform and address."""
    credentials: list[Credential]
    permissions: list[Permission]
    owners: list[str]
    federated: list[Document]
    principal_id: str | None
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def worst(self) -> Credential | None:
        """The credential that says most about the app: the one that lives longest."""
        return max(self.credentials, key=lambda credential: credential.ends, default=None)

    @property
    def unconsented(self) -> int:
        """How many of the permissions asked for nobody consented to."""
        return sum(not permission.granted for permission in self.permissions)


@dataclass(frozen=True)
class Mailbox:
    """A mailbox with the layers that decide whether it can send by SMTP."""

    document: Document
    owner: str
    """The user's id."""
    kind: str
    licence: str
    switch: str
    """The mailbox's own SMTP AUTH: ``on``, ``off`` or ``inherits``."""
    effective: str
    """What follows: ``on`` or ``off``."""
    policy: str | None
    """The authentication policy that applies, its own or the organization's."""
    blocks_basic: bool
    """Whether that policy blocks SMTP AUTH with a password."""
    blocked: bool
    """Whether it is restricted for outbound spam."""


@dataclass(frozen=True)
class User:
    """A user with licences, roles and the state of its mailbox."""

    document: Document
    roles: list[str]
    licences: list[str]
    mailbox: str
    remarks: list[str]


class Tenant:
    """One tenant's objects, each kind read once per page.

    Args:
        directory: the store.
        tenant_id: an existing tenant.
    """

    def __init__(self, directory: Directory, tenant_id: str) -> None:
        self._directory = directory
        self.id = tenant_id
        document = directory.tenant(tenant_id) or {}
        self.domain = str(document.get("domain", ""))
        self.name = str(document.get("displayName") or self.domain)
        self._kinds: dict[str, list[Document]] = {}

    def all(self, kind: str) -> list[Document]:
        """All live objects of a kind."""
        if kind not in self._kinds:
            self._kinds[kind] = self._directory.all(self.id, kind, fresh=True)
        return self._kinds[kind]

    def get(self, kind: str, identity: str) -> Document | None:
        """One live object."""
        return self._directory.get(self.id, kind, identity, fresh=True)

    def counts(self) -> dict[str, int]:
        """How many objects a reader will find behind each heading."""
        return {
            "App registrations": len(self.all("application")),
            "Enterprise applications": len(self.all("servicePrincipal")),
            "Users": len(self.all("user")),
            "Mailboxes": self._directory.count(self.id, mailboxes.KIND),
            "Messages": len(self.all("message")),
        }

    def names(self) -> set[str]:
        """The id and the domains: what clients may call the tenant by."""
        return {self.id, self.domain, *self.domains()}

    def domains(self) -> list[str]:
        """The tenant's domain names, the initial one first."""
        names = [str(d["id"]) for d in sorted(self.all("domain"), key=lambda d: not d.get("isInitial"))]
        return names or [self.domain]

    def _name_of(self, identity: str) -> str:
        for kind in ("user", "servicePrincipal", "application"):
            document = self.get(kind, identity)
            if document is not None:
                return str(document.get("userPrincipalName") or document.get("displayName") or identity)
        return identity

    # Applications

    def applications(self) -> list[Application]:
        """All app registrations, by name."""
        found = [self.application(document) for document in self.all("application")]
        return sorted(found, key=lambda application: str(application.document.get("displayName")).casefold())

    def application(self, document: Document) -> Application:
        """An app registration with its joins."""
        principal = next((p for p in self.all("servicePrincipal") if p.get("appId") == document.get("appId")), None)
        web = document.get("web") or {}
        issuance = web.get("implicitGrantSettings") or {}
        publisher = document.get("verifiedPublisher") or {}
        yes_no = {True: "on", False: "off", None: "off"}
        return Application(
            document=public(document),
            audience=AUDIENCES.get(str(document.get("signInAudience")), str(document.get("signInAudience"))),
            redirects=[
                (label, uri)
                for platform, label in PLATFORMS.items()
                for uri in (document.get(platform) or {}).get("redirectUris") or []
            ],
            credentials=credentials(document, self._directory.clock.now()),
            permissions=self._requested(document, principal),
            owners=[self._name_of(owner) for owner in document.get("_owners") or []],
            federated=[
                public(f)
                for f in self.all("federatedIdentityCredential")
                if f.get("_applicationId") == document.get("id")
            ],
            principal_id=principal["id"] if principal else None,
            facts={
                "Access tokens at sign-in": yes_no[issuance.get("enableAccessTokenIssuance")],
                "ID tokens at sign-in": yes_no[issuance.get("enableIdTokenIssuance")],
                "Public client flows": yes_no[document.get("isFallbackPublicClient")],
                "Publisher domain": str(document.get("publisherDomain") or "none"),
                "Verified publisher": str(publisher.get("displayName") or publisher.get("verifiedPublisherId") or "no"),
            },
        )

    def _requested(self, document: Document, principal: Document | None) -> list[Permission]:
        rows = []
        for request in document.get("requiredResourceAccess") or []:
            resource = next(
                (p for p in self.all("servicePrincipal") if p.get("appId") == request.get("resourceAppId")), None
            )
            for access in request.get("resourceAccess") or []:
                rows.append(self._permission(resource, access, principal, str(request.get("resourceAppId"))))
        return rows

    def _permission(
        self, resource: Document | None, access: Document, principal: Document | None, resource_app_id: str
    ) -> Permission:
        is_role = access.get("type") == "Role"
        published = (resource or {}).get("appRoles" if is_role else "oauth2PermissionScopes") or []
        name = next((str(p["value"]) for p in published if p.get("id") == access.get("id")), str(access.get("id")))
        granted = ""
        if resource is not None and principal is not None:
            granted = (
                self._role_granted(principal, resource, str(access.get("id")))
                if is_role
                else self._scope_granted(principal, resource, name)
            )
        return Permission(
            resource=str((resource or {}).get("displayName") or resource_app_id),
            name=name,
            kind="application" if is_role else "delegated",
            granted=granted,
        )

    def _scope_granted(self, principal: Document, resource: Document, name: str) -> str:
        grants = [
            grant
            for grant in self.all("oauth2PermissionGrant")
            if grant.get("clientId") == principal["id"]
            and grant.get("resourceId") == resource["id"]
            and name in str(grant.get("scope", "")).split()
        ]
        if any(grant.get("consentType") == "AllPrincipals" for grant in grants):
            return "for everyone"
        return f"for {len(grants)} user{'s' if len(grants) > 1 else ''}" if grants else ""

    def _role_granted(self, principal: Document, resource: Document, role_id: str) -> str:
        held = any(
            a.get("principalId") == principal["id"]
            and a.get("resourceId") == resource["id"]
            and a.get("appRoleId") == role_id
            for a in self.all("appRoleAssignment")
        )
        return "for the tenant" if held else ""

    # Enterprise applications

    def grants_of(self, principal: Document) -> list[Document]:
        """Delegated grants and app roles that an enterprise application holds, as rows."""
        names = {p["id"]: str(p.get("displayName")) for p in self.all("servicePrincipal")}
        rows = [
            {
                "kind": "delegated",
                "resource": names.get(str(grant.get("resourceId")), str(grant.get("resourceId"))),
                "names": sorted(str(grant.get("scope", "")).split(), key=str.casefold),
                "who": "everyone"
                if grant.get("consentType") == "AllPrincipals"
                else self._name_of(str(grant.get("principalId"))),
            }
            for grant in self.all("oauth2PermissionGrant")
            if grant.get("clientId") == principal["id"]
        ]
        roles: dict[str, list[str]] = {}
        for assignment in self.all("appRoleAssignment"):
            if assignment.get("principalId") == principal["id"]:
                resource = self.get("servicePrincipal", str(assignment.get("resourceId"))) or {}
                name = next(
                    (str(r["value"]) for r in resource.get("appRoles") or [] if r["id"] == assignment.get("appRoleId")),
                    str(assignment.get("appRoleId")),
                )
                roles.setdefault(str(resource.get("displayName", "?")), []).append(name)
        rows += [
            {
                "kind": "application",
                "resource": resource,
                "names": sorted(held, key=str.casefold),
                "who": "the app itself",
            }
            for resource, held in roles.items()
        ]
        return rows

    def principals(self) -> list[Document]:
        """All enterprise applications by name, those of this tenant first; each with ``_home`` for people."""
        mine = [{**p, "_home": self.home_of(p)} for p in self.all("servicePrincipal")]
        return sorted(mine, key=lambda p: (p["_home"] != "this tenant", str(p.get("displayName")).casefold()))

    def home_of(self, principal: Document) -> str:
        """Whose application it is."""
        owner = principal.get("appOwnerOrganizationId")
        if owner == self.id:
            return "this tenant"
        if owner == published.MICROSOFT_SERVICES_TENANT:
            return "Microsoft"
        return f"tenant {owner}"

    def owners_of(self, document: Document) -> list[str]:
        """The names of an object's owners."""
        return [self._name_of(owner) for owner in document.get("_owners") or []]

    # People and mail

    def users(self) -> list[User]:
        """All users, by user principal name."""
        return sorted((self.user(d) for d in self.all("user")), key=lambda u: str(u.document["userPrincipalName"]))

    def user(self, document: Document) -> User:
        """A user with its joins."""
        roles = {role["id"]: str(role.get("displayName")) for role in self.all("directoryRole")}
        skus = {sku.get("skuId"): str(sku.get("skuPartNumber")) for sku in self.all("subscribedSku")}
        licences = [skus.get(lic.get("skuId"), str(lic.get("skuId"))) for lic in document.get("assignedLicenses") or []]
        mailbox = mailboxes.of_user(self._directory, self.id, document["id"])
        kind = mailbox and mailbox["RecipientTypeDetails"]
        remarks = []
        if not document.get("accountEnabled", True):
            remarks.append("sign-in disabled")
        if document.get("_locked"):
            remarks.append("locked")
        if document.get("_mfa") not in {None, "off"}:
            remarks.append({"registered": "MFA registered"}.get(document["_mfa"], "MFA required, not registered"))
        if kind == mailboxes.USER and not licences:
            remarks.append("mailbox without a licence")
        held = [roles[m["roleId"]] for m in self.all("roleMembership") if m.get("memberId") == document["id"]]
        return User(
            document=public(document),
            roles=sorted(held),
            licences=licences,
            mailbox=MAILBOXES.get(str(kind), "No mailbox"),
            remarks=remarks,
        )

    def mailboxes(self, after: int = 0) -> tuple[list[Mailbox], int | None]:
        """Mailboxes with what decides whether they can send, and where the next page begins (None: nowhere).

        Args:
            after: as an earlier call returned it.
        """
        rows = self._directory.page(self.id, mailboxes.KIND, after=after, limit=MAILBOXES_SHOWN + 1, fresh=True)
        shown = rows[:MAILBOXES_SHOWN]
        return [self.mailbox(row) for _, row in shown], shown[-1][0] if len(rows) > MAILBOXES_SHOWN else None

    def mailbox(self, document: Document) -> Mailbox:
        """A mailbox with its layers."""
        user = self.get("user", str(document["_userId"])) or {}
        own = document[SMTP_AUTH]
        whole = organization.transport_config(self._directory, self.id)[SMTP_AUTH]
        policy = organization.authentication_policy(self._directory, self.id, user, document)
        licence = "licensed" if mailboxes.licensed(user or None) else "no licence"
        return Mailbox(
            document=public(document),
            owner=str(document["_userId"]),
            kind=MAILBOXES[document["RecipientTypeDetails"]],
            licence=licence,
            switch={None: "inherits", True: "off", False: "on"}[own],
            effective="off" if (whole if own is None else own) else "on",
            policy=str(policy["Name"]) if policy else None,
            blocks_basic=policy is not None and not policy["AllowBasicAuthSmtp"],
            blocked=bool(document["_blockedOutbound"]),
        )

    def mail_settings(self) -> dict[str, str]:
        """What holds for every mailbox: heading to words."""
        transport = organization.transport_config(self._directory, self.id)
        whole = organization.organization_config(self._directory, self.id)
        stage = organization.basic_smtp_stage(self._directory, self.id)
        ews = whole["EwsEnabled"]
        return {
            "SMTP AUTH of the organization": "off, unless a mailbox has it on" if transport[SMTP_AUTH] else "on",
            "SMTP AUTH with a password": STAGES[stage],
            "Default authentication policy": whole["DefaultAuthenticationPolicy"] or "none",
            "Old TLS (smtp-legacy.office365.com)": "allowed" if transport["AllowLegacyTLSClients"] else "refused",
            "EWS": "not set" if ews is None else "on" if ews else "off",
        }

    def messages(self, user_id: str | None = None) -> list[Document]:
        """Messages (of one mailbox), newest first; ``folder`` is added for people."""
        chosen = [
            {
                **public(m),
                "folder": FOLDERS.get(str(m.get("_folder")), str(m.get("_folder"))),
                "owner": m.get("_userId"),
            }
            for m in self.all("message")
            if user_id in {None, m.get("_userId")}
        ]
        return sorted(chosen, key=_when, reverse=True)

    def outgoing(self, user_id: str) -> list[Document]:
        """What was taken from a mailbox for addresses outside of this server, newest first; it goes nowhere."""
        return [public(m) for m in reversed(self.all("outgoingMessage")) if m["_userId"] == user_id]

    # Policies

    def policies(self) -> dict[str, Any]:
        """Security defaults, Conditional Access, app management."""
        defaults = self.all("identitySecurityDefaultsEnforcementPolicy")
        management = self.all("defaultAppManagementPolicy")
        return {
            "security_defaults": bool(defaults and defaults[0].get("isEnabled")),
            "conditional_access": [public(p) for p in self.all("conditionalAccessPolicy")],
            "default_app_management": public(management[0]) if management else None,
            "app_management": [public(p) for p in self.all("appManagementPolicy")],
        }


def _when(message: Document) -> str:
    return str(message.get("receivedDateTime") or message.get("sentDateTime") or message.get("createdDateTime") or "")


def addresses(recipients: Iterable[Document] | None) -> str:
    """Recipients as people write them: ``Ada <ada@contoso.com>, bob@contoso.com``."""
    shown = []
    for recipient in recipients or ():
        address = (recipient or {}).get("emailAddress") or {}
        name, mail = str(address.get("name") or ""), str(address.get("address") or "")
        shown.append(f"{name} <{mail}>" if name and name != mail else mail)
    return ", ".join(shown)


def people(recipients: Iterable[Document] | None) -> str:
    """Recipients in short, for a table: their names, or their addresses where they have none."""
    found = ((recipient or {}).get("emailAddress") or {} for recipient in recipients or ())
    return ", ".join(str(address.get("name") or address.get("address") or "") for address in found)
