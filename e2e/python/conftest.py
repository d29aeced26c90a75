"""What all tests share: the server under test, the official client, and an agent of their own.

The server comes from the environment (AXME_BASE_URL, AXME_API_KEY). What is missing there is an
error and never a skip: a run that tested nothing must not look like one that passed.
"""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest
from axme import AxmeClient, AxmeClientConfig

HERE = Path(__file__).parent


def setting(name):
    value = os.environ.get(name, "")
    assert value, f"{name} is not set: e2e/run sets it"
    return value


def connect(base_url, api_key):
    return AxmeClient(AxmeClientConfig(base_url=base_url, api_key=api_key, timeout_seconds=20.0))


def wait_until(condition, seconds, what):
    """Returns the first true value of the condition."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def succeed(process):
    """Waits for a command, which must succeed, and returns what it printed."""
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 0, f"{process.args}: {out}{errors}"
    return out


def events_of(text):
    """Reads a whole event stream as strictly as the strictest client."""
    assert text.endswith("\n\n") and "\r" not in text
    events = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        fields = {}
        for line in lines:
            name, separator, value = line.partition(": ")
            assert separator and name in {"id", "event", "data"} and name not in fields, line
            fields[name] = value
        if fields:
            events.append(fields)
    return events


def agent_stream(address):
    return f"/v1/agents/{address.removeprefix('agent://')}/intents/stream"


def backlog(raw, address, since=0):
    """What waits for an agent right now, as its stream tells it."""
    response = raw.get(agent_stream(address), params={"since": since, "wait_seconds": 1})
    assert response.status_code == 200, response.text
    return [json.loads(event["data"]) for event in events_of(response.text) if "id" in event]


@pytest.fixture(scope="session")
def base_url():
    return setting("AXME_BASE_URL")


@pytest.fixture(scope="session")
def api_key():
    return setting("AXME_API_KEY")


@pytest.fixture
def client(base_url, api_key):
    with connect(base_url, api_key) as client:
        yield client


@pytest.fixture
def other_client(api_key):
    """The same key at the second gateway."""
    with connect(setting("AXME_BASE_URL_2"), api_key) as client:
        yield client


@pytest.fixture
def raw(base_url, api_key):
    """Plain HTTP, for what the SDK does not let one send or see."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}, timeout=20.0) as http:
        yield http


@pytest.fixture(scope="session")
def workspace(base_url, api_key):
    """Ids of the organization and workspace of the key, and the prefix of their addresses."""
    with connect(base_url, api_key) as client:
        account = client.list_service_accounts(org_id="")["service_accounts"][0]
    prefix = account["agent_address"].rsplit("/", 1)[0]
    return {"org_id": account["org_id"], "workspace_id": account["workspace_id"], "prefix": prefix}


@pytest.fixture
def address(workspace):
    """An agent address that no other test uses."""
    return f"{workspace['prefix']}/e2e-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def submit(client):
    """Sends an intent to an address and returns its id."""

    def submit(address, payload=None, **extra):
        body = {"intent_type": "compliance.check.v1", "to_agent": address}
        return client.send_intent({**body, "payload": payload or {"amount": 100}, **extra})

    return submit


@pytest.fixture
def agent():
    """Starts agent.py as a process of its own, and ends what a test leaves behind."""
    running = []

    def start(address, *, mode="answer", base_url=None, since=0):
        environment = dict(os.environ, AXME_BASE_URL=base_url or setting("AXME_BASE_URL"))
        process = subprocess.Popen(
            [sys.executable, str(HERE / "agent.py"), address, mode, str(since)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def axp(base_url, api_key, tmp_path):
    """Starts the `axp` command; what it prints is read line by line."""
    environment = {
        "PATH": os.environ["PATH"],
        "AXME_BASE_URL": base_url,
        "AXME_API_KEY": api_key,
        "AXP_CONFIG_DIR": str(tmp_path / "config"),
    }
    started = []

    def start(*arguments):
        command = [str(Path(setting("AXP_E2E_BIN")) / "axp"), *arguments]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
