"""What Helm, its values schema and Kubernetes accept, and what they must refuse."""

import subprocess
import unittest

import kubernetes_validate

import chart

# The oldest version that Chart.yaml allows and the newest that we know the API of.
KUBERNETES = ("1.31", "1.37")
# Kinds of other projects, which Kubernetes' own schemas do not have.
FOREIGN_KINDS = {"ServiceMonitor"}


class Accepted(unittest.TestCase):
    def test_lint(self):
        for values in [None, *chart.VALUES]:
            with self.subTest(values=values):
                more = ["--values", str(values)] if values else []
                result = subprocess.run(
                    [chart.HELM, "lint", "--strict", str(chart.CHART), *more],
                    capture_output=True, text=True, timeout=60, check=False,
                )
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_every_object_is_one_that_kubernetes_takes(self):
        for version in KUBERNETES:
            for arguments in [(), *(("--values", str(path)) for path in chart.VALUES)]:
                objects = chart.render(*arguments, kube_version=f"{version}.0")
                self.assertTrue(objects)
                for item in objects:
                    if item["kind"] in FOREIGN_KINDS:
                        continue
                    with self.subTest(version=version, values=arguments, kind=item["kind"], name=item["metadata"]["name"]):
                        kubernetes_validate.validate(item, version, strict=True)

    def test_notes_warn_of_what_is_risky(self):
        plain = self.notes()
        self.assertIn("nobody can use it", plain)
        self.assertNotIn("no replica", plain)
        single = self.notes("--set", "node.replicas=1,node.bootstrapSize=1,seed.existingSecret=s")
        self.assertIn("no replica", single)
        self.assertNotIn("nobody can use it", single)

    def notes(self, *arguments: str) -> str:
        result = subprocess.run(
            [chart.HELM, "install", "test", str(chart.CHART), "--dry-run=client", *arguments],
            capture_output=True, text=True, timeout=60, check=True,
        )
        return result.stdout.split("NOTES:", 1)[1]

    def test_names_are_unique(self):
        for path in chart.VALUES:
            names = [(item["kind"], item["metadata"]["name"]) for item in chart.with_file(path)]
            self.assertEqual(len(names), len(set(names)), path)


# What is set, and a word of the answer.
REFUSED_BY_SCHEMA = [
    ("nodes.replicas=3", "nodes"),
    ("node.replica=3", "replica"),
    ("node.replicas=0", "replicas"),
    ("node.replicas=10", "replicas"),
    ("node.replicas=three", "replicas"),
    ("node.storage.size=10", "size"),
    ("node.storage.accessModes={ReadWriteMany}", "accessModes"),
    ("node.update.type=Recreate", "type"),
    ("node.ports.api=80", "api"),
    ("node.placement.mode=spread", "mode"),
    ("gateway.service.type=ExternalName", "type"),
    ("gateway.autoscaling.targetCPUUtilizationPercentage=200", "targetCPU"),
    ("image.pullPolicy=Sometimes", "pullPolicy"),
    ("image.digest=latest", "digest"),
    ("podSecurity.runAsUser=0", "runAsUser"),
    ("seed.apiKey=secret", "apiKey"),
    ("seed.organization=", "organization"),
    ("serviceMonitor.interval=often", "interval"),
]

REFUSED_BY_VALIDATION = [
    ("node.replicas=2,node.bootstrapSize=2", "use 1, 3 or 5"),
    ("node.replicas=4,node.bootstrapSize=4", "use 1, 3 or 5"),
    ("node.replicas=7,node.bootstrapSize=7", "use 1, 3 or 5"),
    ("node.replicas=1", "take voters away"),
    ("node.replicas=1,node.removed={2}", "would stop node 3"),
    ("node.pdb.maxUnavailable=2", "at most 1 away"),
    ("node.replicas=5,node.bootstrapSize=5,node.pdb.maxUnavailable=3", "at most 2 away"),
    ("node.update.partition=4", "nothing would ever be updated"),
    ("node.ports.raft=8101", "every port needs its own"),
    ("gateway.ports.grpc=8100", "every port needs its own"),
    ("gateway.autoscaling.enabled=true,gateway.autoscaling.minReplicas=20", "minReplicas is above"),
    ("gateway.autoscaling.enabled=true,gateway.resources.requests.cpu=null", "needs gateway.resources.requests.cpu"),
    ("node.terminationGracePeriodSeconds=29", "10 seconds above twice"),
    ("config.node.node.drain-timeout-ms=26000", "10 seconds above twice"),
    ("gateway.preStopSleepSeconds=50", "open requests are cut"),
    ("config.gateway.server.drain-timeout-ms=55000", "open requests are cut"),
    ("config.node.raft.heartbeat-interval-ms={null}", "no value that TOML can hold"),
]


class Refused(unittest.TestCase):
    def refuses(self, values: str, words: str):
        with self.subTest(values=values):
            with self.assertRaises(chart.Refused) as refusal:
                chart.render("--set", values)
            self.assertIn(words, str(refusal.exception))

    def test_by_the_schema(self):
        for values, words in REFUSED_BY_SCHEMA:
            self.refuses(values, words)

    def test_by_validation(self):
        for values, words in REFUSED_BY_VALIDATION:
            self.refuses(values, words)

    def test_a_kubernetes_that_is_too_old(self):
        with self.assertRaises(chart.Refused) as refusal:
            chart.render(kube_version="1.30.9")
        self.assertIn("kubeVersion", str(refusal.exception))
