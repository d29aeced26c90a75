"""The programs themselves, started with what the chart renders: config file, probes, hook, stop.

Runs where AXP_BIN names the folder with the programs, as `make chart` does. Nothing leaves the
machine: listeners are moved to 127.0.0.1, and the peers' names resolve nowhere.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import chart

BIN = os.environ.get("AXP_BIN")
DEADLINE = 30


def program(name: str) -> str:
    return str(pathlib.Path(BIN) / name)


def file_of(objects, component: str) -> str:
    return chart.one(objects, "ConfigMap", component)["data"][f"{component}.toml"]


def renderings():
    for path in [None, *chart.VALUES]:
        yield path.name if path else "defaults", chart.with_file(path) if path else chart.render()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def status(port: int, path: str) -> int | None:
    """What a probe would see; `None` while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return None


@contextlib.contextmanager
def running(folder: pathlib.Path, arguments: list[str], environment: dict[str, str]):
    """A process that is gone afterwards, with its log in `folder`."""
    with open(folder / "log", "w+") as log:
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(DEADLINE)


@unittest.skipUnless(BIN, "AXP_BIN is not set: `make chart` builds the programs and sets it")
class Programs(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def write(self, text: str) -> str:
        file = self.folder / "config.toml"
        file.write_text(text)
        return str(file)

    def wait_for(self, process: subprocess.Popen, condition):
        until = time.monotonic() + DEADLINE
        while not condition():
            if process.poll() is not None or time.monotonic() > until:
                self.fail((self.folder / "log").read_text())
            time.sleep(0.02)

    def stops_in_order(self, process: subprocess.Popen):
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 0, (self.folder / "log").read_text())

    def check_config(self, text: str, environment: dict[str, str]) -> subprocess.CompletedProcess:
        command = [program("axp-node"), "check-config", "--config", self.write(text)]
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False, env=environment)

    def test_every_node_takes_its_file(self):
        for name, objects in renderings():
            for ordinal in range(1, chart.one(objects, "StatefulSet")["spec"]["replicas"] + 1):
                with self.subTest(values=name, node=ordinal):
                    result = self.check_config(file_of(objects, "node"), {"AXP_NODE__NODE__ID": str(ordinal)})
                    self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_node_refuses_what_is_not_meant_for_it(self):
        for environment, words in (
            ({"AXP_NODE__NODE__ID": "9"}, "set the host:port"),
            ({"AXP_NODE__NODE__ID": ""}, ""),
            ({"AXP_NODE__NODE__ID": "1", "AXP_NODE__RAFT__NO_SUCH_KEY": "1"}, "no-such-key"),
        ):
            result = self.check_config(file_of(chart.render(), "node"), environment)
            self.assertNotEqual(result.returncode, 0, environment)
            self.assertIn(words, result.stderr)

    def test_a_node_that_waits_for_the_others_is_started_alive_and_not_ready(self):
        objects = chart.render()
        container = chart.one(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
        admin = free_port()
        environment = {
            "AXP_NODE__NODE__ID": "1",
            "AXP_NODE__NODE__DATA_DIR": str(self.folder / "data"),
            "AXP_NODE__NODE__API_LISTEN": "127.0.0.1:0",
            "AXP_NODE__NODE__RAFT_LISTEN": "127.0.0.1:0",
            "AXP_NODE__NODE__ADMIN_LISTEN": f"127.0.0.1:{admin}",
        }
        file = self.write(file_of(objects, "node"))
        with running(self.folder, [program("axp-node"), "--config", file], environment) as process:
            path = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
            self.wait_for(process, lambda: status(admin, path["startup"]) == 200)
            self.assertEqual(status(admin, path["liveness"]), 200)
            self.assertEqual(status(admin, path["readiness"]), 503)
            hook = container["lifecycle"]["preStop"]["exec"]["command"]
            hook = [program("axp-node"), *hook[1:-1], file]
            drained = subprocess.run(hook, env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False)
            self.assertEqual((drained.returncode, drained.stdout.split(":")[0]), (0, "drained"), drained.stdout)
            self.stops_in_order(process)

    def test_every_gateway_takes_its_file_and_is_alive_and_not_ready_without_nodes(self):
        for name, objects in renderings():
            container = chart.one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
            admin = free_port()
            environment = {
                "AXP_GATEWAY__HTTP__LISTEN": "127.0.0.1:0",
                "AXP_GATEWAY__GRPC__LISTEN": "127.0.0.1:0",
                "AXP_GATEWAY__ADMIN__LISTEN": f"127.0.0.1:{admin}",
                **{item["name"]: "a-long-enough-secret" for item in container.get("env", []) if "valueFrom" in item},
            }
            file = self.write(file_of(objects, "gateway"))
            with self.subTest(values=name), running(
                self.folder, [program("axp-gateway"), "--config", file], environment
            ) as process:
                live, ready = (container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("liveness", "readiness"))
                self.wait_for(process, lambda: status(admin, live) == 200)
                self.assertEqual(status(admin, ready), 503)
                self.stops_in_order(process)
