"""Scenarios through the official SDK: every shape that official clients and examples send runs to its
right end (contract, scenarios.md 7)."""

import json
import threading
import time
import uuid

import httpx
import pytest
from axme.exceptions import AxmeHttpError, AxmeValidationError
from conftest import HERE, connect, wait_until

TERMINAL = {"COMPLETED", "FAILED", "CANCELED", "TIMED_OUT"}

# Bundle, what each agent answers, how a person decides, and how it ends.
BUNDLES = [
    ("delivery_stream", {"compliance-checker-agent": {"action": "complete", "passed": True}}, None, "COMPLETED"),
    ("human_cli", {"deploy-readiness-checker": {"action": "complete", "ready": True}}, "approved", "COMPLETED"),
    ("human_email", {"budget-envelope-validator": {"action": "complete", "fits": True}}, "approved", "COMPLETED"),
    ("internal_timeout", {}, None, "FAILED"),
    (
        "full_multi_agent",
        {"multi-compliance-agent": {"action": "complete", "ok": 1}, "risk-assessment-agent": {"passed": True}},
        "approved",
        "COMPLETED",
    ),
    ("approval_workflow", {"procurement-service-demo": {"action": "complete", "offer": 5}}, "rejected", "FAILED"),
    ("async_human_approval", {"data-analyst-demo": {"action": "complete", "rows": 7}}, "approved", "COMPLETED"),
    ("cross_service", {"order-coordinator-demo": {"action": "fail", "reason": "out of stock"}}, None, "FAILED"),
    ("long_running", {"report-service-demo": {"action": "complete", "pages": 12}}, None, "COMPLETED"),
    ("product_page", {"page-compliance-checker": {"passed": False, "reason": "no"}}, None, "COMPLETED"),
]


def bundle(name, tag=""):
    """A bundle; with a tag, its agents have names of their own: those of an earlier test may still listen."""
    body = json.loads((HERE / "bundles" / f"{name}.json").read_text())
    for agent in body["agents"]:
        agent["address"] += tag
    return body


def own():
    return f"-{uuid.uuid4().hex[:8]}"


class Agents:
    """Answers what agents get, and remembers it."""

    def __init__(self, base_url, api_key, answers):
        self.seen = []
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=self.run, args=(base_url, api_key, name, answer), daemon=True)
            for name, answer in answers.items()
        ]
        for thread in self.threads:
            thread.start()

    def run(self, base_url, api_key, name, answer):
        since = 0
        while not self.over.is_set():
            try:
                with connect(base_url, api_key) as client:
                    for delivery in client.listen(name, since=since, timeout_seconds=60):
                        intent = client.get_intent(delivery["intent_id"])
                        self.seen.append((name, intent["payload"]))
                        try:
                            client.resume_intent(delivery["intent_id"], dict(answer))
                        except AxmeValidationError as error:
                            # Delivered twice, and ended by the first time.
                            assert error.status_code == 409, error
                        since = delivery["seq"]
                        if self.over.is_set():
                            return
            except (httpx.TransportError, AxmeHttpError, TimeoutError):
                time.sleep(0.1)


@pytest.fixture
def agents(base_url, api_key):
    started = []

    def start(answers):
        started.append(Agents(base_url, api_key, answers))
        return started[-1]

    yield start
    for each in started:
        each.over.set()


def get(client, intent_id):
    return client.get_intent(intent_id)["intent"]


def ended(client, intent_id, seconds=40):
    return wait_until(
        lambda: (intent := get(client, intent_id))["status"] in TERMINAL and intent,
        seconds,
        f"{intent_id} ends",
    )


def asked(client, intent_id):
    """The scenario once it waits for a person."""
    return wait_until(
        lambda: (intent := get(client, intent_id))["waiting_reason" if "waiting_reason" in intent else "status"]
        == "WAITING_FOR_HUMAN"
        and intent,
        40,
        f"{intent_id} waits for a person",
    )


def assert_whole(client, intent_id):
    events = client.list_intent_events(intent_id)["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["status"] in TERMINAL for event in events] == [False] * (len(events) - 1) + [True]
    return events


@pytest.mark.parametrize("name,answers,decision,end", BUNDLES, ids=[each[0] for each in BUNDLES])
def test_official_shapes_run_to_their_end(client, agents, name, answers, decision, end):
    body = bundle(name)
    said = client.validate_scenario(body)
    assert said["valid"] and said["errors"] == [], said
    applied = client.apply_scenario(body, idempotency_key=uuid.uuid4().hex)
    assert applied["ok"] and applied["scenario_id"] == body["scenario_id"]
    assert applied["status"] == "DELIVERED" and applied["compile_id"].startswith("wfc_")
    assert applied["pending_with"].endswith(body["agents"][0]["address"])
    intent_id = applied["intent_id"]
    worked = agents(answers)
    if decision is not None:
        waiting = asked(client, intent_id)
        assert waiting["human_task"]["title"] and waiting["pending_with"]["type"] == "human"
        answer = {"task_result": {"outcome": decision, "comment": "seen"}}
        assert client.resume_intent(intent_id, answer)["ok"]
    final = ended(client, intent_id)
    assert final["status"] == end, final
    events = assert_whole(client, intent_id)
    types = [event["event_type"] for event in events]
    assert types[:3] == ["intent.created", "intent.submitted", "intent.delivered"]
    assert events[2]["pending_with"]["type"] == "agent"
    seen = {step["step_id"]: payload for payload in map(lambda it: it[1], worked.seen) for step in [payload]}
    for payload in seen.values():
        assert payload["parent_intent_id"] == intent_id
        assert payload["parent_payload"] == body.get("intent", {}).get("payload", {})
    if end == "COMPLETED":
        result = final["result"]
        assert set(result) == {step["step_id"] for step in body["workflow"]["steps"]} | {"last_result"}
    if name == "internal_timeout":
        assert events[-1]["details"]["reason"] == "step_timeout"
    if name == "full_multi_agent":
        assert seen["risk"]["input"] == {"depth": 2}
        assert seen["risk"]["previous_results"] == {"compliance": {"ok": 1}}
    if decision == "rejected":
        assert events[-1]["details"]["outcome"] == "rejected"
        assert events[-1]["details"]["step_id"] == "sign"


def test_a_repeat_is_the_first_scenario(client):
    body = bundle("cross_service", own())
    key = uuid.uuid4().hex
    first = client.apply_scenario(body, idempotency_key=key)
    again = client.apply_scenario(body, idempotency_key=key)
    assert (first["idempotent"], again["idempotent"]) == (False, True)
    assert first["intent_id"] == again["intent_id"]
    client.resolve_intent(first["intent_id"], {"status": "CANCELED", "reason": "a test"})


def test_cancelling_a_scenario_cancels_its_step(client):
    applied = client.apply_scenario(bundle("long_running", own()), idempotency_key=uuid.uuid4().hex)
    step = wait_until(
        lambda: get(client, applied["intent_id"]).get("step_intent_id"), 10, "the step is given"
    )
    client.resolve_intent(applied["intent_id"], {"status": "CANCELED", "reason": "not needed"})
    child = ended(client, step)
    assert child["status"] == "CANCELED" and child["parent_intent_id"] == applied["intent_id"]
    assert ended(client, applied["intent_id"])["status"] == "CANCELED"


def test_a_failed_attempt_is_followed_by_another(client, agents):
    body = bundle("cross_service")
    body["agents"][0]["address"] = "retrying-coordinator"
    body["workflow"]["steps"][0]["retry"] = {"max_retries": 1, "retry_delay_seconds": 1}
    applied = client.apply_scenario(body, idempotency_key=uuid.uuid4().hex)
    worked = agents({"retrying-coordinator": {"action": "fail", "reason": "busy"}})
    final = ended(client, applied["intent_id"])
    assert final["status"] == "FAILED" and final["error"]["code"] == "step_failed"
    assert len(worked.seen) == 2


def test_the_runtime_waits_and_tells_by_itself(client):
    body = {
        "scenario_id": "runtime.steps.v1",
        "workflow": {
            "steps": [
                {"step_id": "tell", "runtime_type": "notification", "runtime_config": {"message": "hello"}},
                {"step_id": "pause", "runtime_type": "delay", "runtime_config": {"seconds": 1}},
                {"step_id": "nudge", "runtime_type": "reminder", "runtime_config": {"seconds": 1}},
                {"step_id": "give_up", "runtime_type": "timeout", "runtime_config": {"seconds": 1}, "on_failure": "tell_again"},
                {"step_id": "tell_again", "tool_id": "tool.notification.notify_owner"},
            ]
        },
    }
    applied = client.apply_scenario(body, idempotency_key=uuid.uuid4().hex)
    assert applied["status"] == "WAITING" and applied["pending_with"] == "agent://agent_core"
    final = ended(client, applied["intent_id"])
    assert final["status"] == "COMPLETED"
    types = [event["event_type"] for event in assert_whole(client, applied["intent_id"])]
    assert "intent.reminder" in types


def test_errors_name_the_place(client):
    body = bundle("human_cli")
    body["workflow"]["steps"][0]["on_success"] = "nowhere"
    said = client.validate_scenario(body)
    assert said["valid"] is False
    assert any("workflow.steps[0].on_success" in error for error in said["errors"]), said
    with pytest.raises(AxmeValidationError) as refused:
        client.apply_scenario(body, idempotency_key=uuid.uuid4().hex)
    assert refused.value.status_code == 422


def test_macros_are_listed_and_run(client, raw):
    listed = raw.get("/v1/tool-registry/macros").json()
    assert "macro.approval.v1" in [each["macro_id"] for each in listed["macros"]]
    told = raw.get("/v1/tool-registry/macros/macro.approval.v1").json()["macro"]
    assert all({"name", "default"} <= set(parameter) for parameter in told["parameters"])
    body = {
        "scenario_id": "macro.run.v1",
        "workflow": {"macro_id": "macro.approval.v1", "parameters": {"title": "May I?"}},
    }
    applied = client.apply_scenario(body, idempotency_key=uuid.uuid4().hex)
    assert applied["status"] == "WAITING"
    assert asked(client, applied["intent_id"])["human_task"]["title"] == "May I?"
    client.resume_intent(applied["intent_id"], {"task_result": {"outcome": "approved"}})
    assert ended(client, applied["intent_id"])["status"] == "COMPLETED"


@pytest.mark.cluster
def test_a_node_dies_between_steps(client, agents):
    from test_failover import cluster

    body = bundle("full_multi_agent")
    for number, each in enumerate(body["agents"]):
        each["address"] = f"killed-{number}-{uuid.uuid4().hex[:8]}"
    applied = [client.apply_scenario(body, idempotency_key=uuid.uuid4().hex) for _ in range(20)]
    agents({each["address"]: {"done": each["role"]} for each in body["agents"]})
    wait_until(
        lambda: sum(get(client, each["intent_id"]).get("step_id") != "compliance" for each in applied) > 3,
        30,
        "some are past their first step",
    )
    dead = cluster("kill-leader")
    try:
        for each in applied:
            asked_patiently(client, each["intent_id"])
            answer = {"task_result": {"outcome": "approved"}}
            retried(lambda: client.resume_intent(each["intent_id"], answer))
        for each in applied:
            final = retried(lambda: ended(client, each["intent_id"]))
            assert final["status"] == "COMPLETED", final
            events = assert_whole(client, each["intent_id"])
            started = [event["details"]["step_id"] for event in events if "step_intent_id" in event["details"]]
            assert started == ["compliance", "risk"], "no step lost, none done twice"
    finally:
        cluster("start", dead)
        cluster("wait-healthy")


def retried(work, seconds=60):
    """What `work` returns, as soon as the cluster can say."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return work()
        except (httpx.TransportError, AxmeHttpError) as error:
            assert getattr(error, "status_code", 503) >= 500, error
            assert time.monotonic() < deadline, "no answer for a minute"


def asked_patiently(client, intent_id):
    return retried(lambda: asked(client, intent_id))
