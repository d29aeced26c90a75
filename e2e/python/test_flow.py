"""The product page's program: an agent and an initiator who never meet."""

import threading
import time

from axme import AxmeClient
from conftest import backlog, wait_until


def answer_one(client: AxmeClient, address, answer):
    for delivery in client.listen(address, timeout_seconds=30):
        intent = client.get_intent(delivery["intent_id"])
        client.resume_intent(delivery["intent_id"], answer(intent["payload"]))
        return delivery


def test_an_agent_answers_an_initiator(client, submit, agent, address):
    agent(address)
    intent_id = submit(address, {"amount": 250})
    outcome = client.wait_for(intent_id, timeout_seconds=30)
    assert outcome["event_type"] == "intent.completed"
    assert outcome["status"] == "COMPLETED"
    assert outcome["details"]["result"] == {"passed": True, "reason": "within the limit"}

    final = client.get_intent(intent_id)
    assert final["status"] == final["lifecycle_status"] == "COMPLETED"
    assert final["payload"] == final["intent"]["payload"] == {"amount": 250}
    assert final["intent"]["result"] == {"passed": True, "reason": "within the limit"}
    assert final["intent"]["to_agent"] == address


def test_the_agent_that_is_on_the_product_page(client, workspace):
    address = f"{workspace['prefix']}/compliance-checker"
    intent = {"intent_type": "compliance.check.v1", "to_agent": address, "payload": {"amount": 9}}
    created = client.create_intent(intent, correlation_id="6f0c2b1e-6c1c-4d6e-9d5e-0a2f3b4c5d6e")
    assert created["status"] == "DELIVERED"
    delivery = answer_one(client, address, lambda payload: {"seen": payload["amount"]})
    assert delivery["intent_id"] == created["intent_id"]
    outcome = client.wait_for(created["intent_id"], timeout_seconds=30)
    assert outcome["details"]["result"] == {"seen": 9}


def test_the_initiator_observes_every_event_once_and_in_order(client, submit, agent, address):
    intent_id = submit(address)
    observed = []
    watching = threading.Thread(
        target=lambda: observed.extend(client.observe(intent_id, timeout_seconds=30)),
        daemon=True,
    )
    watching.start()
    agent(address)
    watching.join(timeout=40)
    assert not watching.is_alive()
    assert [event["seq"] for event in observed] == list(range(1, len(observed) + 1))
    types = [event["event_type"] for event in observed]
    assert types[:3] == ["intent.created", "intent.submitted", "intent.delivered"]
    assert types[-1] == "intent.completed"
    assert observed == client.list_intent_events(intent_id)["events"]


def test_an_agent_can_say_no(client, submit, address):
    intent_id = submit(address)
    answer_one(client, address, lambda _: {"action": "fail", "reason": "no such account"})
    outcome = client.wait_for(intent_id, timeout_seconds=30)
    assert (outcome["event_type"], outcome["status"]) == ("intent.failed", "FAILED")
    assert client.get_intent(intent_id)["status"] == "FAILED"


def test_a_crashed_agent_loses_nothing(client, submit, agent, address):
    first = agent(address, mode="hang")
    intent_id = submit(address)
    assert first.stdout.readline().split()[0] == intent_id
    first.kill()
    first.wait()
    second = agent(address)
    assert second.stdout.readline().split()[0] == intent_id
    assert client.wait_for(intent_id, timeout_seconds=30)["status"] == "COMPLETED"


def test_a_cursor_goes_on_where_it_was(client, submit, agent, address):
    ids = [submit(address) for _ in range(5)]
    first = agent(address)
    lines = [first.stdout.readline().split() for _ in range(2)]
    first.kill()
    # Intents reach a mailbox from many shards: their order is the mailbox's own.
    left = set(ids) - {intent_id for intent_id, _ in lines}
    assert len(left) == 3
    second = agent(address, since=int(lines[1][1]))
    assert {second.stdout.readline().split()[0] for _ in range(3)} == left
    for intent_id in left:
        assert client.wait_for(intent_id, timeout_seconds=30)["status"] == "COMPLETED"


def test_a_bare_name_is_an_agent_of_the_workspace(client, submit, address):
    intent_id = submit(address.rsplit("/", 1)[1])
    assert client.get_intent(intent_id)["to_agent"] == address
    delivery = answer_one(client, address, lambda _: {"ok": True})
    assert delivery["intent_id"] == intent_id


def test_an_ended_intent_is_not_delivered_any_more(submit, client, raw, address):
    ended, waiting = submit(address), submit(address)
    pending = lambda: {each["intent_id"] for each in backlog(raw, address)}
    wait_until(lambda: pending() == {ended, waiting}, 10, "both are delivered")
    client.resolve_intent(ended, {"status": "CANCELED", "reason": "not needed"})
    # Between shards this takes a moment; a delivery that is out cannot be called back.
    wait_until(lambda: pending() == {waiting}, 10, "the ended one is withdrawn")


def test_a_deadline_ends_an_intent_and_not_early(client, submit, address):
    deadline = time.time() + 2
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(deadline))
    text += f".{int(deadline % 1 * 1000):03d}Z"
    intent_id = submit(address, deadline_at=text)
    outcome = client.wait_for(intent_id, timeout_seconds=20)
    assert time.time() >= deadline - 0.001
    assert (outcome["event_type"], outcome["status"]) == ("intent.timed_out", "TIMED_OUT")
    assert client.get_intent(intent_id)["status"] == "TIMED_OUT"
