"""The refusals of Exchange Web Services, in Exchange's words.

Three kinds, as "Handling errors in EWS" has them: an HTTP status without SOAP (who are you, is EWS on), a SOAP fault
for a whole request (HTTP status 500), a response message for one of several items (HTTP status 200).

The meaning of each code is in "ResponseCode" (EWS reference). Where a sentence was read:

- ``ErrorNonExistentMailbox``: "Known issues with Microsoft Graph" quotes it; ``ErrorImpersonateUserDenied``,
  ``ErrorInvalidExchangeImpersonationHeaderData``: quoted by several public clients that match on it;
- ``ErrorSchemaValidation``, ``ErrorIncorrectSchemaVersion``: "Handling errors in EWS" and examples of the EWS
  reference;
- ``ErrorServerBusy``, ``ErrorItemNotFound``, ``ErrorAccessDenied``, ``ErrorSendAsDenied``, ``ErrorInvalidRecipients``:
  public
  issue threads; Graph passes the same sentences on;
- ``ErrorIrresolvableConflict``: Exchange Server's troubleshooting pages quote it.

Those of the other codes are not read at a source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SENTENCES: dict[str, str] = {
    "ErrorAccessDenied": "Access is denied. Check credentials and try again.",
    "ErrorAttachmentSizeLimitExceeded": "The size of the attachment exceeds the allowable limit.",
    "ErrorChangeKeyRequiredForWriteOperations": "Change key is required for this operation.",
    "ErrorFolderNotFound": "The specified folder could not be found in the store.",
    "ErrorImpersonateUserDenied": "The account does not have permission to impersonate the requested user.",
    "ErrorInvalidExchangeImpersonationHeaderData": "ExchangeImpersonation SOAP header must be present for this type of "
    "OAuth token.",
    "ErrorInvalidIdMalformed": "Id is malformed.",
    "ErrorInvalidOperation": "The operation is not valid here.",
    "ErrorInvalidPagingMaxRows": "The maximum number of rows returned must be greater than zero.",
    "ErrorInvalidRecipients": "At least one recipient isn't valid.",
    "ErrorInvalidServerVersion": "The specified server version is invalid.",
    "ErrorInvalidSendItemSaveSettings": "A folder for the sent item was given, but saving it was not asked for.",
    "ErrorInvalidPropertyAppend": "The property can not be appended to.",
    "ErrorInvalidPropertyDelete": "The property can not be deleted.",
    "ErrorInvalidPropertySet": "The property can not be set.",
    "ErrorInvalidPropertyUpdateSentMessage": "The property can not be changed on a message that was sent.",
    "ErrorIrresolvableConflict": "The send or update operation could not be performed because the change key passed in "
    "the request does not match the current change key for the item.",
    "ErrorItemNotFound": "The specified object was not found in the store.",
    "ErrorMessageDispositionRequired": "The MessageDisposition attribute is required for e-mail messages.",
    "ErrorMimeContentInvalidBase64String": "The MIME content is no base64.",
    "ErrorMissingEmailAddress": "When making a request as an account that does not have a mailbox, you must specify "
    "the mailbox primary SMTP address for any distinguished folder Ids.",
    "ErrorMissingRecipients": "No recipients were specified, or all recipients are invalid.",
    "ErrorNameResolutionMultipleResults": "Multiple results were found.",
    "ErrorNameResolutionNoResults": "No results were found.",
    "ErrorNonExistentMailbox": "The SMTP address has no mailbox associated with it.",
    "ErrorSchemaValidation": "The request failed schema validation.",
    "ErrorSendAsDenied": "The user account which was used to submit this request does not have the right to send mail "
    "on behalf of the specified sending account.",
    "ErrorStaleObject": "The change key of the item is out of date.",
    "ErrorUnsupportedPathForQuery": "The property can not be used with this type of restriction.",
    "ErrorUpdatePropertyMismatch": "The property in the change does not match the path that names it.",
}
"""ResponseCode to sentence; a new refusal is one entry."""


class EwsError(Exception):
    """A refusal with a ResponseCode: a fault of the request, or one item's response message.

    Args:
        code: one of ``SENTENCES``.
        sentence: a more exact sentence than the table's.
        details: names and values for ``MessageXml``.
    """

    def __init__(self, code: str, sentence: str = "", *, details: tuple[tuple[str, str], ...] = ()) -> None:
        self.code = code
        self.sentence = sentence or SENTENCES[code]
        self.details = details
        super().__init__(f"{code}: {self.sentence}")


@dataclass
class HttpRefusal(Exception):
    """A refusal before SOAP: a status and headers, with an empty body.

    ``layer`` is what the local tenant notes in its request log.
    """

    status: int
    layer: str
    headers: Mapping[str, str] = field(default_factory=dict)


POLICY_HEADER = "X-EWS-Policy-Reason"
DISABLED = "EWS is disabled for this user or tenant"
BLOCKED = "EWS is blocked by policy for this user or tenant"
"""The two values that the header has, from "Control access to EWS in Exchange": "Understand HTTP 403 responses"."""


def forbidden(layer: str, reason: str) -> HttpRefusal:
    """403 with the reason in the header that Exchange Online uses for it."""
    return HttpRefusal(403, layer, {POLICY_HEADER: reason})
