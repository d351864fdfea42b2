"""What stands between Graph and us may answer a batch with anything; no answer is never taken for an empty one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from provision.errors import ProvisionError
from provision.microsoft.batch import Document, Pool, Read
from provision.settings.endpoints import Endpoints

READS = [Read(name, f"/{name}", f"list the {name}", "Application.Read.All") for name in ("applications", "grants")]
GOOD: list[Document] = [{"id": read.id, "status": 200, "body": {"value": []}} for read in READS]


class Answers:
    """A server that answers batches with what it is given, the last again and again."""

    def __init__(self) -> None:
        self.left: list[object] = []
        self.asked: list[list[str]] = []
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answers.asked.append([one["id"] for one in asked["requests"]])
                answer = answers.left.pop(0) if len(answers.left) > 1 else answers.left[0]
                body = answer.encode() if isinstance(answer, str) else json.dumps({"responses": answer}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.paused: list[float] = []

    def read(self, *answer: object) -> dict[str, Document | ProvisionError]:
        self.left = list(answer)

        async def pause(seconds: float) -> None:
            self.paused.append(seconds)

        async def ask() -> dict[str, Document | ProvisionError]:
            address = f"http://127.0.0.1:{self.http.server_port}"
            async with Pool(Endpoints(address, address, address, "local"), pause=pause) as pool:
                return await pool.batch("token", READS)

        return asyncio.run(ask())


@pytest.fixture
def graph() -> Iterator[Answers]:
    answers = Answers()
    thread = threading.Thread(target=answers.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield answers
    answers.http.shutdown()
    answers.http.server_close()
    thread.join()


SPOILED: dict[str, Any] = {
    "a page of a proxy": "<html>Sign in</html>",
    "an answer left out": GOOD[:1],
    "an answer without a body": [GOOD[0], {"id": "grants", "status": 200}],
    "a body that is a text": [GOOD[0], {"id": "grants", "status": 200, "body": "c3BvaWxlZA=="}],
    "no status": [GOOD[0], {"id": "grants"}],
    "no objects": [GOOD[0], None, 7],
    "an id that nobody asked for": [GOOD[0], {"id": "other", "status": 200, "body": {}}],
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_what_is_no_answer_is_asked_for_again_and_then_a_refusal(graph: Answers, spoiled: str) -> None:
    again = graph.read(SPOILED[spoiled], GOOD)
    assert again == {"applications": {"value": []}, "grants": {"value": []}}
    assert graph.paused
    assert graph.paused[0] > 0
    refused = graph.read(SPOILED[spoiled])["grants"]
    assert isinstance(refused, ProvisionError)
    assert "list the grants" in str(refused)


def test_only_what_was_throttled_is_asked_again_after_its_own_pause(graph: Answers) -> None:
    busy = {"id": "grants", "status": 429, "headers": {"retry-after": "7"}, "body": {"error": {"code": "x"}}}
    assert graph.read([GOOD[0], busy], GOOD[1:])["grants"] == {"value": []}
    assert graph.asked == [["applications", "grants"], ["grants"]]
    assert graph.paused == [7.0]


@pytest.mark.parametrize("told", [{"Retry-After": "²"}, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, "soon", None])
def test_a_pause_that_cannot_be_read_is_one_of_our_own(graph: Answers, told: object) -> None:
    busy = {"id": "grants", "status": 503, "headers": told}
    assert graph.read([GOOD[0], busy], GOOD[1:])["grants"] == {"value": []}
    assert graph.paused[0] > 0
