"""Bad input: each kind has the contract's status, code and shape, in the SDK's eyes too."""

import json
import uuid

import httpx
import pytest
from axme.exceptions import AxmeAuthError, AxmeHttpError, AxmeValidationError
from conftest import connect

UNKNOWN = "0190a000-0000-7000-8000-000000000000"


def intent(**changes):
    body = {
        "intent_type": "note.keep.v1",
        "to_agent": "e2e-refusals",
        "correlation_id": str(uuid.uuid4()),
        "payload": {},
    }
    body.update(changes)
    return {name: value for name, value in body.items() if value is not None}


def assert_refused(response, status, *codes):
    body = response.json()
    assert response.status_code == status, body
    assert body["ok"] is False
    assert body["error"]["code"] in codes, body
    assert body["error"]["message"] and isinstance(body["detail"], str)
    assert response.headers["x-request-id"]


def test_a_wrong_key(base_url):
    with connect(base_url, "axme_sa_nobody_0123456789abcdef") as stranger:
        with pytest.raises(AxmeAuthError) as error:
            stranger.get_intent(UNKNOWN)
    assert error.value.status_code == 401
    assert error.value.body["error"]["code"] == "invalid_platform_api_key"
    assert "expired" not in json.dumps(error.value.body)


def test_no_key(base_url):
    response = httpx.get(f"{base_url}/v1/intents/{UNKNOWN}")
    assert_refused(response, 401, "missing_platform_api_key")


def test_a_key_as_bearer(base_url, api_key):
    headers = {"authorization": f"Bearer {api_key}"}
    response = httpx.get(f"{base_url}/v1/intents", headers=headers)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", ["", "/events", "/events/stream?wait_seconds=1"])
@pytest.mark.parametrize("intent_id", [UNKNOWN, "no-uuid"])
def test_an_unknown_intent(raw, intent_id, path):
    assert_refused(raw.get(f"/v1/intents/{intent_id}{path}"), 404, "not_found")


def test_an_unknown_intent_in_the_sdk(client):
    for call in (
        lambda: client.get_intent(UNKNOWN),
        lambda: client.resolve_intent(UNKNOWN, {"status": "COMPLETED", "result": {}}),
        lambda: client.resume_intent(UNKNOWN, {"passed": True}),
    ):
        with pytest.raises(AxmeHttpError) as error:
            call()
        assert error.value.status_code == 404


def test_an_unknown_agent(raw, workspace):
    path = workspace["prefix"].removeprefix("agent://")
    response = raw.get(f"/v1/agents/{path}/nobody-{uuid.uuid4().hex[:8]}")
    assert_refused(response, 404, "agent_not_found")


@pytest.mark.parametrize(
    "changes",
    [
        {"intent_type": "NoDots"},
        {"intent_type": "note.keep"},
        {"intent_type": None},
        {"intent_type": 7},
        {"to_agent": None},
        {"to_agent": ["a"]},
        {"correlation_id": "no-uuid"},
        {"payload": [1]},
        {"payload": "text"},
        {"deadline_at": "tomorrow"},
        {"deadline_at": "2001-01-01T00:00:00Z"},
    ],
)
def test_an_intent_that_breaks_the_contract(raw, changes):
    response = raw.post("/v1/intents", json=intent(**changes))
    assert_refused(response, 422, "validation_error", "invalid_agent_address", "schema_invalid")


def test_the_sdk_sees_a_validation_error(client):
    with pytest.raises(AxmeValidationError) as error:
        client.send_intent(intent(intent_type="NoDots", correlation_id=None))
    assert error.value.status_code == 422


@pytest.mark.parametrize("content", [b"{", b"", b"[]", b"\xff\xfe", b'"text"', b"null"])
def test_a_body_that_is_no_json_object(raw, content):
    headers = {"content-type": "application/json"}
    response = raw.post("/v1/intents", content=content, headers=headers)
    assert response.status_code in (400, 422), response.text
    assert_refused(response, response.status_code, response.json()["error"]["code"])


def test_a_body_that_is_too_large(raw):
    response = raw.post("/v1/intents", json=intent(payload={"data": "x" * 140_000}))
    assert_refused(response, 413, "payload_too_large")
    fits = raw.post("/v1/intents", json=intent(payload={"data": "x" * 125_000}))
    assert fits.status_code == 200, fits.text


@pytest.mark.parametrize(
    "resolution", [{}, {"status": "DELIVERED"}, {"status": "completed"}, {"status": 1}]
)
def test_a_resolution_that_is_none(raw, submit, address, resolution):
    intent_id = submit(address)
    response = raw.post(f"/v1/intents/{intent_id}/resolve", json=resolution)
    assert_refused(response, 422, "validation_error")
    assert raw.get(f"/v1/intents/{intent_id}").json()["status"] == "DELIVERED"


@pytest.mark.parametrize("since", ["-1", "x", "1.5"])
def test_a_position_that_is_none(raw, submit, address, since):
    response = raw.get(f"/v1/intents/{submit(address)}/events", params={"since": since})
    assert response.status_code in (400, 422), response.text


def test_unknown_keys_and_empty_strings_are_read_leniently(raw):
    body = intent(from_agent="agent://x/y", reply_to="", escalate_to="", colour="blue")
    response = raw.post("/v1/intents", json=body)
    assert response.status_code == 200, response.text
    shown = raw.get(f"/v1/intents/{response.json()['intent_id']}").json()["intent"]
    assert shown["from_agent"] != "agent://x/y", "the sender comes from the key"


def test_ids_of_a_request_come_back(raw):
    headers = {"x-request-id": "request-1", "x-trace-id": "trace-1"}
    for path in ("/health", "/v1/health", "/v1/capabilities", f"/v1/intents/{UNKNOWN}"):
        response = raw.get(path, headers=headers)
        assert response.headers["x-request-id"] == "request-1", path
        assert response.headers["x-trace-id"] == "trace-1", path
