"""Two agents and a person between them.

The writer's text waits for a review. `changes_requested` sends it back to the writer; `approved` hands
what was written on to the publisher.
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


def agent(name, work):
    """Answers every delivery to `name` with what `work` makes of its payload."""

    def listen():
        client = connect()
        for delivery in client.listen(name):
            result = work(client.get_intent(delivery["intent_id"])["payload"])
            print(f"{name}: {result}", flush=True)
            client.resume_intent(delivery["intent_id"], result)

    threading.Thread(target=listen, daemon=True).start()


def write(payload):
    return {"text": f"Version {payload['parent_payload']['version']} is out."}


def publish(payload):
    return {"published": payload["previous_results"]["write"]["text"]}


def main():
    client = connect()
    agent("release-writer", write)
    agent("release-publisher", publish)
    scenario = json.loads((HERE / "scenario.json").read_text())
    intent_id = client.apply_scenario(scenario)["intent_id"]
    for event in client.observe(intent_id):
        if event["event_type"] == "intent.human_task_assigned":
            print(f"now, in another terminal: axp tasks approve {intent_id}", flush=True)
            print(
                f"or: axp tasks submit {intent_id} --outcome changes_requested --comment WHY",
                flush=True,
            )
    print(event["status"], flush=True)
    return 0 if event["status"] == "COMPLETED" else 1


if __name__ == "__main__":
    sys.exit(main())
