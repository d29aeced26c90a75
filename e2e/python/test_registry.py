"""Users, invites, media and semantic schemas, as the official SDK and the conformance checks use them."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from axme.exceptions import AxmeValidationError
from conftest import connect

OWNER = "agent://conformance/owner"


def some_nick(prefix="e2e"):
    return f"@{prefix}.{uuid.uuid4().hex[:12]}"


def status_of(call, *arguments, **named):
    with pytest.raises(AxmeValidationError) as error:
        call(*arguments, **named)
    return error.value.status_code


def is_uuid(text):
    return str(uuid.UUID(text)) == text


def test_capabilities_name_what_there_is(client):
    told = client.get_capabilities()
    assert told["capabilities"] and all(3 <= len(name) <= 120 for name in told["capabilities"])
    assert told["supported_intent_types"]
    for name in ["intent.submit", "user.nick.register", "invite.accept", "media.upload", "schema.manage"]:
        assert name in told["capabilities"]


def test_a_nick_is_checked_registered_renamed_and_described(client):
    nick, other = some_nick(), some_nick("Renamed")
    free = client.check_nick(nick)
    assert free["nick"] == nick and free["available"] is True
    assert free["normalized_nick"] == nick[1:].lower()
    assert free["public_address"] == f"{free['normalized_nick']}@ax"
    user = client.register_nick({"nick": nick, "display_name": "E2E"}, idempotency_key=uuid.uuid4().hex)
    assert user["nick"] == nick and is_uuid(user["user_id"])
    assert user["owner_agent"] == f"agent://user/{user['user_id']}"
    assert client.check_nick(nick.upper())["available"] is False
    assert status_of(client.register_nick, {"nick": nick.upper()}) == 409
    renamed = client.rename_nick({"owner_agent": user["owner_agent"], "nick": other})
    assert renamed["nick"] == other and renamed["renamed_at"]
    assert client.check_nick(nick)["available"] is True
    update = {"owner_agent": user["owner_agent"], "email": "e2e@example.com", "phone": "+49 30 1"}
    profile = client.update_user_profile(update)
    assert profile == client.get_user_profile(user["owner_agent"])
    assert (profile["nick"], profile["email"], profile["display_name"]) == (other, "e2e@example.com", "E2E")


def test_many_who_want_one_nick_leave_one_user(client, base_url, api_key):
    nick = some_nick("wanted")

    def register(_):
        with connect(base_url, api_key) as mine:
            try:
                return mine.register_nick({"nick": nick})["owner_agent"]
            except AxmeValidationError as error:
                assert error.status_code == 409
                return None

    with ThreadPoolExecutor(6) as pool:
        winners = [owner for owner in pool.map(register, range(6)) if owner]
    assert len(winners) == 1
    assert client.get_user_profile(winners[0])["nick"] == nick


def test_an_invite_is_accepted_once(client):
    invite = client.create_invite(
        {"owner_agent": OWNER, "recipient_hint": "Partner A", "ttl_seconds": 3600},
        idempotency_key=uuid.uuid4().hex,
    )
    assert 12 <= len(invite["token"]) <= 64 and invite["invite_url"].startswith("http")
    assert invite["owner_agent"] == OWNER and invite["status"] == "pending"
    shown = client.get_invite(invite["token"])
    assert (shown["token"], shown["status"]) == (invite["token"], "pending")
    nick = some_nick("Invite.User")
    key = uuid.uuid4().hex
    accepted = client.accept_invite(invite["token"], {"nick": nick, "display_name": "Invited"}, idempotency_key=key)
    assert accepted["status"] == "accepted" and accepted["nick"] == nick
    assert accepted["invite_owner_agent"] == OWNER and is_uuid(accepted["user_id"])
    assert accepted["registry_bind_status"] in {"propagated", "failed", "disabled", "skipped_no_hint"}
    again = client.accept_invite(invite["token"], {"nick": nick, "display_name": "Invited"}, idempotency_key=key)
    assert again == accepted
    assert status_of(client.accept_invite, invite["token"], {"nick": some_nick()}) == 409
    shown = client.get_invite(invite["token"])
    assert (shown["status"], shown["accepted_owner_agent"]) == ("accepted", accepted["owner_agent"])
    assert client.get_user_profile(accepted["owner_agent"])["nick"] == nick


def test_an_upload_without_bytes_is_what_the_conformance_checks_do(client):
    body = {
        "owner_agent": OWNER,
        "filename": "contract.pdf",
        "mime_type": "application/pdf",
        "size_bytes": 12345,
    }
    upload = client.create_media_upload(body, idempotency_key=uuid.uuid4().hex)
    assert is_uuid(upload["upload_id"]) and upload["status"] == "pending"
    shown = client.get_media_upload(upload["upload_id"])["upload"]
    assert (shown["upload_id"], shown["status"]) == (upload["upload_id"], "pending")
    final = {"upload_id": upload["upload_id"], "size_bytes": 12345}
    ready = client.finalize_media_upload(final, idempotency_key=uuid.uuid4().hex)
    assert (ready["upload_id"], ready["status"]) == (upload["upload_id"], "ready")
    assert client.get_media_upload(upload["upload_id"])["upload"]["status"] == "ready"


def test_bytes_come_back_as_they_went_in(client, raw):
    data = bytes(range(256)) * 4096
    digest = hashlib.sha256(data).hexdigest()
    body = {
        "owner_agent": OWNER,
        "filename": "page.html",
        "mime_type": "text/html",
        "size_bytes": len(data),
        "sha256": digest,
    }
    upload = client.create_media_upload(body)
    path = upload["upload_url"][upload["upload_url"].index("/v1/") :]
    cut = raw.put(path, content=data[:-1])
    assert cut.status_code == 422 and cut.json()["error"]["code"] == "validation_error"
    taken = raw.put(path, content=data)
    assert taken.status_code == 200 and taken.json()["sha256"] == digest
    final = {"upload_id": upload["upload_id"], "size_bytes": len(data), "sha256": digest}
    assert client.finalize_media_upload(final)["sha256"] == digest
    shown = client.get_media_upload(upload["upload_id"])["upload"]
    got = raw.get(shown["download_url"][shown["download_url"].index("/v1/") :])
    assert got.status_code == 200 and got.content == data
    assert got.headers["content-disposition"].startswith("attachment")
    assert got.headers["x-content-type-options"] == "nosniff"
    too_large = {**body, "size_bytes": 2 * 1024**3}
    assert status_of(client.create_media_upload, too_large) == 413


def test_a_schema_is_registered_twice_and_payloads_follow_it(client, raw, address):
    semantic_type = f"e2e.orders.t{uuid.uuid4().hex[:8]}.v1"
    body = {
        "semantic_type": semantic_type,
        "schema_json": {
            "type": "object",
            "required": ["amount"],
            "properties": {"amount": {"type": "number"}},
        },
        "compatibility_mode": "strict",
    }
    first = client.upsert_schema(body)["schema"]
    assert client.upsert_schema(body)["schema"]["schema_hash"] == first["schema_hash"]
    shown = client.get_schema(semantic_type)["schema"]
    assert shown["schema_json"] == body["schema_json"] and shown["active"] is True
    assert status_of(client.upsert_schema, {**body, "schema_json": {"type": "array"}}) == 409
    assert status_of(client.upsert_schema, {**body, "schema_json": {"type": 7}}) == 422
    intent = {"intent_type": semantic_type, "to_agent": address, "payload": {"amount": "much"}}
    warned = raw.post("/v1/intents", json=intent)
    assert warned.status_code == 200 and warned.json()["warnings"][0]["code"] == "schema_invalid"
    refused = raw.post("/v1/intents", json={**intent, "schema_mode": "enforce"})
    assert refused.status_code == 422 and refused.json()["error"]["code"] == "schema_invalid"
    assert refused.json()["error"]["details"]["errors"][0]["loc"] == ["body", "payload", "amount"]


@pytest.mark.two_gateways
def test_both_gateways_see_the_same(client, other_client):
    nick = some_nick("both")
    user = client.register_nick({"nick": nick})
    assert other_client.check_nick(nick)["available"] is False
    assert other_client.get_user_profile(user["owner_agent"])["nick"] == nick
    invite = other_client.create_invite({"owner_agent": OWNER})
    accepted = client.accept_invite(invite["token"], {"nick": some_nick("both")})
    assert other_client.get_invite(invite["token"])["nick"] == accepted["nick"]
