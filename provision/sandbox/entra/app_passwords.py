"""App passwords: sixteen letters that stand for the password of a user with per-user MFA in clients that cannot ask.

Owns: making one, recognising one, the page where a user makes one. Does not own: whether legacy sign-ins are blocked.
Source: "Enforce Microsoft Entra multifactor authentication with legacy applications using app passwords": made by the
user, one for each client, dead when MFA is turned off; blocked like any legacy sign-in where legacy sign-ins are.
"""

from __future__ import annotations

import secrets
import string

from starlette.requests import Request
from starlette.responses import Response

from provision.sandbox import hashing
from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.authority import Authority
from provision.sandbox.entra.clients import Client
from provision.sandbox.entra.errors import EntraError, Incident, html_refusal
from provision.sandbox.entra.interaction import Account, Interaction, Shown
from provision.sandbox.requestlog import note
from provision.sandbox.world import World

_LENGTH = 16
_MOST = 40
"""A user has at most forty of them, says the source."""
_MY_SIGN_INS = Client("19db86c3-b2b9-44cc-b339-36da233a3be2", "My Signins", None, None)
"""Microsoft's own application behind mysignins.microsoft.com/security-info."""
_RESOURCE: Document = {"id": _MY_SIGN_INS.app_id, "appId": _MY_SIGN_INS.app_id, "displayName": _MY_SIGN_INS.name}


class NotAllowed(Exception):
    """The user cannot have one (more); the message says why."""


def accepts(user: Document, password: str) -> bool:
    """Whether the password is one of the user's app passwords, and these count."""
    if user.get("_mfa", "off") == "off":
        return False
    given = password.replace(" ", "")
    return any(hashing.matches(given, entry["hash"]) for entry in user.get("_appPasswords") or [])


def new_app_password() -> str:
    """An app password in Microsoft's form: 16 lower-case letters."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(_LENGTH))


def create(directory: Directory, tenant_id: str, user: Document, name: str) -> str:
    """Makes an app password and returns it; it cannot be shown again.

    Raises:
        NotAllowed: MFA is off for the user, the name is taken, or there are too many.
    """
    existing = list(user.get("_appPasswords") or [])
    if user.get("_mfa", "off") == "off":
        raise NotAllowed("App passwords are available only when multifactor authentication is turned on for you.")
    if not name.strip():
        raise NotAllowed("Give the app password a name.")
    if any(entry["name"].lower() == name.strip().lower() for entry in existing):
        raise NotAllowed("You already have an app password with this name.")
    if len(existing) >= _MOST:
        raise NotAllowed("You have the most app passwords that you can have. Delete one first.")
    made = new_app_password()
    entry = {"name": name.strip(), "hash": hashing.hash_secret(made), "created": directory.clock.iso()}
    directory.replace(tenant_id, "user", {**user, "_appPasswords": [*existing, entry]})
    return made


def remove(directory: Directory, tenant_id: str, user: Document, name: str) -> bool:
    """Removes an app password by its name; False when there is none."""
    existing = list(user.get("_appPasswords") or [])
    kept = [entry for entry in existing if entry["name"] != name]
    if len(kept) == len(existing):
        return False
    directory.replace(tenant_id, "user", {**user, "_appPasswords": kept})
    return True


async def security_info(request: Request) -> Response:
    """``/security-info`` (at Microsoft on mysignins.microsoft.com): a signed-in user's app passwords.

    A new one is shown once, in the answer to the form that made it.
    """
    world: World = request.app.state.world
    form = {name: str(value) for name, value in (await request.form()).items()} if request.method == "POST" else {}
    try:
        interaction = Interaction(request, form, authority=Authority("organizations", None), client=_MY_SIGN_INS)
        account = interaction.account()
        interaction.admit(account, _RESOURCE)
        return _page(world, interaction, account, form)
    except Shown as shown:
        return shown.response
    except EntraError as refused:
        note(request.scope, code=f"AADSTS{refused.code}")
        return html_refusal(refused, Incident.new(world.directory.clock, None))


def _page(world: World, interaction: Interaction, account: Account, form: dict[str, str]) -> Response:
    directory, tenant_id, user = world.directory, account.tenant_id, account.user
    made, error = "", ""
    if interaction.step("create"):
        try:
            made = create(directory, tenant_id, user, form.get("name", ""))
        except NotAllowed as refused:
            error = str(refused)
    elif interaction.step("delete"):
        remove(directory, tenant_id, user, interaction.choice)
    fresh = directory.get(tenant_id, "user", user["id"], fresh=True) or user
    return interaction.page(
        "app_passwords.html",
        title="Security info",
        user_name=account.name,
        available=fresh.get("_mfa", "off") != "off",
        names=[entry["name"] for entry in fresh.get("_appPasswords") or []],
        made=made,
        error=error,
    )
