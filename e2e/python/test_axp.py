"""The `axp` command with every shape of scenario that official clients and examples send: applied and
watched in one process, answered from another one, as people do it (contract, scenarios.md 7)."""

import json

import pytest
from conftest import succeed
from test_scenarios import BUNDLES, Agents, bundle, own

# docs/cli.md: how a watched intent ended.
EXIT_CODES = {"COMPLETED": 0, "FAILED": 8}
COMMANDS = {"approved": "approve", "rejected": "reject"}


@pytest.mark.parametrize("name,answers,decision,end", BUNDLES, ids=[each[0] for each in BUNDLES])
def test_scenarios_run_by_the_command(axp, base_url, api_key, tmp_path, name, answers, decision, end):
    tag = own()
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps(bundle(name, tag)))
    path, answers = str(file), {f"{agent}{tag}": answer for agent, answer in answers.items()}
    succeed(axp("scenarios", "validate", path))
    watching = axp("scenarios", "apply", path, "--watch", "--json")
    worked = Agents(base_url, api_key, answers)
    try:
        told = []
        for line in watching.stdout:
            told.append(json.loads(line))
            if told[-1].get("event_type") == "intent.human_task_assigned":
                intent_id = told[-1]["intent_id"]
                assert intent_id in succeed(axp("tasks", "list"))
                succeed(axp("tasks", COMMANDS[decision], intent_id, "--comment", "seen"))
        assert watching.wait(timeout=60) == EXIT_CODES[end], (told, watching.stderr.read())
    finally:
        worked.over.set()
    assert told[-1]["status"] == end
    assert [each.get("event_type") for each in told].count("intent.human_task_assigned") == (decision is not None)
