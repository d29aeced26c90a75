"""A long call without polling.

The caller submits once and may go away: all it keeps is the intent's id and the number of the last
event that it has seen. Whoever has these two can wait for the rest, in this process or in another.
"""

import json
import os
import pathlib
import sys
import threading
import time

from axme import AxmeClient, AxmeClientConfig

HERE = pathlib.Path(__file__).parent
SECONDS_OF_WORK = 3


def connect():
    return AxmeClient(
        AxmeClientConfig(api_key=os.environ["AXME_API_KEY"], base_url=os.environ["AXME_BASE_URL"])
    )


def report_service():
    client = connect()
    for delivery in client.listen("report-service"):
        month = client.get_intent(delivery["intent_id"])["payload"]["parent_payload"]["month"]
        time.sleep(SECONDS_OF_WORK)
        client.resume_intent(delivery["intent_id"], {"report": f"s3://reports/{month}.pdf"})


def submit():
    """The first process: it submits, sees that it has arrived, and is gone."""
    client = connect()
    scenario = json.loads((HERE / "scenario.json").read_text())
    intent_id = client.apply_scenario(scenario)["intent_id"]
    for event in client.observe(intent_id):
        if event["event_type"] == "intent.delivered":
            return intent_id, event["seq"]
    raise RuntimeError("it ended before it was delivered")


def main():
    threading.Thread(target=report_service, daemon=True).start()
    intent_id, seen = submit()
    print(f"submitted {intent_id}; the caller goes away after event {seen}", flush=True)
    # The second process: one open stream, and no question asked twice.
    outcome = connect().wait_for(intent_id, since=seen)
    print(outcome["status"], outcome["details"]["result"], flush=True)
    return 0 if outcome["status"] == "COMPLETED" else 1


if __name__ == "__main__":
    sys.exit(main())
