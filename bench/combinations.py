"""Which states of a tenant, a mailbox and a sign-in over SMTP there are, as data: layers, what cannot exist, samples.

Owns: the layers' values and why some cannot meet. Does not own: making them and trying them (``matrix``). Pure.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal

SignIn = Literal["password", "app-password", "xoauth2-smtp", "xoauth2-graph", "wrong-password"]
Way = Literal["smtp-basic", "smtp-oauth"]

LAYERS: dict[str, tuple[str, ...]] = {
    "organisation": ("on", "off"),
    "stage": ("available", "off_by_default", "removed"),
    "defaults": ("off", "on"),
    "access": ("open", "blocks-legacy"),
    "switch": ("on", "off", "inherit"),
    "policy": ("none", "blocks-basic", "allows-basic"),
    "kind": ("user", "unlicensed", "shared", "room", "equipment", "group", "softdeleted", "restored"),
    "mfa": ("off", "registered"),
    "sign_in": ("password", "app-password", "xoauth2-smtp", "xoauth2-graph", "wrong-password"),
}
"""Every layer that decides about SMTP, and its states: the organisation's switch; how far Microsoft's retirement of
Basic has come; Security Defaults; Conditional Access; the mailbox's own switch; its authentication policy; licence and
type; multifactor authentication; with what is signed in. The first four hold for a whole tenant."""


@dataclass(frozen=True)
class Combination:
    """One state of every layer."""

    organisation: str
    stage: str
    defaults: str
    access: str
    switch: str
    policy: str
    kind: str
    mfa: str
    sign_in: str

    @property
    def tenant(self) -> tuple[str, str, str, str]:
        """What holds for the whole tenant."""
        return self.organisation, self.stage, self.defaults, self.access

    @property
    def person(self) -> tuple[str, str, str, str]:
        """What holds for the mailbox and its account."""
        return self.switch, self.policy, self.kind, self.mfa

    @property
    def way(self) -> Way:
        """The way of sending, as ``provision.diagnose`` calls it."""
        return "smtp-oauth" if self.sign_in.startswith("xoauth2") else "smtp-basic"

    def __str__(self) -> str:
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


IMPOSSIBLE: tuple[tuple[str, Callable[[Combination], bool]], ...] = (
    (
        "Security Defaults and Conditional Access policies exclude each other",
        lambda c: c.defaults == "on" and c.access != "open",
    ),
    ("a group has no mailbox, so no switch of its own", lambda c: c.kind == "group" and c.switch != "inherit"),
    ("a group is given no authentication policy", lambda c: c.kind == "group" and c.policy != "none"),
    ("a group has no account, so no second factor", lambda c: c.kind == "group" and c.mfa != "off"),
    (
        "a group has no account, so no password is right and no token is its own",
        lambda c: c.kind == "group" and c.sign_in != "wrong-password",
    ),
    (
        "an app password is dead without multifactor authentication",
        lambda c: c.sign_in == "app-password" and c.mfa == "off",
    ),
)
"""Why some states cannot meet; the first reason that holds counts. Sources: "Security defaults in Microsoft Entra ID",
"Enforce Microsoft Entra multifactor authentication with legacy applications using app passwords"."""


HOPELESS: tuple[tuple[str, Callable[[Combination], bool]], ...] = (
    ("Microsoft takes no passwords over SMTP", lambda c: c.way == "smtp-basic" and c.stage != "available"),
    ("the mailbox is none that can send", lambda c: c.kind not in {"user", "shared", "restored"}),
    ("the password is wrong", lambda c: c.sign_in == "wrong-password"),
    ("a second factor cannot be asked for", lambda c: c.sign_in == "password" and c.mfa != "off"),
    ("the token is for Microsoft Graph", lambda c: c.sign_in == "xoauth2-graph"),
)
"""Where no remedy of a program helps, and why: a person must do something else first. All others can be mended."""


def hopeless(combination: Combination) -> str | None:
    """Why no program can make this one send; None where one can."""
    return next((why for why, holds in HOPELESS if holds(combination)), None)


def possible() -> tuple[list[Combination], Counter[str]]:
    """Every combination that can exist, and how many were dropped for which reason."""
    kept: list[Combination] = []
    dropped: Counter[str] = Counter()
    for values in itertools.product(*LAYERS.values()):
        combination = Combination(*values)
        reason = next((why for why, holds in IMPOSSIBLE if holds(combination)), None)
        if reason is None:
            kept.append(combination)
        else:
            dropped[reason] += 1
    return kept, dropped


def pairs(combination: Combination) -> Iterator[tuple[str, str, str, str]]:
    """Every two states of two layers that meet in it."""
    for one, other in itertools.combinations(LAYERS, 2):
        yield one, getattr(combination, one), other, getattr(combination, other)


def sample(combinations: Sequence[Combination], least: int, seed: int) -> list[Combination]:
    """A seeded choice in which every two states of two layers that can meet do meet, and at least so many.

    Each is the best of some drawn by chance; only so is the choice quick, and small.
    """
    chance = random.Random(seed)
    open_pairs = {pair for combination in combinations for pair in pairs(combination)}
    chosen: dict[Combination, None] = {}
    while open_pairs:
        wanted = min(open_pairs)
        fitting = [
            one for one in combinations if getattr(one, wanted[0]) == wanted[1] and getattr(one, wanted[2]) == wanted[3]
        ]
        best = max(chance.sample(fitting, min(30, len(fitting))), key=lambda one: len(open_pairs & set(pairs(one))))
        chosen[best] = None
        open_pairs -= set(pairs(best))
    rest = [one for one in combinations if one not in chosen]
    chosen |= dict.fromkeys(chance.sample(rest, min(len(rest), max(0, least - len(chosen)))))
    return list(chosen)
