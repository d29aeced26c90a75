"""Poll, inbox and internal delivery on three nodes, with the leader killed in the middle, and agents
that change from one road to another then.

`stream` has its test in test_failover.py, `http` in test_push.py.
"""

import json
import threading
import time
import uuid
from datetime import datetime

import httpx
import pytest
from conftest import agent_stream, backlog, connect, events_of, setting, wait_until
from test_failover import assert_whole, cluster, submit_until_acknowledged
from test_push import pushed, receiver  # noqa: F401  (fixtures)

pytestmark = pytest.mark.cluster

INTENTS = 40


def patiently(call):
    """Repeats a call that may be repeated until somebody answers it."""
    deadline = time.monotonic() + 60
    while True:
        try:
            response = call()
            if response.status_code != 429 and response.status_code < 500:
                return response
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "no answer for a minute"
        time.sleep(0.05)


def kill_a_leader_and_bring_it_back():
    node = cluster("kill-leader")
    cluster("start", node)
    cluster("wait-healthy")


def account(client, workspace, mode):
    """A service account of its own, with a key: an agent that wants its intents by this road."""
    body = {
        "org_id": workspace["org_id"],
        "workspace_id": workspace["workspace_id"],
        "name": f"e2e-{mode}-{uuid.uuid4().hex[:12]}",
        "delivery_mode": mode,
    }
    made = client.create_service_account(body)["service_account"]
    key = client.create_service_account_key(made["service_account_id"], {})["key"]["token"]
    return made["agent_address"], key


def test_two_pollers_do_everything_once_while_a_leader_dies(client, workspace):
    address, key = account(client, workspace, "poll")
    finished, failures, stop = [], [], threading.Event()

    def poll(base_url):
        try:
            with httpx.Client(base_url=base_url, headers={"x-api-key": key}, timeout=20.0) as http:
                while not stop.is_set():
                    pending = patiently(lambda: http.get("/v1/intents", params={"status": "pending"}))
                    assert pending.status_code == 200, pending.text
                    for intent in pending.json()["intents"]:
                        url = f"/v1/intents/{intent['intent_id']}/resume"
                        headers = {"Idempotency-Key": f"poll-{uuid.uuid4().hex}"}
                        done = patiently(lambda: http.post(url, json={"passed": True}, headers=headers))
                        # The other poller may have been faster.
                        assert done.status_code in (200, 409), done.text
                        if done.status_code == 200:
                            finished.append(intent["intent_id"])
        except BaseException as error:  # Told by the main thread, below.
            failures.append(error)

    bases = (setting("AXME_BASE_URL"), setting("AXME_BASE_URL_2"))
    threads = [threading.Thread(target=poll, args=(base,), daemon=True) for base in bases]
    for thread in threads:
        thread.start()
    body = {"intent_type": "compliance.check.v1", "to_agent": address, "payload": {}}
    ids = [submit_until_acknowledged(client, body) for _ in range(INTENTS // 2)]
    kill_a_leader_and_bring_it_back()
    ids += [submit_until_acknowledged(client, body) for _ in range(INTENTS // 2)]
    wait_until(lambda: set(ids) <= set(finished) or failures, 60, "everything is finished")
    stop.set()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert not failures, failures
    assert len(finished) == len(set(finished)) == INTENTS, "each by one of the two"
    for intent_id in ids:
        assert_whole(client, intent_id)


def threads_by_changes(http, owner):
    """Everything that changed in an inbox so far, page by page; the last state of each thread."""
    threads, cursor = {}, None
    while True:
        params = {"owner_agent": owner, "limit": 7, **({"cursor": cursor} if cursor else {})}
        page = patiently(lambda: http.get("/v1/inbox/changes", params=params)).json()
        for change in page["changes"]:
            threads[change["thread"]["thread_id"]] = change["thread"]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            return threads


def test_an_inbox_and_its_outcomes_survive_the_death_of_a_leader(client, raw, workspace, address):
    target, _ = account(client, workspace, "inbox")
    body = {
        "intent_type": "compliance.check.v1",
        "to_agent": target,
        "reply_to": address,
        "payload": {},
    }
    ids = [submit_until_acknowledged(client, body) for _ in range(INTENTS // 2)]
    kill_a_leader_and_bring_it_back()
    ids += [submit_until_acknowledged(client, body) for _ in range(INTENTS // 2)]
    wait_until(lambda: set(threads_by_changes(raw, target)) == set(ids), 30, "a thread for each")

    node = cluster("kill-leader")
    for intent_id in ids:
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = {"status": "COMPLETED", "result": {"ok": True}}
        url = f"/v1/intents/{intent_id}/resolve"
        done = patiently(lambda: raw.post(url, json=answer, headers=key))
        assert done.status_code == 200, done.text
    cluster("start", node)
    cluster("wait-healthy")

    def outcomes():
        threads = threads_by_changes(raw, address)
        return threads if set(threads) == set(ids) else None

    for thread in wait_until(outcomes, 30, "an outcome for each").values():
        kinds = [event["event_type"] for event in thread["timeline"]]
        assert kinds.count("intent_completion_delivered") == 1, kinds
    for intent_id in ids:
        assert_whole(client, intent_id)


def test_reminders_escalation_and_the_deadline_come_once_although_all_nodes_die(client, raw, address):
    deadline = time.time() + 9
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(deadline))
    body = {
        "intent_type": "compliance.check.v1",
        "to_agent": "agent://agent_core",
        "payload": {},
        "human_task": {"title": "Look at it", "task_type": "approval"},
        "remind_after_seconds": 1,
        "remind_interval_seconds": 1,
        "max_reminders": 2,
        "escalate_to": address,
        "deadline_at": stamp,
    }
    ids = [submit_until_acknowledged(client, body) for _ in range(8)]
    cluster("kill-all")
    cluster("start-all")
    cluster("wait-healthy")

    def ended(intent_id):
        answer = patiently(lambda: raw.get(f"/v1/intents/{intent_id}")).json()
        return answer["status"] == "TIMED_OUT"

    wait_until(lambda: all(ended(intent_id) for intent_id in ids), 60, "all deadlines are over")
    for intent_id in ids:
        events = client.list_intent_events(intent_id)["events"]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        kinds = [event["event_type"] for event in events]
        assert kinds.count("intent.reminder") == 2, kinds
        assert kinds.count("intent.escalated") == 1, kinds
        assert kinds.count("intent.timed_out") == 1 and kinds[-1] == "intent.timed_out", kinds
        escalated = next(event for event in events if event["event_type"] == "intent.escalated")
        assert escalated["details"]["escalated_to"] == address
        assert datetime.fromisoformat(events[-1]["at"]) >= datetime.fromisoformat(stamp), "never early"


def test_a_binding_changes_while_intents_wait(client, raw, workspace):
    """An agent that polled listens from now on; what waits is not lost on the way."""
    address, key = account(client, workspace, "poll")
    body = {"intent_type": "compliance.check.v1", "to_agent": address, "payload": {}}
    ids = {submit_until_acknowledged(client, body) for _ in range(5)}
    found = client.get_agent(address)["agent"]
    url = f"/v1/service-accounts/{found['service_account_id']}"
    changed = raw.patch(url, json={"delivery_mode": "stream"})
    assert changed.status_code == 200, changed.text
    with connect(setting("AXME_BASE_URL"), key) as agent:
        for delivery in agent.listen(address, timeout_seconds=60):
            agent.resume_intent(delivery["intent_id"], {"passed": True})
            ids.discard(delivery["intent_id"])
            if not ids:
                break
    assert not ids


def finish(agent, intent_id):
    """Ends an intent; that it has ended already is as good."""
    body = {"passed": True}
    url = f"/v1/intents/{intent_id}/resume"
    headers = {"Idempotency-Key": f"finish-{intent_id}"}
    done = patiently(lambda: agent.post(url, json=body, headers=headers))
    assert done.status_code in (200, 409), done.text


def assert_done_once(client, ids):
    for intent_id in ids:
        assert_whole(client, intent_id)
        kinds = [event["event_type"] for event in client.list_intent_events(intent_id)["events"]]
        # None when the agent found it in its stream before the change reached the intent.
        assert kinds.count("intent.delivered") <= 1, kinds


def key_of(client, made):
    return client.create_service_account_key(made["service_account_id"], {})["key"]["token"]


def test_a_pushed_agent_listens_from_now_on_although_the_leader_dies(client, raw, pushed):
    made, receiver = pushed("refuse")
    address, key = made["agent_address"], key_of(client, made)
    body = {"intent_type": "compliance.check.v1", "to_agent": address, "payload": {}}
    ids = [submit_until_acknowledged(client, body) for _ in range(INTENTS // 2)]
    # Each was refused once and waits half a minute for its next attempt.
    wait_until(lambda: {got["body"]["intent_id"] for got in receiver.got} >= set(ids), 60, "refusals")

    node = cluster("kill-leader")
    url = f"/v1/service-accounts/{made['service_account_id']}"
    changed = patiently(lambda: raw.patch(url, json={"delivery_mode": "stream"}))
    assert changed.status_code == 200, changed.text
    ids += [submit_until_acknowledged(client, body) for _ in range(INTENTS // 2)]
    cluster("start", node)
    cluster("wait-healthy")

    left, since, deadline = set(ids), 0, time.monotonic() + 20
    headers = {"x-api-key": key}
    with httpx.Client(base_url=setting("AXME_BASE_URL"), headers=headers, timeout=30) as agent:
        while left:
            # Sooner than the retry would come: it is the change that delivers.
            assert time.monotonic() < deadline, f"{len(left)} intents were not heard of"
            params = {"since": since, "wait_seconds": 5}
            heard = patiently(lambda: agent.get(agent_stream(address), params=params))
            for event in events_of(heard.text):
                if "id" in event:
                    since = int(event["id"])
                    intent_id = json.loads(event["data"])["intent_id"]
                    finish(agent, intent_id)
                    left.discard(intent_id)
    assert_done_once(client, ids)
    late = [got["body"]["intent_id"] for got in receiver.got[len(ids) :]]
    assert not set(late) & set(ids[INTENTS // 2 :]), "who listens is not pushed to"


def test_a_listening_agent_is_pushed_to_from_now_on_although_the_leader_dies(client, raw, pushed):
    made, receiver = pushed()
    address, key = made["agent_address"], key_of(client, made)
    url = f"/v1/service-accounts/{made['service_account_id']}"
    assert raw.patch(url, json={"delivery_mode": "stream"}).status_code == 200
    body = {"intent_type": "compliance.check.v1", "to_agent": address, "payload": {}}
    ids = [submit_until_acknowledged(client, body) for _ in range(INTENTS // 2)]
    wait_until(lambda: len(backlog(raw, address)) == len(ids), 20, "all wait in the stream")
    assert receiver.got == []

    node = cluster("kill-leader")
    changed = patiently(lambda: raw.patch(url, json={"delivery_mode": "http"}))
    assert changed.status_code == 200, changed.text
    ids += [submit_until_acknowledged(client, body) for _ in range(INTENTS // 2)]
    cluster("start", node)
    cluster("wait-healthy")

    def everything():
        return {got["body"]["intent_id"] for got in receiver.got} >= set(ids)

    wait_until(everything, 90, "each is pushed")
    assert all(got["signed"] and got["fresh"] for got in receiver.got)
    headers = {"x-api-key": key}
    with httpx.Client(base_url=setting("AXME_BASE_URL"), headers=headers, timeout=30) as agent:
        for intent_id in ids:
            finish(agent, intent_id)
    assert_done_once(client, ids)
