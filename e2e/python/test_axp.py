"""The `axp` command with every shape of scenario that official clients and examples send: applied and
watched in one process, answered from another one, as people do it (contract, scenarios.md 7)."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import setting
from test_scenarios import BUNDLES, Agents, bundle, own

# docs/cli.md: how a watched intent ended.
EXIT_CODES = {"COMPLETED": 0, "FAILED": 8}
COMMANDS = {"approved": "approve", "rejected": "reject"}


@pytest.fixture
def axp(base_url, api_key, tmp_path):
    """Starts the command; what it prints is read line by line."""
    environment = {
        "PATH": os.environ["PATH"],
        "AXME_BASE_URL": base_url,
        "AXME_API_KEY": api_key,
        "AXP_CONFIG_DIR": str(tmp_path / "config"),
    }
    started = []

    def start(*arguments):
        command = [str(Path(setting("AXP_E2E_BIN")) / "axp"), *arguments]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def run(process):
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 0, f"{process.args}: {out}{errors}"
    return out


@pytest.mark.parametrize("name,answers,decision,end", BUNDLES, ids=[each[0] for each in BUNDLES])
def test_scenarios_run_by_the_command(axp, base_url, api_key, tmp_path, name, answers, decision, end):
    tag = own()
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps(bundle(name, tag)))
    path, answers = str(file), {f"{agent}{tag}": answer for agent, answer in answers.items()}
    run(axp("scenarios", "validate", path))
    watching = axp("scenarios", "apply", path, "--watch", "--json")
    worked = Agents(base_url, api_key, answers)
    try:
        told = []
        for line in watching.stdout:
            told.append(json.loads(line))
            if told[-1].get("event_type") == "intent.human_task_assigned":
                intent_id = told[-1]["intent_id"]
                assert intent_id in run(axp("tasks", "list"))
                run(axp("tasks", COMMANDS[decision], intent_id, "--comment", "seen"))
        assert watching.wait(timeout=60) == EXIT_CODES[end], (told, watching.stderr.read())
    finally:
        worked.over.set()
    assert told[-1]["status"] == end
    assert [each.get("event_type") for each in told].count("intent.human_task_assigned") == (decision is not None)
