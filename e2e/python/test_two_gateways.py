"""Any gateway serves any request: what one wrote, the other one reads."""

import os
import uuid

import pytest
from conftest import connect, setting, wait_until
from axme.exceptions import AxmeAuthError

pytestmark = pytest.mark.two_gateways


def test_reads_after_a_write_see_it_on_the_other_gateway(client, other_client, submit, address):
    for _ in range(50):
        intent_id = submit(address)
        assert other_client.get_intent(intent_id)["status"] == "DELIVERED"
        other_client.resolve_intent(intent_id, {"status": "COMPLETED", "result": {}})
        assert client.get_intent(intent_id)["status"] == "COMPLETED"


def test_a_repeat_at_the_other_gateway_is_the_same_intent(client, other_client, address):
    body = {"intent_type": "note.keep.v1", "to_agent": address, "payload": {}}
    for _ in range(20):
        names = {"correlation_id": str(uuid.uuid4()), "idempotency_key": uuid.uuid4().hex}
        first, again = client.create_intent(body, **names), other_client.create_intent(body, **names)
        assert first["intent_id"] == again["intent_id"]


def test_a_stream_resumes_at_the_other_gateway(client, other_client, submit, address):
    intent_id = submit(address)
    seen = []
    for event in client.observe(intent_id, timeout_seconds=20):
        seen.append(event)
        if len(seen) == 2:
            break
    client.resolve_intent(intent_id, {"status": "COMPLETED", "result": {}})
    seen.extend(other_client.observe(intent_id, since=seen[-1]["seq"], timeout_seconds=20))
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert seen == client.list_intent_events(intent_id)["events"]


def test_a_cursor_is_worth_the_same_at_both(client, other_client, submit, address):
    ids = {submit(address) for _ in range(20)}
    seen, cursor = [], 0
    while len(seen) < len(ids):
        listener = (client, other_client)[len(seen) % 2]
        delivery = next(listener.listen(address, since=cursor, timeout_seconds=20))
        seen.append(delivery["intent_id"])
        cursor = delivery["seq"]
    assert len(seen) == len(set(seen)) and set(seen) == ids


def test_an_agent_and_an_initiator_at_different_gateways(client, submit, agent, address):
    agent(address, base_url=setting("AXME_BASE_URL_2"))
    for _ in range(20):
        assert client.wait_for(submit(address), timeout_seconds=30)["status"] == "COMPLETED"


def test_keys_are_known_and_forgotten_everywhere(client, workspace):
    other_url = setting("AXME_BASE_URL_2")
    ids = {"org_id": workspace["org_id"], "workspace_id": workspace["workspace_id"]}
    name = f"svc-{uuid.uuid4().hex[:10]}"
    account = client.create_service_account({**ids, "name": name})["service_account"]
    key = client.create_service_account_key(account["service_account_id"], {})["key"]
    with connect(other_url, key["token"]) as worker:
        worker.list_agents(org_id="", workspace_id="")
        client.revoke_service_account_key(account["service_account_id"], key["key_id"])

        def refused():
            try:
                worker.list_agents(org_id="", workspace_id="")
            except AxmeAuthError as error:
                return error.status_code == 401
            return False

        wait_until(refused, 2, "a key revoked at one gateway is refused by the other")


def test_the_second_gateway_is_another_one():
    assert os.environ["AXME_BASE_URL"] != setting("AXME_BASE_URL_2")
