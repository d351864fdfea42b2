"""A GitLab variable is masked, raw, in one scope, and says which client secret it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gitlab_variables import GitLab, Token
from tls_server import Reply

from provision.errors import InvalidInput, NotDelivered, NotPermitted, ProvisionError, SignInFailed, Unreachable
from provision.secrets.sinks import Delivery, Sink, open_sink

VALUE = "abc8Q~0123456789.0123456789_0123456789-A"


def delivery(value: str = VALUE, key_id: str = "k-1") -> Delivery:
    return Delivery("tenant-1", "client-1", key_id, datetime(2099, 1, 1, tzinfo=UTC), value)


@pytest.fixture
def gitlab(tmp_path: Path) -> Iterator[GitLab]:
    with GitLab(tmp_path / "tls") as server:
        yield server


@pytest.fixture
def sink(gitlab: GitLab) -> Sink:
    return open_sink("gitlab:acme/tms#MAIL_SECRET", gitlab.environ)


def test_a_new_variable_is_masked_raw_and_says_which_secret_it_is(gitlab: GitLab, sink: Sink) -> None:
    sink.check()
    assert sink.stored() is None
    sink.write(delivery())
    assert gitlab.variables["projects/7"] == [
        {
            "key": "MAIL_SECRET",
            "value": VALUE,
            "variable_type": "env_var",
            "protected": False,
            "masked": True,
            "hidden": False,
            "raw": True,
            "environment_scope": "*",
            "description": "[client secret k-1]",
        }
    ]
    stored = sink.stored() or pytest.fail()
    assert (stored.value, stored.key_id) == (VALUE, "k-1")
    sink.remove()
    assert sink.stored() is None
    sink.remove()


def test_what_a_person_set_on_a_variable_stays(gitlab: GitLab, sink: Sink) -> None:
    gitlab.variables["projects/7"] = [
        variable(protected=True, variable_type="file", description="For the mail " + "x" * 260)
    ]
    for key_id in ("k-1", "k-2"):
        sink.write(delivery(key_id=key_id))
        (found,) = gitlab.variables["projects/7"]
        assert (found["protected"], found["variable_type"], found["masked"], found["raw"]) == (True, "file", True, True)
        assert found["description"].startswith("For the mail xxx")
        assert found["description"].endswith(f"x [client secret {key_id}]")
        assert found["description"].count("client secret") == 1
    assert found["value"] == VALUE


def variable(**changes: Any) -> dict[str, Any]:
    made = {"key": "MAIL_SECRET", "value": "old", "variable_type": "env_var", "protected": False, "masked": False}
    return {**made, "hidden": False, "raw": False, "environment_scope": "*", "description": None, **changes}


def test_a_variable_that_somebody_else_set_is_not_removed(gitlab: GitLab, sink: Sink) -> None:
    gitlab.variables["projects/7"] = [variable()]
    stored = sink.stored() or pytest.fail()
    assert (stored.value, stored.key_id) == ("old", None)
    sink.remove()
    assert gitlab.variables["projects/7"] == [variable()]


def test_each_scope_has_a_variable_of_its_own(gitlab: GitLab) -> None:
    everywhere = variable(value="elsewhere")
    gitlab.variables["projects/7"] = [everywhere, variable(environment_scope="review/*", value="review")]
    sink = open_sink("gitlab:acme/tms?environment_scope=production&protected=true#MAIL_SECRET", gitlab.environ)
    assert sink.stored() is None
    sink.write(delivery())
    made = gitlab.variables["projects/7"][2]
    assert (made["environment_scope"], made["protected"], made["value"]) == ("production", True, VALUE)
    assert gitlab.variables["projects/7"][0] == everywhere
    review = open_sink("gitlab:7?environment_scope=review/*#MAIL_SECRET", gitlab.environ)
    assert (review.stored() or pytest.fail()).value == "review"
    sink.remove()
    assert [one["environment_scope"] for one in gitlab.variables["projects/7"]] == ["*", "review/*"]


def test_a_group_has_variables_too(gitlab: GitLab) -> None:
    sink = open_sink("gitlab:groups/acme/mail#MAIL_SECRET", gitlab.environ)
    sink.check()
    assert sink.stored() is None
    sink.write(delivery())
    assert gitlab.variables["groups/8"][0]["value"] == VALUE
    assert sink.address == "gitlab:groups/acme/mail#MAIL_SECRET"


def test_a_hidden_variable_is_known_by_its_description(gitlab: GitLab) -> None:
    sink = open_sink("gitlab:acme/tms?hidden=true#MAIL_SECRET", gitlab.environ)
    for key_id, value in (("k-1", VALUE), ("k-2", "b" * 40)):
        sink.check()
        sink.write(delivery(value, key_id))
        stored = sink.stored() or pytest.fail()
        assert (stored.value, stored.key_id) == (None, key_id)
    (made,) = gitlab.variables["projects/7"]
    assert (made["hidden"], made["masked"], made["value"]) == (True, True, "b" * 40)
    made["hidden"] = False
    with pytest.raises(InvalidInput, match="is there and not hidden; GitLab hides only new ones"):
        sink.check()


def test_an_old_gitlab_masks_and_tells_that_it_cannot_hide(tmp_path: Path) -> None:
    with GitLab(tmp_path / "old", version=(15, 11)) as old:
        plain = open_sink("gitlab:acme/tms#PLAIN", old.environ)
        plain.write(delivery())
        stored = plain.stored() or pytest.fail()
        assert (stored.value, stored.key_id) == (VALUE, None)
        with pytest.raises(NotDelivered, match="does not hide variables: HIDDEN of acme/tms is masked only"):
            open_sink("gitlab:acme/tms?hidden=true#HIDDEN", old.environ).write(delivery())
        assert [one["masked"] for one in old.variables["projects/7"]] == [True, True]


def test_every_character_of_entras_secrets_can_be_masked(sink: Sink) -> None:
    sink.write(delivery("Aa0~._-" * 6))
    with pytest.raises(
        NotDelivered, match=r"does not take the variable MAIL_SECRET of acme/tms: HTTP 400 \(value is inv"
    ):
        sink.write(delivery("with a blank"))


def test_a_token_that_may_only_read_is_found_out_before_a_secret_is_made(gitlab: GitLab, sink: Sink) -> None:
    gitlab.tokens["glpat-all"] = Token(("read_api",))
    with pytest.raises(NotPermitted, match="it lacks the scope api"):
        sink.check()
    with pytest.raises(NotPermitted, match="requires higher privileges than provided"):
        sink.write(delivery())
    gitlab.tokens["glpat-all"] = Token(is_oauth=True)
    sink.check()
    gitlab.tokens["glpat-all"] = Token(role=30)
    with pytest.raises(NotPermitted, match=r"refuses the variables of acme/tms \(403 Forbidden\)") as refused:
        sink.check()
    assert "role Maintainer" in refused.value.remedy


def test_a_wrong_token_none_at_all_and_a_pipelines_own(gitlab: GitLab) -> None:
    for token, says in (({"GITLAB_TOKEN": "other"}, "401 Unauthorized"), ({"GITLAB_TOKEN": ""}, "There is no sign-in")):
        with pytest.raises(SignInFailed, match=says):
            open_sink("gitlab:acme/tms#X", gitlab.environ | token).stored()
    with pytest.raises(SignInFailed) as refused:
        open_sink("gitlab:acme/tms#X", gitlab.environ | {"GITLAB_TOKEN": "", "CI_JOB_TOKEN": "j"}).check()
    assert "CI_JOB_TOKEN may not touch variables" in refused.value.remedy


@pytest.mark.parametrize("place", ["acme/other", "groups/acme"])
def test_a_place_that_cannot_be_seen_is_not_an_empty_one(gitlab: GitLab, place: str) -> None:
    sink = open_sink(f"gitlab:{place}#X", gitlab.environ)
    for doing in (sink.check, sink.stored, sink.remove, lambda: sink.write(delivery())):
        with pytest.raises(NotPermitted, match=f"shows no {place}: it is not there, or"):
            doing()


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (Reply(301, None, {"Location": "https://x.example"}), InvalidInput, "leads from acme/tms to another address"),
        (
            Reply(409, {"message": "There are multiple variables"}),
            NotDelivered,
            r"409 \(There are multiple variables\)",
        ),
        (Reply(400, {"message": {"value": [f"{VALUE} is bad"]}}), NotDelivered, r"HTTP 400\."),
        (Reply(429, None, {"Retry-After": "60"}), Unreachable, "is overloaded: HTTP 429"),
        (Reply(500, {"message": "500 Internal Server Error"}), Unreachable, "HTTP 500"),
        (Reply(200, [1]), Unreachable, "does not answer as GitLab does"),
        (Reply(200, {"key": "OTHER"}), Unreachable, "does not answer as GitLab does"),
        (Reply(200, {"key": "MAIL_SECRET", "environment_scope": "x"}), NotDelivered, "of another scope than"),
        (Reply(418), Unreachable, "does not answer as GitLab does"),
    ],
    ids=lambda case: str(case.status) if isinstance(case, Reply) else None,
)
def test_a_refusal_is_one_sentence_without_the_value(
    gitlab: GitLab, sink: Sink, reply: Reply, kind: type[ProvisionError], says: str
) -> None:
    gitlab.variables["projects/7"] = [variable()]
    gitlab.weather = [Reply(200, variable()), reply]
    with pytest.raises(kind, match=says) as caught:
        sink.write(delivery())
    assert type(caught.value) is kind
    assert VALUE not in str(caught.value)
    assert gitlab.requests[-1].method == "PUT"


def test_neither_value_nor_token_is_in_a_log_or_repr(
    gitlab: GitLab, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for name in ("httpx", "httpcore"):
            caplog.set_level(logging.DEBUG, logger=name)
        sink.write(delivery())
        stored = sink.stored()
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    for hidden in (VALUE, "glpat-all"):
        assert hidden not in caplog.text + repr((sink, stored))


@pytest.mark.parametrize(
    "rest",
    [
        "acme#X",
        "acme/tms",
        "acme/tms#",
        "acme/tms#A-B",
        "acme/tms#" + "A" * 256,
        "acme//tms#X",
        "acme/../x#X",
        "groups/#X",
        "0#X",
        "acme/tms?environment_scope=#X",
        "acme/tms?environment_scope=a%0Ab#X",
        "acme/tms?environment_scope=%21#X",
        "acme/tms?protected=yes#X",
        "acme/tms?masked=false#X",
    ],
)
def test_an_address_that_is_none_is_refused(rest: str) -> None:
    with pytest.raises(InvalidInput):
        open_sink(f"gitlab:{rest}", {})


def test_the_same_place_has_one_address() -> None:
    addresses = {
        open_sink(f"gitlab:a/b{query}#X", {}).address
        for query in ("?protected=true&environment_scope=prod", "?environment_scope=prod&protected=true")
    }
    assert addresses == {"gitlab:a/b?environment_scope=prod&protected=true#X"}
    assert open_sink("gitlab:a/b?environment_scope=*#X", {}).address == "gitlab:a/b#X"


@pytest.mark.parametrize("url", ["http://gl.example/api/v4", "https://user:pw@gl.example", "https://", "gl.example"])
def test_a_token_goes_to_an_https_server_only(url: str) -> None:
    with pytest.raises(InvalidInput, match="CI_API_V4_URL is not an https address"):
        open_sink("gitlab:a/b#X", {"CI_API_V4_URL": url, "GITLAB_TOKEN": "t"}).check()
