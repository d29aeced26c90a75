"""Human tasks: every type by every channel, one decision each, and mail that carries links."""

import html
import re
import subprocess
import threading
import uuid

import httpx
import pytest
from mails import links, mails_to, path_of, wait_mail

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
CHANNELS = ["api", "cli", "email", "web"]
CASES = [
    pytest.param(task_type, channel, outcome, id=f"{task_type}-{channel}-{outcome}")
    for task_type, outcomes in TYPES.items()
    for channel in CHANNELS
    for outcome in outcomes
    if outcome
]


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


@pytest.mark.parametrize("task_type, channel, outcome", CASES)
def test_every_type_by_every_channel(raw, base_url, person, task_type, channel, outcome):
    task = {"title": f"{task_type} by {channel}", "task_type": task_type}
    if task_type == "form":
        task["form_schema"] = SCHEMA
    answer = {"comment": "seen to", "evidence": "https://example.org/proof"}
    fields = {"amount": "42"} if task_type == "form" else {}
    if channel in ("api", "cli"):
        intent_id = ask(raw, task)
        # As each sends it: command lines have strings only and cannot nest.
        nested = {"data": {**fields, "evidence": [answer["evidence"]]}} if channel == "api" else {**fields, **answer}
        headers = {"x-axme-client": "axme-cli/1.0"} if channel == "cli" else {}
        body = {"task_result": {"outcome": outcome, "comment": answer["comment"], **nested}}
        done = raw.post(f"/v1/intents/{intent_id}/resume", json=body, headers=headers)
        assert done.status_code == 200, done.text
    else:
        intent_id, mail = mailed(raw, person, task)
        page, buttons = links(mail)
        link = buttons[outcome] if channel == "email" else page
        form = {f"field.{name}": value for name, value in fields.items()}
        passed_on = {"delegate_to": "next@people.test"} if outcome in ("delegated", "rerouted") else {}
        done = post_form(base_url, link, outcome, **form, **passed_on, **answer)
        assert done.status_code == 303, done.text
    event, audit = decided(raw, intent_id)
    assert audit["channel"] == channel and audit["from"] == "127.0.0.1"
    assert len(audit["task_sha256"]) == 64
    assert event["actor"] == audit["by"]
    if channel in ("email", "web"):
        assert audit["by"] == person
        if outcome in ("delegated", "rerouted"):
            assert event["event_type"] == "intent.transfer"
            return
    intent = raw.get(f"/v1/intents/{intent_id}").json()["intent"]
    assert intent["status"] == ("FAILED" if outcome in NEGATIVE else "COMPLETED")
    result = intent["error"] if outcome in NEGATIVE else intent["result"]
    assert result["outcome"] == outcome and result["comment"] == answer["comment"]
    if task_type == "form":
        filled = {**result, **result.get("data", {})}
        assert (filled["amount"], filled["approved"]) == (42, True)
    assert resume(raw, intent_id, outcome=outcome, **answer).status_code == 409


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
@pytest.mark.parametrize("task_type", ["approval", "form", "manual_action"])
def test_a_link_works_after_the_leader_died(raw, base_url, person, task_type):
    task = {"title": "Leader", "task_type": task_type}
    if task_type == "form":
        task["form_schema"] = SCHEMA
    intent_id, mail = mailed(raw, person, task)
    page, _ = links(mail)
    cluster = setting("AXP_E2E_CLUSTER")
    subprocess.run([cluster, "kill-leader"], check=True, capture_output=True)
    try:
        outcome = TYPES[task_type][0]
        fields = {"field.amount": "7", "evidence": "seen", "comment": "ok"}
        done = wait_until(
            lambda: (answer := post_form(base_url, page, outcome, **fields)).status_code != 503 and answer,
            30,
            "an answer",
        )
        assert done.status_code == 303, done.text
        assert raw.get(f"/v1/intents/{intent_id}").json()["status"] == "COMPLETED"
        assert len(mails_to(person)) >= 1
    finally:
        subprocess.run([cluster, "start-all"], check=True)
        subprocess.run([cluster, "wait-healthy"], check=True)
