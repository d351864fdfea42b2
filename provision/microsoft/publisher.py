"""Why Microsoft does not set a verified publisher: its error codes, one sentence each.

Source: "Troubleshoot publisher verification" and "Publisher verification" (Microsoft identity platform docs).
"""

from __future__ import annotations

from provision.errors import InvalidInput, NotPermitted, PolicyRefuses, ProvisionError
from provision.microsoft.refusals import GraphRefusal

_DOCS = "learn.microsoft.com/entra/identity-platform/troubleshoot-publisher-verification"

_REASONS: dict[str, tuple[type[ProvisionError], str, str]] = {
    "MPNAccountNotFoundOrNoAccess": (
        NotPermitted,
        "there is no Partner One ID {mpn}, or the signed-in user has no access to its partner account",
        "Sign in as a CPP Partner Admin or Account Admin of that partner account.",
    ),
    "MPNGlobalAccountNotFound": (
        InvalidInput,
        "{mpn} is not the id of a partner global account",
        "Use the global account's Partner One ID, not a location's.",
    ),
    "MPNAccountInvalid": (InvalidInput, "the partner account {mpn} is not valid", "Ask Partner Center support."),
    "MPNAccountNotVetted": (
        InvalidInput,
        "the partner account {mpn} is not vetted yet",
        "Finish the vetting in Partner Center.",
    ),
    "NoPublisherIdOnAssociatedMPNAccount": (
        InvalidInput,
        "the partner account {mpn} has no publisher id",
        "Ask Partner Center support.",
    ),
    "MPNIdDoesNotMatchAssociatedMPNAccount": (
        InvalidInput,
        "{mpn} is not the partner account that the tenant is associated with",
        "Use that account's Partner One ID.",
    ),
    "ApplicationNotFound": (InvalidInput, "the application is not in the tenant", "Run up first."),
    "ApplicationObjectisInvalid": (InvalidInput, "the application's object is damaged", "Destroy it and run up."),
    "B2CTenantNotAllowed": (PolicyRefuses, "a B2C tenant cannot have verified publishers", "Use a workforce tenant."),
    "EmailVerifiedTenantNotAllowed": (
        PolicyRefuses,
        "the tenant is unmanaged (verified by e-mail only)",
        "Take the tenant over with a DNS record first.",
    ),
    "NoPublisherDomainOnApplication": (
        InvalidInput,
        "the application has no publisher domain",
        "Set one under Branding & properties.",
    ),
    "PublisherDomainMismatch": (
        InvalidInput,
        "the application's publisher domain does not belong to the partner account {mpn}",
        "Only the vendor's own tenant can carry the vendor's badge; a customer's registration works without it.",
    ),
    "NotAuthorizedToVerifyPublisher": (
        NotPermitted,
        "the signed-in user may not verify the partner account {mpn}",
        "Sign in as a CPP Partner Admin, Account Admin or Global Admin of it.",
    ),
    "MPNIdWasNotProvided": (InvalidInput, "no Partner One ID arrived", "Set office365-mail:mpnId."),
    "MSANotSupported": (
        NotPermitted,
        "personal Microsoft accounts cannot do it",
        "Sign in with a work account of the tenant.",
    ),
    "InteractionRequired": (
        NotPermitted,
        "multifactor authentication was not done in this sign-in",
        "Sign in again with multifactor authentication.",
    ),
    "UserUnableToAddPublisher": (
        PolicyRefuses,
        "Microsoft holds the request back as risky",
        "Try again tomorrow, or ask Microsoft support.",
    ),
    "UnableToAddPublisher": (
        PolicyRefuses,
        "Microsoft holds the request back as risky",
        "Try again tomorrow, or ask Microsoft support.",
    ),
}


def is_known(refusal: GraphRefusal) -> bool:
    """Whether the refusal is one of publisher verification's own."""
    return _key(refusal) is not None


def _key(refusal: GraphRefusal) -> str | None:
    """Graph puts the reason in ``error.code``, or in the message behind a general code."""
    return next((key for key in _REASONS if key == refusal.code or refusal.message.startswith(key)), None)


def refused(refusal: GraphRefusal, mpn_id: str) -> ProvisionError:
    """The sentence for a refused verified publisher.

    Args:
        refusal: Graph's answer, for which ``is_known`` holds.
        mpn_id: the Partner One ID that was sent.
    """
    kind, reason, remedy = _REASONS[_key(refusal) or ""]
    code = _key(refusal)
    return kind(
        f"The verified publisher is not set: {reason.format(mpn=mpn_id)} ({code}).", remedy=f"{remedy} See {_DOCS}."
    )
