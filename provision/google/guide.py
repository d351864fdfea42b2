"""The seed's "Create google email password" as steps: for the user, and for the company's administrator.

Owns: the steps with their links and the Latvian labels of Google's pages where the product's help page gives them.
Does not own: whether a step is needed (``judge``).
Sources: the product's help page; "Sign in with app passwords" (Google Account Help); "Deploy 2-Step Verification"
(Google Workspace Admin Help).
"""

from __future__ import annotations

from dataclasses import dataclass

SECURITY_PAGE = "https://myaccount.google.com/security"
TWO_STEP_PAGE = "https://myaccount.google.com/signinoptions/two-step-verification"
APP_PASSWORDS_PAGE = "https://myaccount.google.com/apppasswords"
ADMIN_TWO_STEP_PAGE = "https://admin.google.com/ac/security/2sv"
ADMIN_DELEGATION_PAGE = "https://admin.google.com/ac/owl/domainwidedelegation"
ADMIN_USERS_PAGE = "https://admin.google.com/ac/users"
APP_PASSWORDS_HELP = "https://support.google.com/accounts/answer/185833"
DEPLOY_HELP = "https://support.google.com/a/answer/9176657"


@dataclass(frozen=True)
class Step:
    """One step."""

    text: str
    link: str = ""
    label: str = ""
    """The same words on a Latvian page."""


USER: tuple[Step, ...] = (
    Step("Open your Google account and sign in.", "https://myaccount.google.com/"),
    Step(
        "Open Security. If 2-Step Verification is not there, your company's e-mail administrator must allow it first.",
        SECURITY_PAGE,
        "Drošība",
    ),
    Step("Turn on 2-Step Verification, with more than a security key.", TWO_STEP_PAGE, "2-pakāpju verifikācija"),
    Step(
        "Open App passwords. If the section is missing, leave the page and enter it again, or use the link.",
        APP_PASSWORDS_PAGE,
    ),
    Step("Name the password (for example CLOUDEX TMS), create it and copy its 16 letters; Google shows them once."),
    Step(
        "Enter it in CLOUDEX TMS under your user name, My Profile, Email password, and press Save.",
        "https://doc.ozols.lv/books/cloudex-tms-english/page/e-mail-settings",
    ),
    Step(
        "Or enter it in OZOLS.",
        "https://doc.ozols.lv/books/ozols-tms-english/page/5-e-mail-settings",
    ),
)
"""How a user gets a password for mail."""

ADMINISTRATOR: tuple[Step, ...] = (
    Step("Open the Admin console with an administrator's account.", "https://admin.google.com/"),
    Step(
        "Open Security, Authentication, 2-step verification and choose the user's organisational unit.",
        ADMIN_TWO_STEP_PAGE,
    ),
    Step("Tick Allow users to turn on 2-Step Verification and save.", DEPLOY_HELP),
    Step("Under Methods choose anything but Only security key: with security keys alone there are no app passwords."),
)
"""What the company must have enabled."""


def lines() -> list[str]:
    """Both guides as numbered lines for a screen."""
    made = ["For the user:"]
    made += _numbered(USER)
    made += ["", "For the company's administrator, once:"]
    return made + _numbered(ADMINISTRATOR)


def _numbered(steps: tuple[Step, ...]) -> list[str]:
    made = []
    for number, step in enumerate(steps, 1):
        label = f" (Latvian page: {step.label})" if step.label else ""
        made.append(f"  {number}. {step.text}{label}")
        if step.link:
            made.append(f"     {step.link}")
    return made
