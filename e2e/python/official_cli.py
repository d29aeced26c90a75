"""The official command line, unmodified: every command that needs no account session.

Run by `e2e/run official-cli` with AXP_E2E_AXME, the path of its binary. CI cannot get it (the module
proxy does not serve it), so this is run by hand: see docs/development.md.
"""

import json
import os
import subprocess

import pytest
from conftest import setting, wait_until
from test_scenarios import BUNDLES, Agents, bundle, own
from test_tasks import COMMENT, NEGATIVE, TYPES, ask, decided, task_of

# The one command that answers a task with this outcome; `submit` for all others.
COMMANDS = {"approved": "approve", "rejected": "reject", "confirmed": "confirm", "completed": "complete"}


@pytest.fixture
def axme(base_url, api_key, workspace, tmp_path):
    """Runs the command; returns what it printed."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AXME_CLI_SECRET_STORAGE": "file"}
    options = {
        "base-url": base_url,
        "api-key": api_key,
        "org-id": workspace["org_id"],
        "workspace-id": workspace["workspace_id"],
    }
    flags = [f"--{name}={value}" for name, value in options.items()]

    def run(*arguments):
        command = [setting("AXP_E2E_AXME"), *flags, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    return run


def test_status_and_templates(axme):
    assert "axme-gateway" in axme("status")
    assert "health_endpoint      true" in axme("doctor")
    assert "macro.approval.v1" in axme("scenarios", "list-templates")


def test_an_agent_and_its_intents(axme, workspace):
    name = f"official{own()}"
    address = f"{workspace['prefix']}/{name}"
    assert address in axme("agents", "register", "--name", name)
    assert address in axme("agents", "list")
    account = json.loads(axme("agents", "show", address))["body"]["agent"]["service_account_id"]
    assert "axme_sa_" in axme("agents", "keys", "create", "--agent-id", account)

    sent = json.loads(axme("intents", "send", "--to", address, "--data-json", '{"amount": 1}'))
    intent_id = sent["body"]["intent_id"]
    assert intent_id in axme("intents", "list")
    assert json.loads(axme("intents", "get", intent_id))["body"]["intent"]["status"] == "DELIVERED"
    assert "DELIVERED" in axme("intents", "log", intent_id)
    axme("logs", intent_id)
    axme("trace", intent_id)
    axme("intents", "cancel", intent_id)
    assert "CANCELED" in axme("intents", "log", intent_id)
    axme("intents", "retry", intent_id)


@pytest.mark.parametrize("task_type, outcome", [(name, each) for name, pair in TYPES.items() for each in pair if each])
def test_every_type_of_task(raw, axme, task_type, outcome):
    intent_id = ask(raw, task_of(task_type))
    assert intent_id in axme("tasks", "list")
    assert f"A {task_type}" in axme("tasks", "get", intent_id)
    data = ["--data", "amount=42"] if task_type == "form" else []
    if outcome in COMMANDS and not (data or task_type == "manual_action"):
        axme("tasks", COMMANDS[outcome], intent_id, "--comment", COMMENT)
    else:
        # Evidence is a field like any other here: this command line has no option for it.
        evidence = ["--data", "evidence=https://example.org/proof"]
        axme("tasks", "submit", intent_id, "--outcome", outcome, "--comment", COMMENT, *data, *evidence)
    _, audit = decided(raw, intent_id)
    assert audit["channel"] == "cli"
    intent = raw.get(f"/v1/intents/{intent_id}").json()["intent"]
    assert intent["status"] == ("FAILED" if outcome in NEGATIVE else "COMPLETED")
    assert intent["error" if outcome in NEGATIVE else "result"]["outcome"] == outcome
    assert intent_id not in axme("tasks", "list")


@pytest.mark.parametrize("name, answers, decision, end", BUNDLES, ids=[each[0] for each in BUNDLES])
def test_scenarios(raw, axme, base_url, api_key, tmp_path, name, answers, decision, end):
    tag = own()
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps(bundle(name, tag)))
    assert "valid" in axme("scenarios", "validate", str(file))
    agents = Agents(base_url, api_key, {f"{agent}{tag}": answer for agent, answer in answers.items()})
    try:
        told = axme("scenarios", "apply", str(file))
        intent_id = told.split("intent_id=")[1].split()[0]
        if decision:
            wait_until(lambda: intent_id in axme("tasks", "list"), 30, "a task")
            axme("tasks", COMMANDS[decision], intent_id, "--comment", COMMENT)
        wait_until(lambda: raw.get(f"/v1/intents/{intent_id}").json()["intent"]["status"] == end, 60, end)
    finally:
        agents.over.set()
    assert end in axme("intents", "log", intent_id)
