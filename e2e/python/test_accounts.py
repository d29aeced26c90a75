"""Service accounts, their keys and their agent addresses."""

import uuid

import pytest
from axme.exceptions import AxmeAuthError, AxmeValidationError
from conftest import connect, wait_until


def make(client, workspace, name=None):
    ids = {"org_id": workspace["org_id"], "workspace_id": workspace["workspace_id"]}
    name = name or f"svc-{uuid.uuid4().hex[:10]}"
    created = client.create_service_account({**ids, "name": name, "description": "made by e2e"})
    return created["service_account"]


def is_refused(base_url, token):
    with connect(base_url, token) as client:
        try:
            client.get_capabilities()
            client.list_agents(org_id="", workspace_id="")
        except AxmeAuthError as error:
            assert error.status_code == 401
            return True
    return False


def test_a_key_lives_from_its_making_to_its_revocation(client, base_url, workspace):
    account = make(client, workspace)
    key = client.create_service_account_key(account["service_account_id"], {})["key"]
    assert key["status"] == "active" and len(key["token"]) >= 12
    assert key["key_hint"] and key["token"] != key["key_hint"]
    with connect(base_url, key["token"]) as worker:
        intent_id = worker.send_intent(
            {"intent_type": "note.keep.v1", "to_agent": account["agent_address"], "payload": {}}
        )
        # The sender is who the key belongs to.
        assert worker.get_intent(intent_id)["from_agent"] == account["agent_address"]
        delivery = next(worker.listen(account["agent_address"], timeout_seconds=20))
        assert delivery["intent_id"] == intent_id
        worker.resume_intent(intent_id, {"done": True})
    revoked = client.revoke_service_account_key(account["service_account_id"], key["key_id"])
    assert revoked["key"]["status"] == "revoked" and revoked["key"]["revoked_at"]
    assert is_refused(base_url, key["token"]), "right after the answer, on the gateway that gave it"
    again = client.revoke_service_account_key(account["service_account_id"], key["key_id"])
    assert again["key"]["revoked_at"] == revoked["key"]["revoked_at"]


def test_other_keys_of_the_account_go_on(client, base_url, workspace):
    account = make(client, workspace)
    keys = [
        client.create_service_account_key(account["service_account_id"], {})["key"]
        for _ in range(2)
    ]
    client.revoke_service_account_key(account["service_account_id"], keys[0]["key_id"])
    assert is_refused(base_url, keys[0]["token"])
    assert not is_refused(base_url, keys[1]["token"])


def test_an_account_is_shown_without_its_secrets(client, workspace):
    account = make(client, workspace)
    key = client.create_service_account_key(account["service_account_id"], {})["key"]
    shown = client.get_service_account(account["service_account_id"])
    assert shown["service_account"]["name"] == account["name"]
    listed = client.list_service_accounts(
        org_id=workspace["org_id"], workspace_id=workspace["workspace_id"]
    )
    ids = [each["service_account_id"] for each in listed["service_accounts"]]
    assert account["service_account_id"] in ids
    assert key["token"] not in str(shown) + str(listed)


def test_a_name_is_taken_once(client, workspace):
    account = make(client, workspace)
    with pytest.raises(AxmeValidationError) as error:
        make(client, workspace, account["name"])
    assert error.value.status_code == 409
    # So that a client which only wanted it to exist can go on.
    existing = error.value.body["service_account"]
    assert existing["service_account_id"] == account["service_account_id"]


def test_the_same_key_makes_one_account(client, workspace):
    body = {
        "org_id": workspace["org_id"],
        "workspace_id": workspace["workspace_id"],
        "name": f"svc-{uuid.uuid4().hex[:10]}",
    }
    key = uuid.uuid4().hex
    first = client.create_service_account(body, idempotency_key=key)
    again = client.create_service_account(body, idempotency_key=key)
    assert first["service_account"] == again["service_account"]


def test_an_account_is_an_agent(client, workspace):
    account = make(client, workspace)
    address = account["agent_address"]
    assert address == f"{workspace['prefix']}/{account['name']}"
    agent = client.get_agent(address)["agent"]
    assert agent["address"] == address and agent["status"] == "active"
    assert agent["service_account_id"] == account["service_account_id"]
    wait_until(
        lambda: address
        in [
            each["address"]
            for each in client.list_agents(
                org_id=workspace["org_id"], workspace_id=workspace["workspace_id"], limit=1000
            )["agents"]
        ],
        2,
        "the agent is listed",
    )


def test_capabilities_and_health(client, raw):
    assert client.get_capabilities()["ok"] is True
    assert client.health()["ok"] is True
    assert raw.get("/v1/health").json()["ok"] is True
