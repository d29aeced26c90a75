"""A deployment that waits for a person.

An agent checks it, somebody approves it with `axp tasks approve`, and the program goes on where it
was. Stop it or the server in the middle: nothing is lost, and nothing is asked twice.
"""

import json
import os
import pathlib
import sys
import threading

from axme import AxmeClient, AxmeClientConfig

HERE = pathlib.Path(__file__).parent


def connect():
    return AxmeClient(
        AxmeClientConfig(api_key=os.environ["AXME_API_KEY"], base_url=os.environ["AXME_BASE_URL"])
    )


def checker():
    client = connect()
    for delivery in client.listen("deploy-checker"):
        change = client.get_intent(delivery["intent_id"])["payload"]["parent_payload"]
        print(f"checker: {change['service']} {change['version']} passes its tests", flush=True)
        client.resume_intent(delivery["intent_id"], {"passed": True})


def main():
    client = connect()
    scenario = json.loads((HERE / "scenario.json").read_text())
    intent_id = client.apply_scenario(scenario)["intent_id"]
    threading.Thread(target=checker, daemon=True).start()
    for event in client.observe(intent_id):
        print(f"{event['seq']:>3}  {event['status']:<11}  {event['event_type']}", flush=True)
        if event["event_type"] == "intent.human_task_assigned":
            print(f"now, in another terminal: axp tasks approve {intent_id}", flush=True)
    return 0 if event["status"] == "COMPLETED" else 1


if __name__ == "__main__":
    sys.exit(main())
