"""A receiver of pushes, a process of its own: verifies signatures with `hmac` and answers as told.

Arguments: a secret and a mode. `ok` answers 204; `hang-first` takes the first request and never
answers it, to see what follows when the sender dies; `refuse` answers 500. Prints a line of JSON for
each request, and first its port.
"""

import hashlib
import hmac
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    requests = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        # As a receiver would: nothing of ours is used to check what we made.
        digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        signed = hmac.compare_digest(self.headers.get("X-Axme-Signature", ""), f"sha256={digest}")
        fresh = abs(time.time() - int(self.headers["X-Axme-Timestamp"])) < 60
        with Receiver.lock:
            Receiver.requests += 1
            number = Receiver.requests
            line = {"signed": signed, "fresh": fresh, "headers": dict(self.headers), "body": json.loads(body)}
            print(json.dumps(line), flush=True)
        if MODE == "hang-first" and number == 1:
            time.sleep(3600)
        self.send_response(500 if MODE == "refuse" else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    SECRET, MODE = sys.argv[1:]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()
