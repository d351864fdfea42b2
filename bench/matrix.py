"""``make matrix``: every combination of the layers that decide about SMTP, tried for real, diagnosed and mended.

For each combination (``combinations``) a tenant and a person are made as it says, a real SMTP session signs in and
hands a mail over, and ``provision.diagnose`` is asked by real Graph and Exchange reads: first by the settings alone,
then with a dialogue of its own. The truth is the layer that the local tenant's request log names, or the mail in the
receiver's inbox. Then ``--fix`` is let loose, with every flag it asks for, and the mail is sent again. A combination is
right when the first cause is the true layer both times, and afterwards the mail goes out, or the diagnosis says why it
cannot. ``matrix N right N wrong N`` is the last line.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import os
import re
import ssl
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from combinations import Combination, hopeless, possible, sample
from policies import LEGACY

from provision.diagnose.facts import Facts
from provision.diagnose.fix import Plan, carry_out, plan
from provision.diagnose.fix_flags import FLAGS
from provision.diagnose.gather import Asked, attempted, gather
from provision.diagnose.judge import Diagnosis, judge
from provision.errors import InvalidInput
from provision.mail.letter import Letter
from provision.mail.smtp import Password, Token, converse
from provision.microsoft.credentials import Credential, sign_in
from provision.microsoft.exchange import Exchange
from provision.sandbox import Sandbox, Tenant
from provision.sandbox.process import Person
from provision.settings import credential as credentials
from provision.settings.endpoints import Endpoints, read_metadata

SEED = 4711
LAYERS = {"legacy-tls": "tls", "account-disabled": "credentials"}
"""The local tenant's names of layers, and the diagnosis' names where they differ."""
UNSEEN = {
    "credentials": "which password is typed stands in no setting",
    "mfa": "whether the normal or an app password is typed stands in no setting",
    "retired": "the date of the removal is not announced",
}
"""Layers that the settings alone cannot show, and why; with the answer the diagnosis must name them all the same."""
MOST_PLANS = 3
PROGRESS = 50
"""Combinations between two lines that tell how far a tenant is."""
DATES = {
    "available": datetime(2026, 11, 25, 12, tzinfo=UTC),
    "off_by_default": datetime(2027, 1, 15, 12, tzinfo=UTC),
    "removed": datetime(2027, 2, 15, 12, tzinfo=UTC),
}
"""On which day each stage of the retirement is tried. The first two follow from Microsoft's calendar; the removal is
switched on by hand."""
POLICIES = {"none": None, "blocks-basic": "Block Basic", "allows-basic": "Allow Basic"}
EXCHANGE, GRAPH = "00000002-0000-0ff1-ce00-000000000000", "00000003-0000-0000-c000-000000000000"
SMTP_SCOPE, GRAPH_SCOPE = "https://outlook.office.com/SMTP.Send", "https://graph.microsoft.com/Mail.Send"
REDIRECT = "http://localhost"


@dataclass
class Outcome:
    """What one combination came to."""

    combination: Combination
    truth: str | None = None
    """The layer that refused, in the diagnosis' words; None when the mail was taken."""
    by_settings: str | None = None
    with_answer: str | None = None
    after: str = ""
    """What became of it after ``--fix``."""
    diagnosis: Diagnosis | None = field(default=None, repr=False)
    """With the answer, before anything was mended."""
    problems: list[str] = field(default_factory=list)

    @property
    def seen(self) -> bool:
        """Whether the settings alone can show the true layer; that an address is a group's, they do."""
        return self.truth not in UNSEEN or (self.combination.kind == "group" and self.truth == "credentials")

    def __str__(self) -> str:
        told = f"truth={self.truth} settings={self.by_settings} answer={self.with_answer} after={self.after or '-'}"
        return f"{self.combination}: {told}: {'; '.join(self.problems)}"


class Clinic:
    """One tenant in which every combination of a kind of tenant is tried.

    Args:
        sandbox: the server; its clock is set.
        combinations: all of the same tenant.
    """

    def __init__(self, sandbox: Sandbox, combinations: Sequence[Combination]) -> None:
        self.sandbox, self.combinations = sandbox, combinations
        self.journal = f"file://{sandbox.directory / 'journal'}"
        first = combinations[0]
        date = DATES[first.stage]
        sandbox.set_faults(clock_skew=(date - datetime.now(UTC)).total_seconds())
        self.tenant: Tenant = sandbox.new_tenant()
        host, _, port = sandbox.smtp_address.rpartition(":")
        read = read_metadata(sandbox.base_url.removeprefix("https://"), ca_file=str(sandbox.ca_file), environ={})
        self.endpoints: Endpoints = replace(read, smtp_host=host, smtp_port=int(port))
        self.credential: Credential
        self.credential, _ = sign_in(
            credentials.read(
                environ={
                    "ARM_TENANT_ID": self.tenant.tenant_id,
                    "ARM_CLIENT_ID": self.tenant.admin_client_id,
                    "ARM_CLIENT_SECRET": self.tenant.admin_client_secret,
                }
            ),
            self.endpoints,
        )
        context = ssl.create_default_context(cafile=str(sandbox.ca_file))
        self.http = httpx.Client(base_url=sandbox.base_url, verify=context, trust_env=False, timeout=60)
        self.exchange = Exchange(self.credential, self.endpoints)
        self.lines = self.sandbox.log()[-1]["n"]

    def close(self) -> None:
        """Closes the connections and gives the server its own clock back."""
        self.http.close()
        self.exchange.close()
        self.sandbox.clear_faults()

    # Making

    def make(self) -> dict[tuple[str, ...], Patient]:
        """The people, with everything by which they sign in; only then what the tenant forbids."""
        (self.receiver,) = self.sandbox.new_people(self.tenant, {"alias": "receiver"})
        for name, parameters in (("Block Basic", {}), ("Allow Basic", {"AllowBasicAuthSmtp": True})):
            self.cmdlet("New-AuthenticationPolicy", Name=name, **parameters)
        by_person: dict[tuple[str, ...], list[Combination]] = defaultdict(list)
        for combination in self.combinations:
            by_person[combination.person].append(combination)
        made = self.sandbox.new_people(
            self.tenant, *(_wanted(number, members[0]) for number, members in enumerate(by_person.values()))
        )
        patients = {
            person: Patient(who, members) for who, (person, members) in zip(made, by_person.items(), strict=True)
        }
        self._give_tokens(patients.values())
        first = self.combinations[0]
        self.cmdlet("Set-TransportConfig", SmtpClientAuthenticationDisabled=first.organisation == "off")
        if first.stage == "removed":
            self.sandbox.set_mail(self.tenant, basicSmtpStage="removed")
        if first.access == "blocks-legacy":
            self.graph("POST", "/identity/conditionalAccess/policies", LEGACY)
        self.forbid()
        return patients

    def forbid(self) -> None:
        """Security Defaults as the combination says; again for each mailbox, for a remedy takes them from all."""
        if self.combinations[0].defaults == "on":
            self.graph("PATCH", "/policies/identitySecurityDefaultsEnforcementPolicy", {"isEnabled": True})

    def cmdlet(self, name: str, **parameters: Any) -> None:
        """Runs a cmdlet of Exchange Online."""
        self.exchange.run(name, parameters, doing="prepare the matrix", recipients=False)

    def graph(self, method: str, path: str, body: Any = None) -> Any:
        """Asks Microsoft Graph as the admin application."""
        token = self.credential.get_token(self.endpoints.graph_scope).token
        answer = self.http.request(method, f"/v1.0{path}", json=body, headers={"Authorization": f"Bearer {token}"})
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:400]}")
        return answer.json() if answer.content else None

    def _give_tokens(self, patients: Iterable[Patient]) -> None:
        wanted = [one for one in patients if any(c.way == "smtp-oauth" for c in one.combinations)]
        if not wanted:
            return
        made = self.graph(
            "POST",
            "/applications",
            {"displayName": "Mailer", "isFallbackPublicClient": True, "publicClient": {"redirectUris": [REDIRECT]}},
        )
        principal = self.graph("POST", "/servicePrincipals", {"appId": made["appId"]})
        for resource, scope in ((EXCHANGE, "SMTP.Send"), (GRAPH, "Mail.Send")):
            found = self.graph("GET", f"/servicePrincipals?$filter=appId eq '{resource}'&$select=id")["value"][0]
            grant = {"clientId": principal["id"], "consentType": "AllPrincipals", "resourceId": found["id"]}
            self.graph("POST", "/oauth2PermissionGrants", {**grant, "scope": scope})
        for one in wanted:
            form = {"client_id": made["appId"], "scope": f"{SMTP_SCOPE} offline_access"}
            if one.combinations[0].mfa == "off":
                name = {"username": one.person.user_principal_name, "password": one.person.password}
                tokens = self._tokens({**form, "grant_type": "password", **name})
            else:
                code = self._code(made["appId"], one.person)
                asked = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
                tokens = self._tokens({**form, **asked})
            one.tokens["xoauth2-smtp"] = tokens["access_token"]
            again = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "scope": GRAPH_SCOPE}
            one.tokens["xoauth2-graph"] = self._tokens({**form, **again})["access_token"]

    def _tokens(self, form: dict[str, Any]) -> dict[str, str]:
        answer = self.http.post(f"/{self.tenant.tenant_id}/oauth2/v2.0/token", data=form)
        if answer.is_error:
            raise RuntimeError(f"no token: {answer.text[:400]}")
        tokens: dict[str, str] = answer.json()
        return tokens

    def _code(self, client_id: str, person: Person) -> str:
        """The authorization code of a person with a second factor, who fills in Microsoft's pages."""
        self.http.cookies.clear()
        query = {"client_id": client_id, "response_type": "code", "redirect_uri": REDIRECT}
        query["scope"] = f"{SMTP_SCOPE} offline_access"
        page = self.http.get(f"/{self.tenant.tenant_id}/oauth2/v2.0/authorize", params=query)
        for fields in ({"loginfmt": person.user_principal_name, "passwd": person.password}, {"otc": "123456"}):
            action = re.search(r'<form method="post" action="([^"]*)"', page.text)
            if action is None:
                raise RuntimeError(f"no form at {page.url.path}: {' '.join(page.text.split())[:400]}")
            hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
            page = self.http.post(html.unescape(action[1]), data={**hidden, **fields})
            if page.status_code == 303:
                page = self.http.get(page.headers["location"])
        return parse_qs(urlsplit(page.headers["location"]).query)["code"][0]

    # Trying

    def send(self, patient: Patient, sign_in: str) -> str:
        """One real session with one mail; returns the mail's mark when it was taken, else an empty text."""
        login: Password | Token
        name = patient.address
        if sign_in in patient.tokens:
            login = Token(name, patient.tokens[sign_in])
        else:
            login = Password(name, patient.password(sign_in))
        letter = Letter.written(name, self.receiver.user_principal_name, "SMTP")
        said = converse(
            self.endpoints.smtp_host,
            self.endpoints.smtp_port,
            login=login,
            letter=letter,
            ca_file=self.endpoints.ca_file,
        )
        if said.refused is not None and said.refused.name != "auth":
            raise RuntimeError(f"{name} {sign_in}: refused at {said.refused.name}: {said.refused.reply}")
        return letter.mark if said.refused is None else ""

    def refused_at(self, patient: Patient) -> str:
        """The layer that refused the person's last sign-in, by the server's log, in the diagnosis' words."""
        rows = self.sandbox.log(self.lines)
        self.lines = rows[-1]["n"] if rows else self.lines
        mine = [row for row in rows if row["method"] == "AUTH" and row["path"].endswith(f"/{patient.address}")]
        layer = mine[-1]["code"] if mine else None
        if layer is None:
            raise RuntimeError(f"the log names no layer for {patient.address}")
        return LAYERS.get(layer, layer)

    def settings(self, patient: Patient) -> Facts:
        """The facts by settings alone: no dialogue, no token."""
        asked = Asked(ways=("smtp-oauth", "smtp-basic"), mailbox=patient.address, connect=False, dns=False)
        return gather(asked, self.endpoints, self.credential, self.tenant.tenant_id, say=_nobody)

    def diagnosed(self, facts: Facts, patient: Patient, combination: Combination, *, connect: bool) -> Diagnosis:
        """The judgement with what is known of a sign-in: a token can be read beforehand, a password only be tried."""
        if connect or combination.sign_in in patient.tokens:
            asked = self.asked(patient, combination, connect=connect)
            facts = attempted(facts, asked, self.endpoints, self.credential, say=_nobody)
        return judge(facts, (combination.way,))

    def asked(self, patient: Patient, combination: Combination, *, connect: bool = True) -> Asked:
        """What ``provision diagnose`` is asked about a sign-in."""
        return Asked(
            ways=(combination.way,),
            mailbox=patient.address,
            password=patient.password(combination.sign_in) if combination.way == "smtp-basic" else None,
            token=patient.tokens.get(combination.sign_in),
            connect=connect,
            dns=False,
        )

    def arrived(self) -> set[str]:
        """Marks of the mails that lie in the receiver's inbox."""
        address = f"/users/{self.receiver.id}/mailFolders/inbox/messages?$select=subject&$top=999"
        marks: set[str] = set()
        while address:
            page = self.graph("GET", address)
            marks |= {message["subject"].rpartition("(")[2].rstrip(")") for message in page["value"]}
            following = page.get("@odata.nextLink", "")
            address = following.partition("/v1.0")[2]
        return marks

    def run(self) -> list[Outcome]:
        """Examines everybody and mends what can be mended."""
        marks: dict[str, Outcome] = {}
        outcomes: list[Outcome] = []
        for patient in self.make().values():
            self.forbid()
            examined = self._examine(patient, marks)
            self._mend(patient, examined, marks)
            outcomes += examined
            if len(outcomes) // PROGRESS > (len(outcomes) - len(examined)) // PROGRESS:
                self._say(f"{len(outcomes)} of {len(self.combinations)}")
        delivered = self.arrived()
        for mark, outcome in marks.items():
            if mark not in delivered:
                outcome.problems.append("the mail was taken and did not arrive")
        return outcomes

    def _say(self, text: str) -> None:
        print(f"  {' '.join(self.combinations[0].tenant)}: {text}", file=sys.stderr, flush=True)

    def _examine(self, patient: Patient, marks: dict[str, Outcome]) -> list[Outcome]:
        """Tries and judges each combination while nothing is changed."""
        facts = self.settings(patient)
        outcomes = []
        for combination in patient.combinations:
            outcome = Outcome(combination)
            outcome.by_settings = _layer(self.diagnosed(facts, patient, combination, connect=False))
            mark = self.send(patient, combination.sign_in)
            if mark:
                marks[mark] = outcome
            else:
                outcome.truth = self.refused_at(patient)
            outcome.diagnosis = self.diagnosed(facts, patient, combination, connect=True)
            outcome.with_answer = _layer(outcome.diagnosis)
            if outcome.with_answer != outcome.truth:
                outcome.problems.append("the answer is misread")
            if outcome.seen and outcome.by_settings != outcome.truth:
                outcome.problems.append("the settings are misjudged")
            outcomes.append(outcome)
        return outcomes

    def _mend(self, patient: Patient, outcomes: list[Outcome], marks: dict[str, Outcome]) -> None:
        """``--fix`` with every flag, looking again after each plan, and the mail once more."""
        facts: Facts | None = None
        for outcome in outcomes:
            if outcome.truth is None:
                outcome.diagnosis = None
                continue
            combination = outcome.combination
            asked = self.asked(patient, combination)
            diagnosis = outcome.diagnosis
            if facts is not None or diagnosis is None:  # what the person's other sign-ins needed has changed it
                facts = facts or self.settings(patient)
                diagnosis = self.diagnosed(facts, patient, combination, connect=True)
            for _ in range(MOST_PLANS):
                wanted = plan(diagnosis, asked, FLAGS)
                if not wanted.steps:
                    break
                refused = self._carried_out(wanted, diagnosis, asked)
                facts = self.settings(patient)
                diagnosis = self.diagnosed(facts, patient, combination, connect=True)
                if refused:
                    break
            outcome.diagnosis = None
            why = _layer(diagnosis)
            mark = self.send(patient, combination.sign_in)
            if mark:
                marks[mark] = outcome
            at = None if mark else self.refused_at(patient)
            outcome.after = "sent" if at is None else f"refused, {hopeless(combination)}"
            if at != why:
                outcome.problems.append(f"mended, the diagnosis says {why}, the server {at}")
            elif (at is None) == (hopeless(combination) is not None):
                outcome.problems.append("sent without hope" if at is None else "not mended")

    def _carried_out(self, wanted: Plan, diagnosis: Diagnosis, asked: Asked) -> str:
        """Carries a plan out; returns why it ended early, if it did."""
        try:
            carry_out(
                wanted,
                diagnosis,
                asked,
                endpoints=self.endpoints,
                credential=self.credential,
                tenant_id=self.tenant.tenant_id,
                journal=self.journal,
                say=_nobody,
            )
        except InvalidInput as refused:
            return refused.message
        return ""


@dataclass
class Patient:
    """One person, and the combinations that are tried with him."""

    person: Person
    combinations: list[Combination]
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    """By way of signing in."""

    @property
    def address(self) -> str:
        """What is typed as the user name."""
        return self.person.user_principal_name

    def password(self, sign_in: str) -> str:
        """What is typed as the password."""
        right = {"password": self.person.password, "app-password": self.person.app_password}
        return right.get(sign_in) or "not-the-password"


def _wanted(number: int, combination: Combination) -> dict[str, Any]:
    """The control API's words for a combination's person; shared mailboxes, rooms and equipment may sign in, too."""
    switch, policy, kind, mfa = combination.person
    row: dict[str, Any] = {"alias": f"p{number}", "mailbox": "user" if kind == "unlicensed" else kind}
    if kind == "group":
        return row
    row |= {"smtpAuth": switch, "authenticationPolicy": POLICIES[policy], "mfa": mfa, "appPassword": mfa != "off"}
    return row | {"licensed": False if kind == "unlicensed" else None, "enabled": True}


def _layer(diagnosis: Diagnosis) -> str | None:
    """Where the only way that was asked about is stopped."""
    return diagnosis.verdicts[0].layer


def _nobody(_: str) -> None:
    """Listens to nothing."""


# Many


def examined(sandbox: Sandbox, job: Sequence[Combination]) -> list[Outcome]:
    """Works on one tenant."""
    with contextlib.closing(Clinic(sandbox, job)) as clinic:
        return clinic.run()


def lane(jobs: Sequence[Sequence[Combination]]) -> list[Outcome]:
    """Works on tenants one after another, in a server of its own, the earliest date first."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder, Sandbox(Path(folder, "tenant")) as sandbox:
        for job in sorted(jobs, key=lambda one: DATES[one[0].stage]):
            began = time.monotonic()
            outcomes += examined(sandbox, job)
            spent = time.monotonic() - began
            print(f"  {' '.join(job[0].tenant)}: all {len(job)}, {spent:.0f} s", file=sys.stderr, flush=True)
    return outcomes


def tenants(combinations: Iterable[Combination]) -> dict[tuple[str, ...], list[Combination]]:
    """Combinations by what holds for the whole tenant."""
    found: dict[tuple[str, ...], list[Combination]] = defaultdict(list)
    for combination in combinations:
        found[combination.tenant].append(combination)
    return found


def tried(combinations: Sequence[Combination], lanes: int) -> list[Outcome]:
    """Tries combinations in some servers side by side."""
    shares: list[list[list[Combination]]] = [[] for _ in range(lanes)]
    for job in sorted(tenants(combinations).values(), key=len, reverse=True):
        min(shares, key=lambda share: sum(map(len, share))).append(job)
    shares = [share for share in shares if share]
    if len(shares) == 1:
        return lane(shares[0])
    with ProcessPoolExecutor(len(shares)) as pool:
        done = as_completed([pool.submit(lane, share) for share in shares])
        return [outcome for each in done for outcome in each.result()]


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """How often each layer was first, what only an answer could tell, and what became of it after ``--fix``."""
    first = Counter(outcome.truth or "none, the mail arrived" for outcome in outcomes)
    unseen = Counter(outcome.truth for outcome in outcomes if outcome.truth is not None and not outcome.seen)
    after = Counter(outcome.after for outcome in outcomes if outcome.after)
    return [
        *(f"first layer {number}: {layer}" for layer, number in first.most_common()),
        *(f"told by the answer alone {number}: {layer}: {UNSEEN[layer]}" for layer, number in unseen.most_common()),
        *(f"after --fix {number}: {what}" for what, number in after.most_common()),
    ]


def main() -> int:
    """Runs the matrix; exit code 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, metavar="N", help="a seeded choice: every pair of states, at least N")
    parser.add_argument("--only", action="append", default=[], metavar="LAYER=STATE", help="these alone")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--lanes", type=int, default=min(2, os.cpu_count() or 1))
    arguments = parser.parse_args()
    combinations, dropped = possible()
    for reason, number in dropped.most_common():
        print(f"dropped {number}: {reason}")
    for layer, _, state in (text.partition("=") for text in arguments.only):
        combinations = [one for one in combinations if getattr(one, layer) == state]
    if arguments.sample is not None:
        combinations = sample(combinations, arguments.sample, arguments.seed)
    outcomes = tried(combinations, arguments.lanes)
    for line in summary(outcomes):
        print(line)
    wrong = [outcome for outcome in outcomes if outcome.problems]
    for outcome in wrong:
        print(f"wrong: {outcome}", file=sys.stderr)
    print(f"matrix {len(outcomes)} right {len(outcomes) - len(wrong)} wrong {len(wrong)}", flush=True)
    return 0 if outcomes and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
