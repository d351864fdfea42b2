"""What Gmail's refusals over SMTP mean: one row for each, with cause and remedy.

Owns: the rows. Does not own: which cause fits an account best (``judge`` knows the facts).
Sources: "Gmail SMTP errors and codes" (Google Workspace Admin Help, answer 3726730), the pages that the replies name.
"""

from __future__ import annotations

from dataclasses import dataclass

from provision.google.guide import APP_PASSWORDS_HELP, APP_PASSWORDS_PAGE

_ERRORS_PAGE = "https://support.google.com/a/answer/3726730"


@dataclass(frozen=True)
class Refusal:
    """One reply."""

    code: int
    enhanced: str
    cause: str
    remedy: str
    links: tuple[str, ...] = (_ERRORS_PAGE,)


_APP_PASSWORD = (
    "Create an app password (16 letters) and enter it instead of the account's own password, without its blanks."  # noqa: S105
)

TABLE: tuple[Refusal, ...] = (
    Refusal(
        534,
        "5.7.9",
        "2-Step Verification is on, and the account's own password was given.",
        _APP_PASSWORD,
        links=(APP_PASSWORDS_PAGE, APP_PASSWORDS_HELP),
    ),
    Refusal(
        534,
        "5.7.14",
        "Google wants the user to sign in with a browser once before it takes this password.",
        "Sign in at https://accounts.google.com/ with this account, confirm what Google asks, and try again.",
    ),
    Refusal(
        535,
        "5.7.8",
        "The user name or password is wrong: no app password, a mistyped one, or one that was revoked (a changed "
        "Google password revokes them all).",
        _APP_PASSWORD,
        links=(APP_PASSWORDS_PAGE, APP_PASSWORDS_HELP),
    ),
    Refusal(
        535,
        "5.7.1",
        "The user name or password is wrong, or the account's own password was given, which Google no longer takes.",
        _APP_PASSWORD,
        links=(APP_PASSWORDS_PAGE, APP_PASSWORDS_HELP),
    ),
    Refusal(
        454,
        "4.7.0",
        "Too many sign-ins in a short time, or a passing trouble of Google's.",
        "Wait some minutes, and make the product sign in less often; a wrong stored password causes this too.",
    ),
    Refusal(
        421,
        "4.7.0",
        "Google turns this connection away for now: too much mail from this address, or it is busy.",
        "Wait and try again; if it stays, look for unwanted mail sent from your network.",
    ),
    Refusal(421, "4.3.0", "A passing trouble of Google's.", "Wait some minutes and try again."),
    Refusal(421, "4.4.5", "Google's server is busy.", "Wait some minutes and try again."),
    Refusal(
        550,
        "5.4.5",
        "The account has sent as many messages in a day as Google allows (2,000 in Workspace, 500 without).",
        "Wait up to 24 hours; spread the sending over several accounts, or use a service for mass mail.",
        links=("https://support.google.com/a/answer/166852",),
    ),
    Refusal(
        450, "4.2.1", "Too much mail in a short time, to this recipient or through the relay.", "Send more slowly."
    ),
    Refusal(
        530,
        "5.7.0",
        "The connection has no TLS yet, or nobody signed in on it.",
        "In the product, choose port 587 with STARTTLS (or 465 with TLS) and sign-in with the full address.",
    ),
    Refusal(504, "5.7.4", "Google does not know this way of signing in.", "Use AUTH LOGIN or PLAIN over TLS."),
    Refusal(
        550,
        "5.1.1",
        "The recipient does not exist.",
        "Correct the address that the test mail goes to.",
    ),
    Refusal(553, "5.1.3", "The recipient's address is malformed.", "Correct the address that the test mail goes to."),
    Refusal(
        550,
        "5.7.1",
        "A rule refuses the message; with gcdp at the end, one that your administrator made.",
        "Ask the administrator to look at Apps, Google Workspace, Gmail, Compliance and Routing in the Admin console.",
    ),
    Refusal(552, "5.3.4", "The message is larger than Google takes.", "Send less in one message."),
    Refusal(452, "4.5.3", "The message has too many recipients.", "Split it."),
)
"""A further reply is one row."""

NO_REPLY = Refusal(
    0,
    "",
    "Gmail's server did not answer.",
    "Let the firewall pass outgoing connections to smtp.gmail.com, port 587 (or 465).",
    links=(),
)


def meaning(code: int | None, enhanced: str) -> Refusal | None:
    """The row for a reply; None for one that is not known.

    Args:
        code: the reply's code; None when there was no reply.
        enhanced: the enhanced status code, ``5.7.9``.
    """
    if code is None:
        return NO_REPLY
    return next((row for row in TABLE if (row.code, row.enhanced) == (code, enhanced)), None)
