"""Event streams byte by byte, and their rhythm: clients match both literally."""

import json
import threading
import time

import pytest
from conftest import agent_stream, backlog, events_of, wait_until


def stream(raw, path, **parameters):
    began = time.monotonic()
    response = raw.get(path, params=parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return events_of(response.text), time.monotonic() - began


def test_framing_of_an_intents_stream(raw, submit, address):
    intent_id = submit(address)
    path = f"/v1/intents/{intent_id}/events/stream"
    events, seconds = stream(raw, path, since=0, wait_seconds=15)
    assert seconds < 2, "what is there comes at once, and the response ends soon after"
    assert [event.get("id") for event in events] == ["1", "2", "3", None]
    listed = raw.get(f"/v1/intents/{intent_id}/events").json()["events"]
    assert [json.loads(event["data"]) for event in events[:-1]] == listed
    assert [event["event"] for event in events[:-1]] == [each["event_type"] for each in listed]
    assert events[-1]["event"] == "stream.timeout"
    assert json.loads(events[-1]["data"]) == {"ok": True, "next_seq": 3}


def test_nothing_new_waits_and_then_ends(raw, submit, address):
    path = f"/v1/intents/{submit(address)}/events/stream"
    events, seconds = stream(raw, path, since=3, wait_seconds=2)
    assert [event["event"] for event in events] == ["stream.timeout"]
    assert json.loads(events[0]["data"]) == {"ok": True, "next_seq": 3}
    assert 1.5 < seconds < 4


def test_a_position_beyond_the_end_waits_and_keeps_it(raw, submit, address):
    path = f"/v1/intents/{submit(address)}/events/stream"
    events, _ = stream(raw, path, since=50, wait_seconds=1)
    assert [event["event"] for event in events] == ["stream.timeout"]


def test_a_waiting_stream_ends_with_the_terminal_event(raw, client, submit, address):
    intent_id = submit(address)
    path = f"/v1/intents/{intent_id}/events/stream"
    resolving = threading.Timer(
        0.5, client.resolve_intent, (intent_id, {"status": "COMPLETED", "result": {}})
    )
    resolving.start()
    events, seconds = stream(raw, path, since=3, wait_seconds=15)
    resolving.join()
    assert "intent.completed" in [event["event"] for event in events]
    assert seconds < 3


def test_a_live_stream_goes_on_until_the_end(raw, client, submit, address):
    intent_id = submit(address)
    path = f"/v1/intents/{intent_id}/events/stream"
    resolving = threading.Timer(
        1.5, client.resolve_intent, (intent_id, {"status": "FAILED", "error": {"code": "x"}})
    )
    resolving.start()
    events, seconds = stream(raw, path)
    resolving.join()
    assert seconds >= 1.4, "it stays open while nothing happens"
    assert [int(event["id"]) for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["event"] == "intent.failed"


def test_a_browser_resumes_with_last_event_id(raw, client, submit, address):
    intent_id = submit(address)
    client.resolve_intent(intent_id, {"status": "COMPLETED", "result": {}})
    path = f"/v1/intents/{intent_id}/events/stream"
    whole, _ = stream(raw, path)
    response = raw.get(path, headers={"last-event-id": "2"})
    assert events_of(response.text) == whole[2:]


@pytest.mark.parametrize(
    ("headers", "inclusive"),
    [
        ({"user-agent": "Go-http-client/1.1"}, True),
        ({"user-agent": "Go-http-client/1.1", "x-axme-client": "axme-cli/0.2.5"}, True),
        ({"user-agent": "Go-http-client/1.1", "x-axme-client": "axme-sdk-go/0.2.0"}, False),
        ({"user-agent": "python-httpx/0.28"}, False),
    ],
)
def test_the_official_cli_means_since_inclusively(raw, submit, address, headers, inclusive):
    path = f"/v1/intents/{submit(address)}/events/stream"
    response = raw.get(path, params={"since": 2, "wait_seconds": 1}, headers=headers)
    events = events_of(response.text)
    assert [event.get("id") for event in events] == (["2", "3", None] if inclusive else ["3", None])
    assert json.loads(events[-1]["data"])["next_seq"] == (4 if inclusive else 3)


def test_an_agents_stream(raw, submit, address):
    ids = {submit(address), submit(address)}
    wait_until(lambda: len(backlog(raw, address)) == 2, 10, "both are delivered")
    events, seconds = stream(raw, agent_stream(address), since=0, wait_seconds=15)
    assert seconds < 2
    deliveries = [json.loads(event["data"]) for event in events[:-1]]
    assert {delivery["intent_id"] for delivery in deliveries} == ids
    assert events[-1]["event"] == "stream.timeout"
    assert all(event["event"].startswith("intent.") for event in events[:-1])
    assert [int(event["id"]) for event in events[:-1]] == [each["seq"] for each in deliveries]
    assert deliveries[1]["seq"] >= deliveries[0]["seq"] + 2, "cursors leave room for since = id + 1"
    for delivery in deliveries:
        assert delivery["status"] == "DELIVERED"
        assert delivery["to_agent"] == address
        assert delivery["intent_type"] == "compliance.check.v1"
        assert delivery["correlation_id"] and delivery["from_agent"] and delivery["at"]
    for since in (deliveries[0]["seq"], deliveries[0]["seq"] + 1):
        assert backlog(raw, address, since) == deliveries[1:]


@pytest.mark.parametrize("waiting", [0, 1])
def test_a_one_second_wait_of_an_agent_ends_at_once(raw, submit, address, waiting):
    for _ in range(waiting):
        submit(address)
    wait_until(lambda: len(backlog(raw, address)) == waiting, 10, "it is delivered")
    events, seconds = stream(raw, agent_stream(address), since=0, wait_seconds=1)
    assert len(events) == waiting + 1
    assert seconds < 0.5


def test_a_waiting_agent_is_told_as_soon_as_there_is_something(raw, submit, address):
    submitting = threading.Timer(0.5, submit, (address,))
    submitting.start()
    events, seconds = stream(raw, agent_stream(address), since=0, wait_seconds=15)
    submitting.join()
    assert [event["event"] for event in events] == ["intent.delivered", "stream.timeout"]
    assert seconds < 2


@pytest.mark.parametrize("form", ["{path}", "{name}", "agent://{path}", "agent:/{path}"])
def test_an_address_in_a_path_is_read_in_every_form(raw, submit, address, form):
    intent_id = submit(address)
    path = address.removeprefix("agent://")
    form = form.format(path=path, name=path.rsplit("/", 1)[1])
    events, _ = stream(raw, f"/v1/agents/{form}/intents/stream", since=0, wait_seconds=15)
    assert json.loads(events[0]["data"])["intent_id"] == intent_id


def test_an_encoded_address_in_a_path(raw, submit, address):
    submit(address)
    encoded = address.replace(":", "%3A").replace("/", "%2F")
    events, _ = stream(raw, f"/v1/agents/{encoded}/intents/stream", since=0, wait_seconds=15)
    assert len(events) == 2


def test_an_answered_delivery_is_gone(raw, client, submit, address):
    intent_id = submit(address)
    wait_until(lambda: backlog(raw, address), 10, "it is delivered")
    client.resume_intent(intent_id, {"passed": True})
    wait_until(lambda: not backlog(raw, address), 10, "it is withdrawn")


def test_clients_that_hang_up_leave_nothing_behind(raw, submit, address):
    intent_id = submit(address)
    for _ in range(50):
        with raw.stream("GET", f"/v1/intents/{intent_id}/events/stream") as response:
            assert next(response.iter_lines())
    assert raw.get("/health").status_code == 200
    assert raw.get(f"/v1/intents/{intent_id}").json()["status"] == "DELIVERED"
