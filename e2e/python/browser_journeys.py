"""What people do on the pages of human tasks, in a headless Chromium with JavaScript off.

Run by e2e/browser; the other runs do without a browser.
"""

import base64
import os
import uuid
from pathlib import Path

import pytest
from mails import links, path_of, wait_mail
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import Select, WebDriverWait
from test_tasks import ask, decided

SHOTS = Path(__file__).parents[2] / "target/e2e/screenshots"
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
FORM = {
    "title": "Release budget for the autumn campaign",
    "description": "Marketing asks for 12,500 EUR.\nThe plan was reviewed on Monday; the rest is in the attached notes.",
    "task_type": "approval",
    "required_comment": True,
    "form_schema": {
        "type": "object",
        "required": ["approved", "amount", "cost_center"],
        "properties": {
            "approved": {"type": "boolean"},
            "amount": {"type": "integer", "minimum": 1, "title": "Amount in EUR", "description": "Whole euros."},
            "cost_center": {"type": "string", "enum": ["CC-100", "CC-200", "CC-300"]},
            "region": {"type": "string", "enum": [f"Region {number}" for number in range(9)]},
            "urgent": {"type": "boolean", "description": "Does it have to be paid this week?"},
            "notes": {"type": "string", "maxLength": 1000},
            "tags": {"type": "array", "items": {"type": "string"}},
            "split": {"type": "object", "description": "Shares by team, as JSON."},
        },
    },
}


@pytest.fixture(params=[(size, theme) for size in SIZES for theme in ("light", "dark")], ids="-".join)
def browser(request):
    size, theme = request.param
    options = Options()
    options.binary_location = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    if theme == "dark":
        options.add_argument("--blink-settings=preferredColorScheme=0")
    options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    width, height = SIZES[size]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.theme_name = f"{size}-{theme}"
    yield driver
    driver.quit()


@pytest.fixture
def shoot(browser):
    def shoot(name):
        SHOTS.mkdir(parents=True, exist_ok=True)
        taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        (SHOTS / f"{name}-{browser.theme_name}.png").write_bytes(base64.b64decode(taken["data"]))

    return shoot


def text(browser):
    return browser.find_element(By.TAG_NAME, "body").text


def field(browser, label):
    """The input with a label, found as somebody who cannot see finds it."""
    found = browser.find_element(By.XPATH, f"//label[starts-with(normalize-space(.), '{label}')]")
    return browser.find_element(By.ID, found.get_attribute("for"))


def press(browser, label):
    """Sends the form, and waits for the page that answers: the old one stays until that is there."""
    before = browser.find_element(By.TAG_NAME, "html")
    browser.find_element(By.XPATH, f"//button[normalize-space(.)='{label}']").click()
    WebDriverWait(browser, 20).until(staleness_of(before))


def mailed(raw, task):
    person = f"{uuid.uuid4().hex}@people.test"
    intent_id = ask(raw, {**task, "notify_email": person})
    return intent_id, person, links(wait_mail(person))


def fits(browser):
    """Nothing sticks out to the side."""
    width = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})
    return width["cssContentSize"]["width"] <= width["cssLayoutViewport"]["clientWidth"]


def test_somebody_fills_in_a_form(raw, base_url, browser, shoot):
    intent_id, person, (page, _) = mailed(raw, FORM)
    browser.get(base_url + path_of(page))
    assert FORM["title"] in text(browser) and fits(browser)
    shoot("form")
    # Typed wrong, with the button of somebody in a hurry: what was typed stays, and what is wrong is told.
    field(browser, "Amount in EUR").send_keys("lots")
    browser.find_element(By.XPATH, "//label[normalize-space(.)='CC-200']").click()
    Select(field(browser, "Region")).select_by_visible_text("Region 3")
    browser.find_element(By.XPATH, "//label[normalize-space(.)='Yes']").click()
    field(browser, "Notes").send_keys("line 1\nline 2")
    field(browser, "Tags").send_keys("autumn\nprint")
    field(browser, "Split").send_keys('{"a": 0.5}')
    field(browser, "Comment").send_keys("fine with me")
    press(browser, "Approved")
    assert "Please look at the marked fields" in text(browser)
    assert field(browser, "Amount in EUR").get_attribute("aria-invalid") == "true"
    assert "must be a whole number" in text(browser)
    assert field(browser, "Amount in EUR").get_attribute("value") == "lots"
    assert field(browser, "Notes").get_attribute("value") == "line 1\nline 2"
    assert fits(browser)
    shoot("form-problem")
    field(browser, "Amount in EUR").clear()
    field(browser, "Amount in EUR").send_keys("12500")
    press(browser, "Approved")
    assert "Your answer was recorded: Approved" in text(browser)
    shoot("thanks")
    browser.refresh()
    assert "Your answer was recorded" in text(browser), "loading it again sends nothing"
    data = raw.get(f"/v1/intents/{intent_id}").json()["result"]["data"]
    assert data == {
        "approved": True, "amount": 12500, "cost_center": "CC-200", "region": "Region 3", "urgent": True,
        "notes": "line 1\nline 2", "tags": ["autumn", "print"], "split": {"a": 0.5},
    }  # fmt: skip
    event, audit = decided(raw, intent_id)
    assert (audit["by"], audit["channel"]) == (person, "web") and event["details"]["task_result"]["comment"]


def test_somebody_says_no_from_the_mail(raw, base_url, browser, shoot):
    task = {"title": "Deploy 4.2 to production?", "description": "All checks are green."}
    intent_id, person, (_, buttons) = mailed(raw, task)
    browser.get(base_url + path_of(buttons["rejected"]))
    shoot("approval")
    # Enter in a field is no decision.
    field(browser, "Comment").send_keys("not before Monday")
    press(browser, "Rejected")
    assert "Your answer was recorded: Rejected" in text(browser)
    _, audit = decided(raw, intent_id)
    assert (audit["by"], audit["channel"]) == (person, "email")
    assert raw.get(f"/v1/intents/{intent_id}").json()["status"] == "FAILED"


def test_what_is_over_is_told(raw, base_url, browser, shoot):
    intent_id, _, (page, _) = mailed(raw, {"title": "Old"})
    raw.post(f"/v1/intents/{intent_id}/resolve", json={"status": "CANCELED", "reason": "no need"})
    browser.get(base_url + path_of(page))
    assert "cancelled" in text(browser)
    shoot("cancelled")
    browser.get(base_url + "/t/" + "A" * 64)
    assert "not known" in text(browser)
    shoot("unknown")
