"""What a coordinator tries, in which order and how often; the store is real, the workers do as they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from provision.errors import StateUnavailable, Unreachable
from provision.fleet import coordinator as coordinating
from provision.fleet.coordinator import Coordinator, Ended
from provision.fleet.executors import WorkerLost, out_of_time
from provision.fleet.jobs import Job
from provision.fleet.looking import Looking
from provision.fleet.outcome import Action, Failure, Outcome
from provision.fleet.store import FleetStore, Run, open_fleet_store
from provision.fleet.tenant import CredentialReference, Tenant

Answer = Outcome | WorkerLost


class Told:
    """An executor whose answers are written down; it claims and finishes in the store as a worker does."""

    def __init__(self, store: FleetStore, answer: Callable[[Job, int], Answer], workers: int = 2) -> None:
        self.store = store
        self.answer = answer
        self.workers = workers
        self.tries: list[str] = []
        self.gone = False
        self.most = 0

    def require(self, run: Run) -> None:
        pass

    def submit(self, job: Job) -> Future[Outcome]:
        if self.gone:
            raise Unreachable("The scheduler is gone.")
        key = job.tenant.key
        self.tries.append(key)
        future: Future[Outcome] = Future()
        claim = self.store.claim(job.run, key)
        if claim is None:
            future.set_result(Outcome(key, job.action, "not-tried"))
            return future
        answer = self.answer(job, self.tries.count(key))
        if isinstance(answer, WorkerLost):
            self.store.release(claim)
            future.set_exception(answer)
        elif answer.failure is not None and answer.failure.kind == "OutOfTime":
            self.store.release(claim)
            future.set_result(answer)
        else:
            self.store.finish(claim, answer)
            future.set_result(answer)
        return future

    def close(self, *, hard: bool = False) -> None:
        pass


class Meanwhile(Told):
    """One worker that changes every tenant; before it begins with one of them, somebody else does something."""

    def __init__(self, store: FleetStore, key: str, does: Callable[[], None]) -> None:
        super().__init__(store, lambda job, _: changed(job), workers=1)
        self.key = key
        self.does = does

    def submit(self, job: Job) -> Future[Outcome]:
        if job.tenant.key == self.key:
            self.does()
        return super().submit(job)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are minutes for Microsoft are nothing here."""
    monkeypatch.setattr(coordinating, "wait_before", lambda _attempt: 0.0)
    monkeypatch.setattr(coordinating, "ELSEWHERE_SECONDS", 0.0)
    monkeypatch.setattr(coordinating, "_LOOK_SECONDS", 0.01)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FleetStore]:
    opened = open_fleet_store(environ={"PROVISION_FLEET_STORE": f"sqlite://{tmp_path / 'fleet.db'}"})
    yield opened
    opened.close()


def rows(count: int) -> list[Tenant]:
    credential = CredentialReference("partner", "client-secret", "1")
    return [Tenant(f"t{number:03}", "contoso.com", credential=credential) for number in range(count)]


def changed(job: Job) -> Outcome:
    return Outcome(job.tenant.key, job.action, "changed")


def failed(job: Job, kind: str, code: int, *, throttled: bool = False) -> Outcome:
    return Outcome(job.tenant.key, job.action, "failed", failure=Failure(kind, f"{kind}.", "", code, throttled))


def work(store: FleetStore, run: Run, executor: Told, **options: object) -> tuple[Ended, list[Outcome]]:
    ended: list[Outcome] = []
    done = Coordinator(store, run, executor, ended=ended.append, **options).work()  # type: ignore[arg-type]
    return done, ended


def test_every_tenant_is_done_once_and_the_run_is_ended(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(20), {})
    executor = Told(store, lambda job, _: changed(job))
    done, ended = work(store, run, executor)
    assert done.counts == {"changed": 20}
    assert done.complete
    assert sorted(executor.tries) == [tenant.key for tenant in rows(20)]
    assert len(ended) == 20
    assert store.unfinished("fleet", "up") is None


def test_a_throttled_tenant_is_tried_again_while_others_go_on(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(4), {})
    executor = Told(
        store,
        lambda job, tried: (
            failed(job, "Unreachable", 7, throttled=True) if job.tenant.key == "t000" and tried < 4 else changed(job)
        ),
    )
    done, ended = work(store, run, executor)
    assert done.counts == {"changed": 4}
    assert executor.tries.count("t000") == 4
    assert len(ended) == 4


def test_a_failure_that_stays_is_not_tried_again(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(3), {})
    executor = Told(store, lambda job, _: failed(job, "NotPermitted", 5) if job.tenant.key == "t001" else changed(job))
    done, _ = work(store, run, executor)
    assert done.counts == {"changed": 2, "failed": 1}
    assert executor.tries.count("t001") == 1
    assert store.unfinished("fleet", "up") is None, "a failure is an end, too"


def test_what_does_not_answer_is_tried_so_often_and_no_more(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(2), {})
    executor = Told(store, lambda job, _: failed(job, "AnswerLost", 7) if job.tenant.key == "t000" else changed(job))
    done, ended = work(store, run, executor, attempts=3)
    assert executor.tries.count("t000") == 3
    assert done.counts == {"changed": 1, "failed": 1}
    assert [one.failure.kind for one in ended if one.failure] == ["AnswerLost"]
    assert [one.attempt for one in store.outcomes(run)] == [1, 1]


def test_a_lost_worker_costs_an_attempt_and_three_cost_the_tenant(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(3), {})

    def answer(job: Job, tried: int) -> Answer:
        if job.tenant.key == "t000" or (job.tenant.key == "t001" and tried == 1):
            return WorkerLost("a worker was killed by signal 9")
        return changed(job)

    executor = Told(store, answer)
    done, _ = work(store, run, executor)
    assert done.counts == {"changed": 2, "failed": 1}
    assert [executor.tries.count(key) for key in ("t000", "t001", "t002")] == [3, 2, 1]
    outcome = store.outcome(run.id, "t000")
    assert outcome is not None
    assert outcome.failure is not None
    assert outcome.failure.kind == "WorkerLost"
    assert "signal 9" in outcome.failure.message


def test_a_worker_that_dies_when_it_has_written_down_its_end_has_done_it(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(1), {})

    def answer(job: Job, tried: int) -> Answer:
        if tried == coordinating.LOSSES:
            store.record(run.id, [changed(job)])
        return WorkerLost("a worker was killed by signal 9")

    done, ended = work(store, run, Told(store, answer))
    assert done.counts == {"changed": 1}
    assert [one.status for one in ended] == ["changed"]
    assert store.counts(run) == {"changed": 1}


def test_a_run_that_is_stopped_while_it_looks_says_how_many_were_not_tried(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(3), {})
    store.record(run.id, [Outcome("t000", "up", "unchanged")])
    looking = Looking(store, run, environ={})
    looking.stop()
    first = looking.first()
    assert first.interrupted
    assert first.counts == {"not-tried": 2, "unchanged": 1}


@pytest.mark.parametrize("action", ["audit", "up"])
def test_a_store_that_is_gone_while_it_looks_is_one_sentence(
    store: FleetStore, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    run = store.begin("fleet", action, rows(120), {})

    def gone(*_arguments: object) -> None:
        raise Unreachable("The store is gone.")

    monkeypatch.setattr(store, "kept" if action == "up" else "record", gone)
    looking = Looking(store, run, environ={})
    with pytest.raises(Unreachable, match=r"The store is gone\."):
        looking.first() if action == "up" else looking.work()


def test_a_tenant_that_runs_out_of_time_is_tried_once_more(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(2), {})
    executor = Told(store, lambda job, _: out_of_time(job, 60) if job.tenant.key == "t000" else changed(job))
    done, _ = work(store, run, executor)
    assert executor.tries.count("t000") == 2
    assert done.counts == {"changed": 1, "failed": 1}
    outcome = store.outcome(run.id, "t000")
    assert outcome is not None
    assert outcome.failure is not None
    assert outcome.failure.kind == "OutOfTime"


@pytest.mark.parametrize(("kind", "code"), [("Defect", 1), ("SeveralRegistrations", StateUnavailable.exit_code)])
def test_what_only_a_person_can_put_right_is_not_tried_again(store: FleetStore, kind: str, code: int) -> None:
    run = store.begin("fleet", "up", rows(1), {})
    executor = Told(store, lambda job, _: failed(job, kind, code))
    done, _ = work(store, run, executor)
    assert executor.tries == ["t000"]
    assert done.counts == {"failed": 1}


def test_a_tenant_that_somebody_else_has_is_waited_for(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(2), {})
    other = store.begin("fleet", "up", rows(2), {})
    theirs = store.claim(other.id, "t000")
    assert theirs is not None

    def answer(job: Job, _tried: int) -> Answer:
        store.finish(theirs, Outcome("t000", "up", "changed"))
        return changed(job)

    executor = Told(store, answer, workers=1)
    done, _ = work(store, run, executor)
    assert done.counts == {"changed": 2}
    assert executor.tries[0] == "t000"
    assert executor.tries.count("t000") >= 2


def test_what_another_coordinator_has_done_in_the_same_run_counts(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(2), {})
    theirs = store.claim(run.id, "t000")
    assert theirs is not None
    executor = Meanwhile(store, "t001", lambda: store.finish(theirs, Outcome("t000", "up", "unchanged")))
    done, _ = work(store, run, executor)
    assert done.counts == {"changed": 1, "unchanged": 1}


def test_what_failed_for_a_worker_whose_coordinator_was_killed_is_tried_again(store: FleetStore) -> None:
    """That worker outlives its coordinator by a moment, in which the run is resumed and the worker's attempt fails."""
    run = store.begin("fleet", "up", rows(2), {})
    theirs = store.claim(run.id, "t000")
    assert theirs is not None
    refused = failed(Job(run.id, "fleet", "up", rows(1)[0], {}), "Unreachable", 7)
    executor = Meanwhile(store, "t001", lambda: store.finish(theirs, refused))
    done, ended = work(store, run, executor)
    assert done.counts == {"changed": 2}
    assert {one.key: one.status for one in ended} == {"t000": "changed", "t001": "changed"}


def test_a_credential_that_is_refused_everywhere_stops_the_run_and_says_who_was_not_tried(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(30), {})
    executor = Told(store, lambda job, _: failed(job, "SignInFailed", 4), workers=1)
    done, ended = work(store, run, executor)
    assert done.counts == {"failed": 8, "not-tried": 22}
    assert [(cause.kind, cause.scope) for cause, _ in done.causes] == [("SignInFailed", "partner")]
    assert not done.complete
    assert len(ended) == 30
    untried = [one for one in store.outcomes(run) if one.status == "not-tried"]
    assert len(untried) == 22
    assert untried[0].notes == ("not tried, because it would have hit this tenant, too: SignInFailed.",)


def test_resuming_does_what_is_left_and_what_failed_and_nothing_twice(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(30), {})
    first = Told(store, lambda job, _: changed(job) if job.tenant.key < "t010" else failed(job, "SignInFailed", 4), 1)
    work(store, run, first)
    assert store.unfinished("fleet", "up") == run
    second = Told(store, lambda job, _: changed(job))
    done, _ = work(store, run, second)
    assert done.counts == {"changed": 30}
    assert sorted(second.tries) == [tenant.key for tenant in rows(30)[10:]]
    assert store.unfinished("fleet", "up") is None


def test_a_stopped_run_finishes_what_runs_and_leaves_the_rest(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(10), {})
    executor = Told(store, lambda job, _: changed(job), workers=1)
    coordinator = Coordinator(store, run, executor, ended=lambda _: coordinator.stop())
    done = coordinator.work()
    assert done.interrupted
    assert done.counts == {"changed": 1, "not-tried": 9}
    assert len(store.left(run)) == 9
    assert store.unfinished("fleet", "up") == run


@pytest.mark.parametrize("hard", [False, True])
def test_what_failed_in_an_earlier_session_has_still_failed_when_the_next_one_is_stopped(
    store: FleetStore, hard: bool
) -> None:
    """Stopped in order the two that failed are not begun again; stopped at once one of them is in the middle."""
    run = store.begin("fleet", "up", rows(4), {})
    credential = failed(Job(run.id, "fleet", "up", rows(4)[2]), "NotPermitted", 5)
    claim = store.claim(run.id, "t002")
    assert claim is not None
    store.finish(claim, credential)
    executor = Told(store, lambda job, _: changed(job), workers=1)
    submit = executor.submit

    def stopping(job: Job) -> Future[Outcome]:
        if hard and job.tenant.key != "t002":
            return submit(job)
        coordinator.stop(hard=hard)
        return Future() if hard else submit(job)

    executor.submit = stopping  # type: ignore[method-assign]
    ended: list[Outcome] = []
    coordinator = Coordinator(store, run, executor, ended=ended.append)
    done = coordinator.work()
    assert done.interrupted
    assert done.counts["failed"] == 1
    assert store.outcome(run.id, "t002") == credential
    assert credential in ended
    assert store.counts(run) == done.counts
    again, _ = work(store, run, Told(store, lambda job, _: changed(job)))
    assert again.counts == {"changed": 4}, "and it is tried again all the same"


def test_a_tenant_that_a_newer_run_has_otherwise_is_left_alone(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(3), {})
    newer = store.begin("fleet", "rotate", [replace(rows(1)[0], company_code="NEW")], {})
    executor = Told(store, lambda job, _: changed(job))
    done, _ = work(store, run, executor)
    assert sorted(executor.tries) == ["t001", "t002"]
    assert done.counts == {"changed": 2, "not-tried": 1}
    (left,) = (one for one in store.outcomes(run) if one.status == "not-tried")
    assert run.id in left.notes[0]
    assert newer.id in left.notes[0]
    assert store.unfinished("fleet", "up") is None, "nothing is left that this run may do"


def test_a_tenant_that_a_newer_run_changes_meanwhile_is_left_alone(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(2), {})

    def answer(job: Job, _tried: int) -> Answer:
        if job.tenant.key == "t000":
            newer = store.begin("fleet", "up", [replace(rows(2)[1], company_code="NEW")], {})
            theirs = store.claim(newer.id, "t001")
            assert theirs is not None
            store.finish(theirs, Outcome("t001", "up", "changed"))
        return changed(job)

    done, _ = work(store, run, Told(store, answer, workers=1))
    assert done.counts == {"changed": 1, "not-tried": 1}
    assert done.complete


def test_what_an_audit_failed_by_stands_when_the_next_session_is_stopped(store: FleetStore) -> None:
    run = store.begin("fleet", "audit", rows(3), {})
    refused = failed(Job(run.id, "fleet", "audit", rows(1)[0]), "NotPermitted", 5)
    store.record(run.id, [refused])
    looking = Looking(store, run, environ={})
    looking.stop()
    done = looking.work()
    assert done.counts == {"failed": 1, "not-tried": 2}
    assert store.outcome(run.id, "t000") == refused
    assert store.counts(run) == done.counts


def test_an_audit_leaves_alone_what_a_newer_one_knows_otherwise(store: FleetStore) -> None:
    run = store.begin("fleet", "audit", rows(1), {})
    newer = store.begin("fleet", "audit", [replace(rows(1)[0], company_code="NEW")], {})
    done = Looking(store, run, environ={}).work()
    assert done.counts == {"not-tried": 1}
    assert newer.id in next(store.outcomes(run)).notes[0]
    ended = store.run(run.id)
    assert ended is not None
    assert ended.ended is not None


def test_a_cluster_that_is_gone_leaves_the_rest_untried(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(5), {})

    def answer(job: Job, _tried: int) -> Answer:
        executor.gone = job.tenant.key == "t001"
        return changed(job)

    executor = Told(store, answer, workers=1)
    done, _ = work(store, run, executor)
    assert done.broken is not None
    assert done.broken.message == "The scheduler is gone."
    assert done.counts == {"changed": 2, "not-tried": 3}
    assert store.left(run) == ["t002", "t003", "t004"]


def test_the_standing_adds_up(store: FleetStore) -> None:
    run = store.begin("fleet", "up", rows(12), {})
    told = []
    work(store, run, Told(store, lambda job, _: changed(job), workers=3), tell=told.append)
    assert told
    for standing in told:
        assert standing.total == 12
        assert sum(standing.done.values()) + standing.running + sum(standing.waiting.values()) == 12
    assert told[-1].done == {"changed": 12}
