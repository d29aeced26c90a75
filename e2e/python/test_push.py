"""Pushes to a receiver in another process, and webhook subscriptions, with leaders that die.

The receiver needs to know its secret before it starts and the agent its callback before it is made,
so agents are made with a callback that leads nowhere and are then moved to the receiver's.
"""

import json
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import httpx
import pytest
from axme.exceptions import AxmeHttpError
from conftest import wait_until
from test_failover import cluster

NOWHERE = "http://127.0.0.1:9/nobody"


class Receiver:
    """push_receiver.py and what it has told so far."""

    def __init__(self, secret, mode):
        script = str(Path(__file__).parent / "push_receiver.py")
        command = [sys.executable, script, secret, mode]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/hook"
        self.got = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.got.append(json.loads(line))

    def wait(self, count, seconds=60):
        wait_until(lambda: len(self.got) >= count, seconds, f"{count} requests")
        return list(self.got)

    def of(self, intent_id):
        return [got for got in self.got if got["body"].get("intent_id") == intent_id]


@pytest.fixture
def receiver():
    running = []

    def start(secret, mode="ok"):
        running.append(Receiver(secret, mode))
        return running[-1]

    yield start
    for each in running:
        each.process.kill()
        each.process.wait()
        each.thread.join()


def ok(response):
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
def pushed(raw, receiver):
    """An agent that is pushed to, and its receiver."""

    def make(mode="ok"):
        body = {"name": f"push-{uuid.uuid4().hex[:12]}", "delivery_mode": "http", "callback_url": NOWHERE}
        account = ok(raw.post("/v1/service-accounts", json=body))["service_account"]
        started = receiver(account["signing_secret"], mode)
        path = f"/v1/service-accounts/{account['service_account_id']}"
        ok(raw.patch(path, json={"callback_url": started.url}))
        return account, started

    return make


def event_types(client, intent_id):
    try:
        return [event["event_type"] for event in client.list_intent_events(intent_id)["events"]]
    except (httpx.TransportError, AxmeHttpError) as error:
        assert getattr(error, "status_code", 503) >= 500, error
        return []


def wait_delivered(client, intent_id, seconds=60):
    wait_until(lambda: "intent.delivered" in event_types(client, intent_id), seconds, "delivered")
    types = event_types(client, intent_id)
    assert types.count("intent.delivered") == 1, types


def test_a_push_is_signed_and_acknowledged(client, raw, pushed, submit):
    account, receiver = pushed()
    intent_id = submit(account["agent_address"], {"amount": 7})
    (got,) = receiver.wait(1)
    assert got["signed"] and got["fresh"]
    assert got["body"]["intent_id"] == intent_id
    assert got["body"]["payload"] == {"amount": 7}
    headers = {name.lower(): value for name, value in got["headers"].items()}
    assert headers["x-axme-delivery-attempt"] == "1" and headers["x-axme-delivery-id"] == intent_id
    wait_delivered(client, intent_id)
    client.resume_intent(intent_id, {"passed": True})
    assert client.get_intent(intent_id)["status"] == "COMPLETED"

    # The receiver knows only the first secret: from now on the header beside it is the one it can check.
    path = f"/v1/service-accounts/{account['service_account_id']}/signing-secret/rotate"
    assert ok(raw.post(path, json={}))["signing_secret"] != account["signing_secret"]

    def rotated():
        # The node that pushes has the new secret a moment after the gateway, and signs with the old one until then.
        before = len(receiver.got)
        submit(account["agent_address"])
        last = receiver.wait(before + 1)[-1]
        names = {name.lower() for name in last["headers"]}
        assert last["signed"] != ("x-axme-signature-previous" in names)
        return not last["signed"]

    wait_until(rotated, 20, "pushes are signed with the new secret")


def test_a_subscription_hears_of_its_intents(raw, client, submit, address, receiver):
    secret = uuid.uuid4().hex
    hears = receiver(secret)
    body = {"callback_url": hears.url, "event_types": ["intent.*"], "secret": secret}
    subscription = ok(raw.post("/v1/webhooks/subscriptions", json=body))["subscription"]

    def told():
        # Nodes have the subscription a moment after the gateway.
        submit(address)
        return hears.got

    wait_until(told, 20, "the subscription is known")
    intent_id = submit(address)
    client.resolve_intent(intent_id, {"status": "COMPLETED", "result": {}})

    def types():
        events = [got["body"] for got in hears.got]
        return {event["event_type"] for event in events if event["payload"]["intent_id"] == intent_id}

    wanted = {"intent.created", "intent.submitted", "intent.delivered", "intent.completed"}
    wait_until(lambda: types() == wanted, 30, "all events")
    assert all(got["signed"] for got in hears.got)
    ok(raw.delete(f"/v1/webhooks/subscriptions/{subscription['subscription_id']}"))


def shard_of(intent_id, groups=4):
    """Group of an intent: its slot is in 12 bits of its id, and groups share the slots evenly."""
    slot = int.from_bytes(uuid.UUID(intent_id).bytes[6:8]) & 0xFFF
    return 1 + slot * groups // 4096


@pytest.mark.cluster
def test_a_leader_dies_between_the_push_and_its_acknowledgement(client, pushed, submit):
    account, receiver = pushed("hang-first")
    intent_id = submit(account["agent_address"])
    # The first push hangs for as long as the node that made it lives.
    receiver.wait(1)
    assert event_types(client, intent_id)[-1] == "intent.submitted"
    node = cluster("leader", str(shard_of(intent_id)))
    cluster("kill", node)
    assert len(receiver.of(intent_id)) == 1, "nobody else began an attempt before"
    # Whoever leads now makes it again, when the dead leader's claim has ended.
    wait_until(lambda: len(receiver.of(intent_id)) == 2, 60, "pushed again")
    assert [got["body"]["delivery_attempt"] for got in receiver.of(intent_id)] == [1, 2]
    assert all(got["signed"] for got in receiver.of(intent_id))
    wait_delivered(client, intent_id)
    cluster("start", node)
    cluster("wait-healthy")
    wait_delivered(client, intent_id)
    assert len(receiver.of(intent_id)) == 2


@pytest.mark.cluster
def test_pushes_go_on_while_leaders_die(client, pushed, submit):
    account, receiver = pushed()
    ids = [submit(account["agent_address"]) for _ in range(20)]
    node = cluster("kill-leader")
    cluster("start", node)
    cluster("wait-healthy")
    wait_until(lambda: {got["body"]["intent_id"] for got in receiver.got} >= set(ids), 60, "all pushed")
    for intent_id in ids:
        wait_delivered(client, intent_id)
