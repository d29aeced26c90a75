"""Inboxes with the official SDK: threads, `reply_to`, what an owner does, and approvals."""

import threading
import uuid

import pytest
from axme import AxmeHttpError, AxmeValidationError
from conftest import backlog, connect, wait_until


@pytest.fixture
def owner():
    """An address nobody is registered for, as the conformance run uses them."""
    return f"agent://e2e-inbox/{uuid.uuid4().hex[:12]}"


def thread_of(client, owner, intent_id):
    """The thread about an intent, once it is in the inbox: from another shard that takes a moment."""

    def found():
        threads = client.list_inbox(owner_agent=owner)["threads"]
        return next((each for each in threads if each["thread_id"] == intent_id), None)

    return wait_until(found, 10, "the intent has a thread")


def types(thread):
    return [entry["event_type"] for entry in thread["timeline"]]


def test_the_conformance_order(client, raw, submit, owner):
    intent_id = submit(owner)
    thread_of(client, owner, intent_id)
    listed = client.list_inbox(owner_agent=owner)
    assert listed["ok"] is True
    thread = listed["threads"][0]
    assert thread["thread_id"] == thread["intent_id"] == intent_id
    assert (thread["status"], thread["owner_agent"], thread["to_agent"]) == ("pending", owner, owner)
    first = thread["timeline"][0]
    assert (first["event_type"], first["actor"]) == ("intent_received", "system")
    assert first["details"]["intent_type"] == "compliance.check.v1"
    assert client.get_inbox_thread(intent_id, owner_agent=owner)["thread"]["timeline"] == thread["timeline"]

    replied = client.reply_inbox_thread(intent_id, message="on it", owner_agent=owner)["thread"]
    assert replied["status"] == "active"
    assert replied["messages"][0]["content"] == "on it"
    changes = client.list_inbox_changes(owner_agent=owner, limit=50)
    assert changes["changes"][-1]["thread"]["thread_id"] == intent_id
    assert changes["next_cursor"] == changes["changes"][-1]["cursor"] and not changes["has_more"]

    delegate = f"{owner}-delegate"
    body = {"delegate_to": delegate, "note": "please"}
    assert client.delegate_inbox_thread(intent_id, body, owner_agent=owner)["ok"] is True
    assert client.list_inbox(owner_agent=owner)["threads"][0]["thread_id"] == intent_id
    # The intent goes with it: who works on it is another one now.
    transfer = client.list_intent_events(intent_id)["events"][-1]
    assert transfer["event_type"] == "intent.transfer" and transfer["actor"] == owner
    assert transfer["details"]["to_handler"] == delegate
    wait_until(lambda: intent_id in [it["intent_id"] for it in backlog(raw, delegate)], 10, "it is there")
    wait_until(lambda: backlog(raw, owner) == [], 10, "and not here any more")
    approved = client.approve_inbox_thread(intent_id, {"comment": "fine"}, owner_agent=owner)
    assert approved["thread"]["status"] == "done"
    body = {"mode": "self", "limit": 10}
    deleted = client.delete_inbox_messages(intent_id, body, owner_agent=owner)
    assert (deleted["mode"], deleted["deleted_count"]) == ("self", 1)
    assert deleted["message_ids"] == [replied["messages"][0]["message_id"]]
    assert types(deleted["thread"]) == [
        "intent_received", "reply_sent", "delegated", "approved", "messages_deleted",
    ]
    with pytest.raises(AxmeValidationError) as refused:
        client.reject_inbox_thread(intent_id, {}, owner_agent=owner)
    assert refused.value.status_code == 409
    theirs = thread_of(client, delegate, intent_id)
    assert theirs["timeline"][0]["details"]["delegated_by"] == owner
    after = client.list_inbox_changes(owner_agent=owner, cursor=changes["next_cursor"])
    assert [each["thread"]["thread_id"] for each in after["changes"]] == [intent_id]


def test_reply_to_has_the_outcome_when_resolve_answers(client, submit, address, owner):
    for _ in range(5):
        intent_id = submit(address, reply_to=owner)
        resolved = client.resolve_intent(intent_id, {"status": "COMPLETED", "result": {"n": 1}})
        delivery = resolved["completion_delivery"]
        assert delivery["delivered"] is True
        assert (delivery["reply_to"], delivery["thread_id"]) == (owner, intent_id)
        assert delivery["completion"] == {
            "type": "intent.completed", "intent_id": intent_id, "status": "COMPLETED",
        }
        thread = client.list_inbox(owner_agent=owner)["threads"][0]
        assert thread["thread_id"] == intent_id and thread["status"] == "done"
        assert thread["from_agent"] == "agent://axme.intent-protocol"
        entry = thread["timeline"][-1]
        assert entry["event_type"] == "intent_completion_delivered"
        assert entry["details"]["result"] == {"n": 1} and entry["details"]["status"] == "COMPLETED"


def test_every_end_reaches_reply_to(client, submit, address, owner):
    by_agent = submit(address, reply_to=owner)
    client.resume_intent(by_agent, {"action": "fail", "reason": "no"})
    canceled = submit(address, reply_to=owner)
    client.resolve_intent(canceled, {"status": "CANCELED", "reason": "not needed"})
    ends = {by_agent: "FAILED", canceled: "CANCELED"}
    for intent_id, status in ends.items():
        entry = thread_of(client, owner, intent_id)["timeline"][-1]
        assert entry["details"]["status"] == status


def test_a_reply_comes_to_the_sender(client, submit, owner, raw):
    intent_id = submit(owner)
    thread_of(client, owner, intent_id)
    client.reply_inbox_thread(intent_id, message="why?", owner_agent=owner)
    sender = client.get_intent(intent_id)["from_agent"]
    thread_of(client, sender, intent_id)
    thread = client.get_inbox_thread(intent_id, owner_agent=sender)["thread"]
    assert types(thread) == ["intent_received", "reply_received"]
    assert [(each["role"], each["content"]) for each in thread["messages"]] == [("other", "why?")]
    client.reply_inbox_thread(intent_id, message="because", owner_agent=sender)

    def answered():
        thread = client.get_inbox_thread(intent_id, owner_agent=owner)["thread"]
        return [each["content"] for each in thread["messages"]] == ["why?", "because"]

    wait_until(answered, 10, "the answer comes back")
    body = {"mode": "both", "limit": 2}
    assert client.delete_inbox_messages(intent_id, body, owner_agent=owner)["deleted_count"] == 2
    gone = lambda: not client.get_inbox_thread(intent_id, owner_agent=sender)["thread"]["messages"]
    wait_until(gone, 10, "they are gone on both sides")
    read = raw.post(f"/v1/inbox/{intent_id}/read", params={"owner_agent": sender})
    assert read.status_code == 200 and read.json()["thread"]["read"] is True


def test_of_many_who_decide_one_gets_through(client, submit, owner, base_url, api_key):
    intent_id = submit(owner, human_task={"title": "Approve"})
    assert client.get_intent(intent_id)["status"] == "WAITING"
    thread_of(client, owner, intent_id)
    outcomes, start = [], threading.Barrier(6)

    def decide(number):
        with connect(base_url, api_key) as decider:
            decide = decider.approve_inbox_thread if number % 3 else decider.reject_inbox_thread
            start.wait()
            try:
                decide(intent_id, {"comment": f"by {number}"}, owner_agent=owner)
                outcomes.append(200)
            except AxmeHttpError as error:
                outcomes.append(error.status_code)

    deciders = [threading.Thread(target=decide, args=(number,), daemon=True) for number in range(6)]
    [each.start() for each in deciders]
    [each.join() for each in deciders]
    assert sorted(outcomes) == [200, 409, 409, 409, 409, 409]
    thread = client.get_inbox_thread(intent_id, owner_agent=owner)["thread"]
    status = {"approve": "COMPLETED", "reject": "FAILED"}[thread["decision"]]
    assert client.get_intent(intent_id)["status"] == status


def test_idempotency_keys_make_one_action(client, submit, owner):
    intent_id = submit(owner)
    thread_of(client, owner, intent_id)
    key = uuid.uuid4().hex
    send = lambda message: client.reply_inbox_thread(
        intent_id, message=message, owner_agent=owner, idempotency_key=key
    )
    first, again = send("once"), send("once")
    assert first["thread"]["messages"] == again["thread"]["messages"]
    assert len(again["thread"]["messages"]) == 1
    with pytest.raises(AxmeValidationError) as refused:
        send("twice")
    assert refused.value.status_code == 409


def test_inboxes_are_not_open_to_others(client, submit, owner, raw):
    intent_id = submit(owner)
    thread_of(client, owner, intent_id)
    elsewhere = f"{owner}-else"
    for call in [
        lambda: client.get_inbox_thread(intent_id, owner_agent=elsewhere),
        lambda: client.get_inbox_thread(str(uuid.uuid4()), owner_agent=owner),
        lambda: client.reply_inbox_thread("nonsense", message="m", owner_agent=owner),
    ]:
        with pytest.raises(AxmeHttpError) as refused:
            call()
        assert refused.value.status_code == 404
    client.reply_inbox_thread(intent_id, message="m", owner_agent=owner)
    cursor = client.list_inbox_changes(owner_agent=owner)["next_cursor"]
    for foreign, text in [(elsewhere, cursor), (owner, "nonsense")]:
        with pytest.raises(AxmeValidationError) as refused:
            client.list_inbox_changes(owner_agent=foreign, cursor=text)
        assert refused.value.status_code == 422
    both = raw.get("/v1/inbox", params={"owner_agent": owner}, headers={"x-owner-agent": elsewhere})
    assert both.status_code == 400


def test_changes_are_read_in_pages(client, submit, owner):
    ids = [submit(owner) for _ in range(5)]
    for intent_id in ids:
        thread_of(client, owner, intent_id)
    seen, cursor = [], None
    while True:
        page = client.list_inbox_changes(owner_agent=owner, cursor=cursor, limit=2)
        seen += [each["thread"]["thread_id"] for each in page["changes"]]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert sorted(seen) == sorted(ids)
    assert client.list_inbox_changes(owner_agent=owner, cursor=cursor)["changes"] == []


def test_approvals(client, submit, owner):
    approval_id = str(uuid.uuid4())
    approve = lambda each: client.decide_approval(each, decision="approve", comment="ok")["approval"]
    first = approve(approval_id)
    assert (first["approval_id"], first["decision"], first["comment"]) == (approval_id, "approve", "ok")
    assert approve(approval_id) == first
    with pytest.raises(AxmeValidationError) as refused:
        client.decide_approval(approval_id, decision="reject")
    assert refused.value.status_code == 409
    with pytest.raises(AxmeValidationError) as refused:
        approve("nonsense")
    assert refused.value.status_code == 422

    intent_id = submit(owner, human_task={"title": "Approve"})
    decided = client.decide_approval(intent_id, decision="reject")["approval"]
    assert decided["decision"] == "reject"
    assert client.get_intent(intent_id)["status"] == "FAILED"
