"""An agent as the product page shows it: listen, read, decide, resume.

Arguments: its address, a mode and the cursor to start after. `answer` answers every delivery;
`hang` takes one and never answers, to be killed in the middle. Prints a line for each delivery.
"""

import os
import sys
import time

import httpx
from axme import AxmeClient, AxmeClientConfig
from axme.exceptions import AxmeServerError, AxmeValidationError


def decide(payload):
    passed = payload["amount"] <= 1000
    return {"passed": passed, "reason": "within the limit" if passed else "above the limit"}


def main(address, mode, since):
    client = AxmeClient(
        AxmeClientConfig(api_key=os.environ["AXME_API_KEY"], base_url=os.environ["AXME_BASE_URL"])
    )
    while True:
        try:
            for delivery in client.listen(address, since=since):
                intent = client.get_intent(delivery["intent_id"])
                print(delivery["intent_id"], delivery["seq"], flush=True)
                if mode == "hang":
                    time.sleep(3600)
                try:
                    client.resume_intent(delivery["intent_id"], decide(intent["payload"]))
                except AxmeValidationError as error:
                    # Delivered twice, and ended by the first time.
                    if error.status_code != 409:
                        raise
                since = delivery["seq"]
        except (httpx.TransportError, AxmeServerError):
            # A gateway went away or has no leader: go on behind the last delivery that was done.
            time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
