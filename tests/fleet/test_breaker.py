"""One cause that hits all stops the run for those it hits; a tenant's own fault stops nobody."""

from __future__ import annotations

from provision import errors
from provision.fleet.breaker import Breaker, Cause
from provision.fleet.outcome import Failure, Outcome
from provision.fleet.tenant import CredentialReference, Tenant

PARTNER = CredentialReference("partner", "client-secret", "1")
OTHER = CredentialReference("other", "client-secret", "2")


def tenants(count: int, credential: CredentialReference = PARTNER, name: str = "t") -> list[Tenant]:
    return [Tenant(f"{name}{number}", "contoso.com", credential=credential) for number in range(count)]


def failed(tenant: Tenant, kind: str, *, throttled: bool = False) -> Outcome:
    code = getattr(errors, kind).exit_code
    return Outcome(tenant.key, "up", "failed", failure=Failure(kind, f"{kind}.", "", code, throttled))


def worked(tenant: Tenant) -> Outcome:
    return Outcome(tenant.key, "up", "changed")


class Course:
    """Works through tenants one after another, as a coordinator with one worker does."""

    def __init__(self, breaker: Breaker, waiting: list[Tenant]) -> None:
        self.breaker = breaker
        self.waiting = list(waiting)
        self.now = 0.0
        self.tried: list[str] = []

    def go(self, result: dict[str, str], otherwise: str = "") -> None:
        """Until nobody is left, or nobody may be tried; ``result`` says by key how a tenant fails."""
        for _ in range(10_000):
            ready = [tenant for tenant in self.waiting if self.breaker.opened(tenant) is None]
            if not ready:
                return
            tenant = self.breaker.pick(ready, now=self.now)
            if tenant is None:
                self.now += 1.0
                continue
            self.tried.append(tenant.key)
            self.waiting.remove(tenant)
            kind = result.get(tenant.key, otherwise)
            self.breaker.ended(tenant, failed(tenant, kind) if kind else worked(tenant), now=self.now)
        raise AssertionError("no end")


def test_a_credential_that_is_refused_everywhere_stops_its_tenants_and_no_others() -> None:
    partner, other = tenants(100), tenants(20, OTHER, "o")
    course = Course(Breaker(), partner + other)
    course.go({tenant.key: "SignInFailed" for tenant in partner})
    assert len([key for key in course.tried if key.startswith("t")]) == 5 + 3
    assert [key for key in course.tried if key.startswith("o")] == [tenant.key for tenant in other]
    assert [cause for cause, _ in course.breaker.open_causes()] == [Cause("SignInFailed", "partner")]
    assert course.breaker.opened(course.waiting[0]) is not None


def test_many_neighbours_that_have_not_consented_stop_nobody() -> None:
    """Twenty rows beside each other that share a fault of their own, in the middle of a thousand that have none."""
    all_ = tenants(1000)
    course = Course(Breaker(), all_)
    course.go({tenant.key: "SignInFailed" for tenant in all_[400:420]})
    assert len(course.tried) == 1000
    assert not course.breaker.open_causes()


def test_single_faults_among_many_are_never_suspected() -> None:
    all_ = tenants(100)
    course = Course(Breaker(), all_)
    course.go({tenant.key: "SignInFailed" for tenant in all_[::2]})
    assert course.tried == [tenant.key for tenant in all_]


def test_a_network_that_comes_back_goes_unnoticed_but_for_the_wait() -> None:
    all_ = tenants(50)
    course = Course(Breaker(), all_)
    course.go({tenant.key: "Unreachable" for tenant in all_[:6]})
    assert len(course.tried) == 50
    assert 0 < course.now < 120


def test_a_network_that_stays_away_ends_the_run_for_all() -> None:
    partner, other = tenants(50), tenants(50, OTHER, "o")
    course = Course(Breaker(), partner + other)
    course.go({}, otherwise="Unreachable")
    assert len(course.tried) == 8
    assert [cause for cause, _ in course.breaker.open_causes()] == [Cause("Unreachable", "")]
    assert course.now >= 60, "each probe leaves the network time to come back"


def test_the_probes_come_from_all_over_the_fleet() -> None:
    course = Course(Breaker(), tenants(101))
    course.go({}, otherwise="EngineUnavailable")
    assert course.tried[5:] == ["t100", "t52", "t5"]


def test_being_throttled_is_no_shared_cause() -> None:
    breaker = Breaker()
    for tenant in tenants(50):
        breaker.ended(tenant, failed(tenant, "Unreachable", throttled=True), now=0.0)
    assert not breaker.open_causes()
    assert breaker.pick(tenants(1), now=0.0) is not None


def test_a_refused_sign_in_shows_that_the_network_is_there() -> None:
    breaker = Breaker(in_a_row=2)
    one, two, three = tenants(3)
    breaker.ended(one, failed(one, "Unreachable"), now=0.0)
    breaker.ended(two, failed(two, "SignInFailed"), now=0.0)
    breaker.ended(three, failed(three, "Unreachable"), now=0.0)
    assert breaker.pick([one], now=0.0) is one


def test_an_unreachable_network_says_nothing_for_a_suspected_sign_in() -> None:
    breaker = Breaker(in_a_row=2, probes=1)
    one, two, three, four = tenants(4)
    for tenant in (one, two):
        breaker.ended(tenant, failed(tenant, "SignInFailed"), now=0.0)
    breaker.ended(three, failed(three, "Unreachable"), now=0.0)
    assert breaker.pick([four], now=0.0) is four
    assert breaker.pick([three], now=0.0) is None, "one probe at a time"


def test_a_probe_whose_worker_is_lost_makes_room_for_another() -> None:
    breaker = Breaker(in_a_row=1)
    one, two, three = tenants(3)
    breaker.ended(one, failed(one, "SignInFailed"), now=0.0)
    probe = breaker.pick([two, three], now=0.0)
    assert probe is not None
    breaker.lost(probe)
    assert breaker.pick([two, three], now=0.0) is not None


def test_a_few_tenants_that_are_tried_again_and_again_open_it_too() -> None:
    """Fewer tenants are left than probes: each counts again."""
    breaker = Breaker(in_a_row=2)
    left = tenants(2)
    for tenant in left:
        breaker.ended(tenant, failed(tenant, "Unreachable"), now=0.0)
    for now in (100.0, 200.0, 300.0):
        probe = breaker.pick(left, now=now)
        assert probe is not None
        breaker.ended(probe, failed(probe, "Unreachable"), now=now)
    assert breaker.open_causes()


def few(*messages: str, kind: str = "Unreachable", done: int = 0) -> list[Cause]:
    """What a run of a few tenants ended by: each said its message, and some more were done."""
    breaker = Breaker()
    rows = tenants(len(messages) + done)
    for row, message in zip(rows, messages, strict=False):
        failure = Failure(kind, message.format(tenant=row.tenant, key=row.key), "", getattr(errors, kind).exit_code)
        breaker.ended(row, Outcome(row.key, "audit", "failed", failure=failure), now=0.0)
    for row in rows[len(messages) :]:
        breaker.ended(row, worked(row), now=0.0)
    assert not breaker.open_causes()
    counts = {"failed": len(messages), "changed": done}
    return [cause for cause, _ in breaker.of_all(counts)]


def test_a_few_tenants_that_all_failed_by_one_cause_share_it_in_the_end() -> None:
    untrusted = "The TLS certificate of https://proxy.example is not trusted."
    assert few(*[untrusted] * 4) == [Cause("Unreachable", "")]
    wrong = "Signing in to tenant {tenant} failed: the client secret for {key} is wrong."
    assert few(wrong, wrong, kind="SignInFailed") == [Cause("SignInFailed", "partner")]


def test_what_one_of_them_got_past_or_says_otherwise_is_each_ones_own() -> None:
    untrusted = "The TLS certificate of https://proxy.example is not trusted."
    assert few(untrusted) == [], "one tenant shares nothing"
    assert few(untrusted, untrusted, done=1) == []
    assert few(untrusted, "https://graph.microsoft.com does not answer in time.") == []
    assert (
        few("There are two registrations: 1, 2.", "There are two registrations: 3, 4.", kind="StateUnavailable") == []
    )
    assert few("It is wrong.", "It is wrong.", kind="InvalidInput") == []
