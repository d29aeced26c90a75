"""Human tasks: every type by every channel, one decision each, and mail that carries links."""

import html
import re
import subprocess
import threading
import uuid

import httpx
import pytest
from mails import links, path_of, wait_mail

from conftest import setting, wait_until

# What the contract says of each type (tasks.md 2): outcomes, and what else an answer needs.
TYPES = {
    "approval": ("approved", "rejected"),
    "form": ("submitted", None),
    "review": ("approved", "changes_requested"),
    "override": ("override_approved", "rejected"),
    "confirmation": ("confirmed", "denied"),
    "assignment": ("assigned", "declined"),
    "clarification": ("provided", "declined"),
    "manual_action": ("completed", "failed"),
    "provide_data": ("provided", "declined"),
    "attach_file": ("provided", "declined"),
    "validate_real_world": ("valid", "invalid"),
    "validate_output": ("valid", "invalid"),
    "delegation": ("delegated", "declined"),
    "reroute": ("rerouted", "declined"),
    "escalate": ("escalated", "declined"),
}
NEGATIVE = {"rejected", "denied", "declined", "failed", "changes_requested"}
SCHEMA = {
    "type": "object",
    "required": ["approved", "amount"],
    "properties": {
        "approved": {"type": "boolean"},
        "amount": {"type": "integer", "minimum": 1},
        "note": {"type": "string", "maxLength": 500},
    },
}
# What every answer of these tests says beside its outcome.
COMMENT, PROOF, AMOUNT = "seen to", "https://example.org/proof", "42"
# The command of `axp tasks` that answers with an outcome; `submit` for all others.
COMMANDS = {
    "approved": "approve",
    "rejected": "reject",
    "confirmed": "confirm",
    "completed": "complete",
    "assigned": "assign",
}


def ask(raw, task, **extra):
    body = {"intent_type": "approval.request.v1", "to_agent": "agent://agent_core", "human_task": task}
    answer = raw.post("/v1/intents", json={**body, "payload": {"amount": 100}, **extra})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "WAITING"
    return answer.json()["intent_id"]


def resume(raw, intent_id, **answer):
    return raw.post(f"/v1/intents/{intent_id}/resume", json={"task_result": answer})


def decided(raw, intent_id):
    """The decision as the audit trail keeps it."""
    events = raw.get(f"/v1/intents/{intent_id}/events").json()["events"]
    (found,) = [event for event in events if "decided" in event["details"]]
    return found, found["details"]["decided"]


def hidden(page, name):
    return html.unescape(re.search(f'name="{name}" value="([^"]*)"', page).group(1))


def post_form(base_url, link, outcome, **fields):
    """Shows the page as a browser does, and sends its form."""
    with httpx.Client(base_url=base_url, timeout=20.0) as browser:
        shown = browser.get(path_of(link))
        assert shown.status_code == 200, shown.text
        form = {name: hidden(shown.text, name) for name in ("seen", "via")}
        action = html.unescape(re.search(r'method="post" action="([^"]*)"', shown.text).group(1))
        return browser.post(action, data={**form, **fields, "outcome": outcome})


@pytest.fixture
def person():
    return f"{uuid.uuid4().hex}@people.test"


def mailed(raw, person, task, **extra):
    intent_id = ask(raw, {**task, "notify_email": person}, **extra)
    return intent_id, wait_mail(person)


def fields_of(task_type):
    return {"amount": AMOUNT} if task_type == "form" else {}


def task_of(task_type):
    task = {"title": f"A {task_type}", "task_type": task_type}
    return {**task, "form_schema": SCHEMA} if task_type == "form" else task


class Api:
    """A program with a key."""

    def __init__(self, raw, task_type):
        self.raw, self.fields, self.intent_id = raw, fields_of(task_type), ask(raw, task_of(task_type))

    def answer(self, outcome):
        data = {**self.fields, "evidence": [PROOF]}
        done = resume(self.raw, self.intent_id, outcome=outcome, comment=COMMENT, data=data)
        return done.status_code == 200, done.text


class OfficialCli(Api):
    """As the official command line sends it: strings only, and nothing nested."""

    def answer(self, outcome):
        answer = {"outcome": outcome, "comment": COMMENT, "evidence": PROOF, **self.fields}
        path, headers = f"/v1/intents/{self.intent_id}/resume", {"x-axme-client": "axme-cli/1.0"}
        done = self.raw.post(path, json={"task_result": answer}, headers=headers)
        return done.status_code == 200, done.text


class Command(Api):
    """Somebody at a terminal, with `axp`."""

    def __init__(self, raw, task_type, axp):
        super().__init__(raw, task_type)
        self.axp = axp

    def answer(self, outcome):
        command = COMMANDS.get(outcome, "submit")
        options = ["--comment", COMMENT, "--evidence", PROOF]
        options += [text for name, value in self.fields.items() for text in ("--data", f"{name}={value}")]
        options += ["--outcome", outcome] if command == "submit" else []
        options += ["--to", "ops"] if command == "assign" else []
        process = self.axp("tasks", command, self.intent_id, *options)
        _, errors = process.communicate(timeout=60)
        return process.returncode == 0, errors


class Web:
    """Somebody who follows a mail's link to the page of a task."""

    def __init__(self, raw, task_type, base_url, person):
        self.base_url, self.fields = base_url, fields_of(task_type)
        self.intent_id, mail = mailed(raw, person, task_of(task_type))
        self.page, self.buttons = links(mail)

    def link(self, outcome):
        return self.page

    def answer(self, outcome):
        form = {f"field.{name}": value for name, value in self.fields.items()}
        passed_on = {"delegate_to": "next@people.test"} if outcome in ("delegated", "rerouted") else {}
        answer = {"comment": COMMENT, "evidence": PROOF, **form, **passed_on}
        done = post_form(self.base_url, self.link(outcome), outcome, **answer)
        return done.status_code == 303, done.text


class Email(Web):
    """Somebody who presses the button of an outcome in a mail."""

    def link(self, outcome):
        return self.buttons[outcome]


CHANNELS = {"api": Api, "cli": Command, "email": Email, "web": Web}
CASES = [
    pytest.param(task_type, channel, outcome, id=f"{task_type}-{channel}-{outcome}")
    for task_type, outcomes in TYPES.items()
    for channel in CHANNELS
    for outcome in outcomes
    if outcome
]


@pytest.fixture
def waiting(raw, axp, base_url, person):
    """Makes a task of a type that waits for an answer by a channel."""

    def waiting(channel, task_type):
        needs = {"cli": [axp], "email": [base_url, person], "web": [base_url, person]}
        return CHANNELS[channel](raw, task_type, *needs.get(channel, []))

    return waiting


def assert_decided(raw, task, task_type, outcome, channel):
    event, audit = decided(raw, task.intent_id)
    assert audit["channel"] == channel and audit["from"] == "127.0.0.1"
    assert len(audit["task_sha256"]) == 64
    assert event["actor"] == audit["by"]
    if channel in ("email", "web") and outcome in ("delegated", "rerouted"):
        assert event["event_type"] == "intent.transfer"
        return
    intent = raw.get(f"/v1/intents/{task.intent_id}").json()["intent"]
    assert intent["status"] == ("FAILED" if outcome in NEGATIVE else "COMPLETED")
    result = intent["error"] if outcome in NEGATIVE else intent["result"]
    assert result["outcome"] == outcome and result["comment"] == COMMENT
    if task_type == "form":
        filled = {**result, **result.get("data", {})}
        assert (filled["amount"], filled["approved"]) == (int(AMOUNT), True)
    assert resume(raw, task.intent_id, outcome=outcome).status_code == 409


@pytest.mark.parametrize("task_type, channel, outcome", CASES)
def test_every_type_by_every_channel(raw, waiting, person, task_type, channel, outcome):
    task = waiting(channel, task_type)
    taken, why = task.answer(outcome)
    assert taken, why
    assert_decided(raw, task, task_type, outcome, channel)
    if channel in ("email", "web"):
        assert decided(raw, task.intent_id)[1]["by"] == person


@pytest.mark.parametrize("task_type", TYPES)
def test_every_type_as_the_official_command_line_answers(raw, task_type):
    outcome, task = TYPES[task_type][0], OfficialCli(raw, task_type)
    taken, why = task.answer(outcome)
    assert taken, why
    assert_decided(raw, task, task_type, outcome, "cli")


def test_a_mail_brings_somebody_to_a_page_that_decides_once(raw, base_url, person):
    task = {"title": "Müller & Söhne <GmbH>?", "description": "Zeile 1\nZeile 2", "required_comment": True}
    intent_id, mail = mailed(raw, person, task)
    assert mail["subject"] == task["title"] and mail["auto-submitted"] == "auto-generated"
    assert "<GmbH>" not in mail.get_body(("html",)).get_content()
    page, buttons = links(mail)
    assert set(buttons) == {"approved", "rejected"}
    with httpx.Client(base_url=base_url) as scanner:
        for link in (page, *buttons.values()):
            # Mail scanners follow links; nothing is decided by that.
            assert scanner.head(path_of(link)).status_code == 200
            shown = scanner.get(path_of(link))
            assert shown.status_code == 200 and "Müller &#38; Söhne &#60;GmbH&#62;?" in shown.text
            assert shown.headers["cache-control"] == "no-store"
    assert raw.get(f"/v1/intents/{intent_id}").json()["status"] == "WAITING"
    refused = post_form(base_url, page, "approved", comment=" ")
    assert refused.status_code == 422 and "is required by this task" in refused.text
    assert post_form(base_url, page, "approved", comment="ja").status_code == 303
    over = httpx.get(base_url + path_of(page))
    assert over.status_code == 410 and "Your answer was recorded: Approved" in over.text
    result = raw.get(f"/v1/intents/{intent_id}").json()["result"]
    assert (result["outcome"], result["comment"]) == ("approved", "ja")


def test_links_of_what_is_over_say_so(raw, base_url, person):
    intent_id, mail = mailed(raw, person, {"title": "To be cancelled"})
    page, _ = links(mail)
    raw.post(f"/v1/intents/{intent_id}/resolve", json={"status": "CANCELED", "reason": "no need"})
    over = httpx.get(base_url + path_of(page))
    assert over.status_code == 410 and "cancelled" in over.text
    other = f"x{person}"
    intent_id, mail = mailed(raw, other, {"title": "By somebody else"})
    page, _ = links(mail)
    assert resume(raw, intent_id, outcome="approved").status_code == 200
    assert "answered already" in httpx.get(base_url + path_of(page)).text
    unknown = page[:-8] + "AAAAAAAA"
    assert httpx.get(base_url + path_of(unknown)).status_code == 404


def test_reminders_and_escalation_come_by_mail(raw, base_url, person):
    boss = f"boss-{person}"
    intent_id, _ = mailed(
        raw, person, {"title": "Slow"}, remind_after_seconds=1, max_reminders=1, escalate_to=boss
    )
    assert wait_mail(person, 2)["subject"] == "Reminder: Slow"
    page, _ = links(wait_mail(boss))
    assert post_form(base_url, page, "approved").status_code == 303
    _, audit = decided(raw, intent_id)
    assert audit["by"] == boss


def test_a_refused_mail_is_a_dead_letter(raw, person):
    intent_id = ask(raw, {"title": "Nobody", "notify_email": f"refuse-{person}"})

    def dead():
        letters = raw.get("/v1/push/dead-letters", params={"limit": 200}).json()["dead_letters"]
        return [letter for letter in letters if letter["intent_id"] == intent_id]

    (letter,) = wait_until(dead, 30, "a dead letter")
    assert letter["kind"] == "mail" and letter["recipient"] == f"refuse-{person}"
    assert "550" in letter["last_error"]
    assert resume(raw, intent_id, outcome="approved").status_code == 200, "the task is open all the same"


def test_my_tasks_are_those_that_wait(raw):
    ours = {ask(raw, {"title": f"T{number}"}) for number in range(3)}
    listed, cursor = [], ""
    while cursor is not None:
        page = raw.get("/v1/me/tasks", params={"limit": 2, "cursor": cursor}).json()
        listed += page["tasks"]
        cursor = page.get("next_cursor")
    found = {task["intent_id"]: task for task in listed}
    assert ours <= set(found) and len(found) == len(listed)
    one = found[next(iter(ours))]
    assert one["status"] == "WAITING" and one["human_task"]["title"].startswith("T")
    for intent_id in ours:
        assert resume(raw, intent_id, outcome="rejected").status_code == 200
    left = raw.get("/v1/me/tasks", params={"limit": 200}).json()["tasks"]
    assert not ours & {task["intent_id"] for task in left}


def test_a_link_and_a_key_race_for_one_decision(raw, base_url, person):
    for number in range(10):
        recipient = f"{number}-{person}"
        intent_id, mail = mailed(raw, recipient, {"title": "Race"})
        page, _ = links(mail)
        start, answers = threading.Barrier(2), {}

        def by_link():
            with httpx.Client(base_url=base_url, timeout=20.0) as browser:
                shown = browser.get(path_of(page))
                form = {"seen": hidden(shown.text, "seen"), "via": "", "outcome": "approved"}
                start.wait()
                answers["link"] = browser.post(path_of(page), data=form).status_code

        def by_key():
            start.wait()
            answers["key"] = resume(raw, intent_id, outcome="rejected").status_code

        threads = [threading.Thread(target=it) for it in (by_link, by_key)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        event, audit = decided(raw, intent_id)
        won_by_key = audit["channel"] == "api"
        assert answers == {"link": 303, "key": 200 if won_by_key else 409}
        assert event["event_type"] == ("intent.failed" if won_by_key else "intent.completed")


@pytest.mark.cluster
@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("task_type", ["form", "manual_action"])
def test_tasks_outlive_a_leader(raw, waiting, channel, task_type):
    task, outcome = waiting(channel, task_type), TYPES[task_type][0]
    cluster = setting("AXP_E2E_CLUSTER")
    subprocess.run([cluster, "kill-leader", task.intent_id], check=True, capture_output=True)
    try:
        wait_until(lambda: task.answer(outcome)[0], 30, "an answer that is taken")
        assert_decided(raw, task, task_type, outcome, channel)
    finally:
        subprocess.run([cluster, "start-all"], check=True)
        subprocess.run([cluster, "wait-healthy"], check=True)
