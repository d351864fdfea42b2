"""Asks a running server through its control API; standard library only, so that it is quick to import."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from provision.sandbox.config import NotRunning, Refused, ServerState

_TIMEOUT_SECONDS = 60


class ControlClient:
    """The control API of one server.

    Args:
        state: what the server wrote about itself.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._context = ssl.create_default_context(cafile=state.ca_file)

    def ask(self, method: str, name: str, body: Any = None) -> Any:
        """One call.

        Args:
            method: the HTTP method.
            name: what is asked, for example ``faults``.
            body: a JSON value, or None.

        Raises:
            NotRunning: nobody answers.
            Refused: the server does not understand; the message says what is allowed.
        """
        address = urlsplit(self._state.base_url)
        connection = http.client.HTTPSConnection(
            address.hostname or "localhost", address.port or 443, context=self._context, timeout=_TIMEOUT_SECONDS
        )
        headers = {"Authorization": f"Bearer {self._state.control_token}", "Content-Type": "application/json"}
        try:
            connection.request(method, f"/_sandbox/{name}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            raise NotRunning(f"no local tenant answers at {self._state.base_url}") from None
        finally:
            connection.close()
        data = json.loads(content) if content else None
        if answer.status >= 400:
            raise Refused(data["error"] if isinstance(data, dict) and "error" in data else f"status {answer.status}")
        return data
