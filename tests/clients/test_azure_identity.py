"""azure-identity's browser sign-in, unmodified: it opens a browser, listens on a port of its own, and gets its token.

The other credentials of azure-identity are in ``tests/sandbox/entra/test_clients.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# What the person does: signs in on the page, and lets it post the answer to the waiting program.
BROWSER = """
import html, json, os, re, ssl, sys
from urllib.parse import urljoin
import httpx

if os.fork():
    sys.exit(0)
who = json.loads(os.environ["WHO"])
http = httpx.Client(verify=ssl.create_default_context(cafile=who["ca"]), follow_redirects=True, trust_env=False)
page = http.get(sys.argv[1])
form = {"loginfmt": who["user"], "passwd": who["password"]}
for _ in range(2):
    action = html.unescape(re.search(r'<form[^>]* action="([^"]*)"', page.text)[1])
    hidden = {n: html.unescape(v) for n, v in re.findall(r'name="([^"]+)" value="([^"]*)"', page.text)}
    page = http.post(urljoin(str(page.url), action), data={**hidden, **form})
    form = {}
"""
PROGRAM = """
import json, sys
from azure.identity import InteractiveBrowserCredential

credential = InteractiveBrowserCredential(**json.loads(sys.argv[1]), disable_instance_discovery=True, timeout=30)
print(credential.get_token("https://graph.microsoft.com/.default").token)
print(credential.authenticate(scopes=["https://graph.microsoft.com/.default"]).username)
"""


def test_interactive_browser_signs_in_through_the_pages(tmp_path: Path, sandbox: Any) -> None:
    """The Azure CLI's own client id, with the loopback redirect of any port that Microsoft gives its public clients."""
    tenant = sandbox.new_tenant()
    user = f"admin@{tenant.domain}"
    browser = tmp_path / "browser.py"
    browser.write_text(BROWSER)
    options = {
        "client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "tenant_id": tenant.tenant_id,
        "authority": sandbox.base_url,
    }
    environment = {
        **os.environ,
        "REQUESTS_CA_BUNDLE": str(sandbox.ca_file),
        "BROWSER": f"{sys.executable} {browser} %s",
        "WHO": json.dumps({"ca": str(sandbox.ca_file), "user": user, "password": tenant.users[user]}),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(options)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    token, username = done.stdout.split()
    assert token.count(".") == 2
    assert username == user
