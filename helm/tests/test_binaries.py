"""The programs themselves judge the config files that the chart renders.

Runs where AXP_BIN names the folder with the programs, as `make chart` does.
"""

import os
import pathlib
import subprocess
import tempfile
import unittest

import chart

BIN = os.environ.get("AXP_BIN")


def check(program: str, text: str, environment: dict[str, str]) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "config.toml"
        file.write_text(text)
        return subprocess.run(
            [str(pathlib.Path(BIN) / program), "check-config", "--config", str(file)],
            capture_output=True, text=True, timeout=30, check=False, env=environment,
        )


@unittest.skipUnless(BIN, "AXP_BIN is not set: `make chart` builds the programs and sets it")
class Programs(unittest.TestCase):
    def test_every_node_takes_its_file(self):
        for path in [None, *chart.VALUES]:
            objects = chart.with_file(path) if path else chart.render()
            text = chart.one(objects, "ConfigMap", "node")["data"]["node.toml"]
            replicas = chart.one(objects, "StatefulSet")["spec"]["replicas"]
            for ordinal in range(1, replicas + 1):
                with self.subTest(values=path, node=ordinal):
                    result = check("axp-node", text, {"AXP_NODE__NODE__ID": str(ordinal)})
                    self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_node_refuses_what_is_not_meant_for_it(self):
        text = chart.one(chart.render(), "ConfigMap", "node")["data"]["node.toml"]
        for environment, words in (
            ({"AXP_NODE__NODE__ID": "9"}, "does not name this node"),
            ({"AXP_NODE__NODE__ID": ""}, ""),
            ({"AXP_NODE__NODE__ID": "1", "AXP_NODE__RAFT__NO_SUCH_KEY": "1"}, "no-such-key"),
        ):
            result = check("axp-node", text, environment)
            self.assertNotEqual(result.returncode, 0, environment)
            self.assertIn(words, result.stderr)

    def test_every_gateway_takes_its_file(self):
        for path in [None, *chart.VALUES]:
            objects = chart.with_file(path) if path else chart.render()
            container = chart.one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
            names = {variable["name"] for variable in container.get("env", [])}
            text = chart.one(objects, "ConfigMap", "gateway")["data"]["gateway.toml"]
            with self.subTest(values=path):
                secret = {name: "a-long-enough-secret" for name in names & {"AXP_API_KEY"}}
                result = check("axp-gateway", text, secret)
                self.assertEqual(result.returncode, 0, result.stderr)
