"""Nodes die with kill -9 in the middle of the flow; nothing acknowledged is lost."""

import subprocess
import threading
import time
import uuid

import httpx
import pytest
from axme.exceptions import AxmeHttpError
from conftest import setting, wait_until

pytestmark = pytest.mark.cluster

FLOWS = 120


def cluster(*arguments):
    """Runs e2e/cluster, which knows the processes, and returns what it prints."""
    command = [setting("AXP_E2E_CLUSTER"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def submit_until_acknowledged(client, body):
    """As a careful initiator does: the same key until there is an answer."""
    names = {"correlation_id": str(uuid.uuid4()), "idempotency_key": uuid.uuid4().hex}
    deadline = time.monotonic() + 60
    while True:
        try:
            return client.create_intent(body, **names)["intent_id"]
        except (httpx.TransportError, AxmeHttpError) as error:
            passing = getattr(error, "status_code", 503)
            assert passing == 429 or passing >= 500, error
            assert time.monotonic() < deadline, "no write accepted for a minute"


def wait_for_patiently(client, intent_id):
    deadline = time.monotonic() + 60
    while True:
        try:
            return client.wait_for(intent_id, timeout_seconds=30)
        except (httpx.TransportError, AxmeHttpError, TimeoutError) as error:
            assert getattr(error, "status_code", 503) >= 500, error
            assert time.monotonic() < deadline, f"{intent_id} has no outcome for a minute"


def assert_whole(client, intent_id):
    events = client.list_intent_events(intent_id)["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    terminal = [event for event in events if event["status"] == "COMPLETED"]
    assert len(terminal) == 1 and terminal[0] == events[-1]


def test_a_leader_dies_in_the_middle_of_the_flow(client, other_client, agent, address):
    agent(address)
    agent(address, base_url=setting("AXME_BASE_URL_2"))
    acknowledged, failures = [], []

    def initiate(own_client):
        try:
            for number in range(FLOWS // 2):
                body = {
                    "intent_type": "compliance.check.v1",
                    "to_agent": address,
                    "payload": {"amount": number},
                }
                acknowledged.append(submit_until_acknowledged(own_client, body))
        except BaseException as error:  # Told by the main thread, below.
            failures.append(error)

    threads = [threading.Thread(target=initiate, args=(each,), daemon=True) for each in (client, other_client)]
    for thread in threads:
        thread.start()
    for kills in (1, 2):
        target = FLOWS * kills // 3
        wait_until(lambda: len(acknowledged) >= target or failures, 60, f"{target} submitted")
        node = cluster("kill-leader")
        cluster("start", node)
        cluster("wait-healthy")
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    assert not failures, failures
    assert len(set(acknowledged)) == FLOWS
    for intent_id in acknowledged:
        assert wait_for_patiently(client, intent_id)["status"] == "COMPLETED"
        assert_whole(other_client, intent_id)


def test_a_watcher_does_not_notice_the_death_of_a_leader(client, submit, address):
    ids = [submit(address) for _ in range(16)]
    observed = {intent_id: [] for intent_id in ids}
    failures = []

    def watch(intent_id):
        since = 0
        while True:
            try:
                for event in client.observe(intent_id, since=since, timeout_seconds=90):
                    observed[intent_id].append(event)
                    since = event["seq"]
                return
            except (httpx.TransportError, AxmeHttpError) as error:
                if getattr(error, "status_code", 503) < 500:
                    failures.append(error)
                    return

    threads = [threading.Thread(target=watch, args=(each,), daemon=True) for each in ids]
    for thread in threads:
        thread.start()
    wait_until(lambda: all(observed.values()), 20, "all watch")
    node = cluster("kill-leader")
    for intent_id in ids:
        deadline = time.monotonic() + 60
        key = uuid.uuid4().hex
        while True:
            try:
                answer = {"status": "COMPLETED", "result": {}}
                client.resolve_intent(intent_id, answer, idempotency_key=key)
                break
            except (httpx.TransportError, AxmeHttpError) as error:
                assert getattr(error, "status_code", 503) >= 500, error
                assert time.monotonic() < deadline
    for thread in threads:
        thread.join(timeout=90)
        assert not thread.is_alive()
    assert not failures, failures
    for intent_id in ids:
        seqs = [event["seq"] for event in observed[intent_id]]
        assert seqs == list(range(1, len(seqs) + 1))
        assert observed[intent_id][-1]["status"] == "COMPLETED"
    cluster("start", node)
    cluster("wait-healthy")


def test_everything_acknowledged_survives_the_death_of_all_nodes(client, submit, address):
    ids = [submit(address, {"number": number}) for number in range(40)]
    for intent_id in ids[:20]:
        client.resolve_intent(intent_id, {"status": "COMPLETED", "result": {}})
    cluster("kill-all")
    cluster("start-all")
    cluster("wait-healthy")

    def read(intent_id):
        try:
            return client.get_intent(intent_id)
        except (httpx.TransportError, AxmeHttpError) as error:
            assert getattr(error, "status_code", 503) >= 500, error
            return None

    for number, intent_id in enumerate(ids):
        intent = wait_until(lambda: read(intent_id), 30, f"{intent_id} is there")
        assert intent["payload"] == {"number": number}
        assert intent["status"] == ("COMPLETED" if number < 20 else "DELIVERED")
    # And it goes on: the waiting ones are still delivered.
    left = set(ids[20:])
    for delivery in client.listen(address, timeout_seconds=60):
        left.discard(delivery["intent_id"])
        if not left:
            break
