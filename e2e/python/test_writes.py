"""Writes: repeated ones, second ones, and what is read afterwards."""

import uuid

import pytest
from axme.exceptions import AxmeValidationError


def body(address, **extra):
    return {"intent_type": "note.keep.v1", "to_agent": address, "payload": {"a": 1, "b": 2}, **extra}


def refused(status, code=None):
    def check(error):
        answer = error.value.body
        assert error.value.status_code == status
        assert answer["ok"] is False and isinstance(answer["detail"], str)
        assert code is None or answer["error"]["code"] == code

    return check


def test_the_same_key_and_body_is_the_same_intent(client, address):
    key, correlation_id = uuid.uuid4().hex, str(uuid.uuid4())
    first = client.create_intent(
        body(address), correlation_id=correlation_id, idempotency_key=key
    )
    # The order of keys is not part of a JSON object.
    reordered = dict(reversed(body(address, payload={"b": 2, "a": 1}).items()))
    again = client.create_intent(reordered, correlation_id=correlation_id, idempotency_key=key)
    assert again["intent_id"] == first["intent_id"]
    assert len(client.list_intent_events(first["intent_id"])["events"]) == 3


def test_the_same_key_with_another_body_is_refused(client, address):
    key, correlation_id = uuid.uuid4().hex, str(uuid.uuid4())
    client.create_intent(body(address), correlation_id=correlation_id, idempotency_key=key)
    with pytest.raises(AxmeValidationError) as error:
        client.create_intent(
            body(address, payload={"a": 2}), correlation_id=correlation_id, idempotency_key=key
        )
    refused(409, "idempotency_conflict")(error)
    assert error.value.body["detail"] == "idempotency key reused with different payload"


def test_without_a_key_each_submit_is_an_intent(client, address):
    correlation_id = str(uuid.uuid4())
    ids = {client.send_intent(body(address), correlation_id=correlation_id) for _ in range(3)}
    assert len(ids) == 3


def test_a_resume_with_the_same_key_is_answered_again(client, submit, address):
    intent_id, key = submit(address), uuid.uuid4().hex
    first = client.resume_intent(intent_id, {"passed": True}, idempotency_key=key)
    again = client.resume_intent(intent_id, {"passed": True}, idempotency_key=key)
    assert first["event"] == again["event"]
    with pytest.raises(AxmeValidationError) as error:
        client.resume_intent(intent_id, {"passed": False}, idempotency_key=key)
    refused(409)(error)


def test_events_after_a_position(client, submit, address):
    intent_id = submit(address)
    client.resolve_intent(intent_id, {"status": "COMPLETED", "result": {"n": 1}})
    events = client.list_intent_events(intent_id)["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["intent_id"] == intent_id for event in events)
    for since in range(len(events) + 3):
        after = client.list_intent_events(intent_id, since=since)["events"]
        assert after == events[since:]


@pytest.mark.parametrize(
    ("status", "event_type", "field", "value"),
    [
        ("COMPLETED", "intent.completed", "result", {"total": 7}),
        ("FAILED", "intent.failed", "error", {"code": "no_funds", "message": "no funds"}),
        ("CANCELED", "intent.canceled", "reason", "changed our mind"),
    ],
)
def test_resolve_ends_an_intent_right_after_it_was_made(
    client, submit, address, status, event_type, field, value
):
    intent_id = submit(address)
    answer = client.resolve_intent(intent_id, {"status": status, field: value})
    assert answer["ok"] is True and answer["intent"]["status"] == status
    assert (answer["event"]["event_type"], answer["event"]["status"]) == (event_type, status)
    assert answer["event"]["details"][field] == value
    assert answer["completion_delivery"] == {"delivered": False, "reason": "reply_to_not_set"}
    # Whoever reads after the write sees it.
    assert client.get_intent(intent_id)["status"] == status
    assert client.list_intent_events(intent_id)["events"][-1] == answer["event"]


def test_a_terminal_status_is_final(client, submit, address):
    intent_id = submit(address)
    client.resolve_intent(intent_id, {"status": "COMPLETED", "result": {}})
    events = client.list_intent_events(intent_id)["events"]
    for write in (
        lambda: client.resolve_intent(intent_id, {"status": "CANCELED", "reason": "late"}),
        lambda: client.resolve_intent(intent_id, {"status": "COMPLETED", "result": {}}),
        lambda: client.resume_intent(intent_id, {"passed": True}),
    ):
        with pytest.raises(AxmeValidationError) as error:
            write()
        refused(409)(error)
    assert client.list_intent_events(intent_id)["events"] == events


def test_a_control_resume_does_not_end_an_intent(client, submit, address):
    intent_id = submit(address)
    answer = client.resume_intent(intent_id, {"reason": "go on"})
    assert answer["applied"] is True
    assert client.get_intent(intent_id)["status"] not in {"COMPLETED", "FAILED"}


def test_intents_are_listed_newest_first(raw, submit, address):
    ids = [submit(address) for _ in range(3)]
    listed = raw.get("/v1/intents", params={"to_agent": address, "limit": 50}).json()["intents"]
    assert [intent["intent_id"] for intent in listed] == ids[::-1]
    assert {intent["status"] for intent in listed} == {"DELIVERED"}
    none = raw.get("/v1/intents", params={"to_agent": address, "status": "COMPLETED"}).json()
    assert none["intents"] == []
