"""Rules about what the chart renders: each one is a mistake that cost somebody a cluster once."""

import functools
import json
import pathlib
import tomllib
import unittest

import chart
import values_table

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Every key with its default; the crates' own tests hold the files to the code.
EXAMPLES = {
    component: tomllib.loads((ROOT / component / "config/example.toml").read_text()) for component in ("node", "gateway")
}


def config(objects, component: str) -> dict:
    """The TOML that a component reads."""
    data = chart.one(objects, "ConfigMap", component)["data"]
    return tomllib.loads(data[f"{component}.toml"])


def everywhere(rule):
    """Runs a rule over the default values and over every file in ci/."""

    @functools.wraps(rule)
    def run(self):
        for path in [None, *chart.VALUES]:
            with self.subTest(values=path.name if path else "defaults"):
                rule(self, chart.with_file(path) if path else chart.render())

    return run


class EachRendering(unittest.TestCase):
    """Rules for every set of values."""

    @everywhere
    def test_the_founders_are_the_first_nodes_and_each_can_be_one_of_them(self, objects):
        workload = chart.one(objects, "StatefulSet")
        service = chart.one(objects, "Service", "node")
        self.assertEqual(workload["spec"]["podManagementPolicy"], "Parallel")
        self.assertEqual(workload["spec"]["serviceName"], service["metadata"]["name"])
        self.assertEqual(service["spec"]["clusterIP"], "None")
        self.assertIs(service["spec"]["publishNotReadyAddresses"], True)

        first = workload["spec"]["ordinals"]["start"]
        cluster = config(objects, "node")["cluster"]
        self.assertEqual(cluster["bootstrap-expect"], len(cluster["peers"]))
        self.assertEqual(workload["spec"]["replicas"], len(cluster["peers"]))
        for index, peer in enumerate(cluster["peers"]):
            # The id that the pod takes from its label is the one that its name is listed with.
            self.assertEqual(peer["id"], first + index)
            pod = f"{workload['metadata']['name']}-{peer['id']}.{service['metadata']['name']}.space.svc."
            self.assertTrue(peer["raft-address"].startswith(pod), peer)
            self.assertTrue(peer["api-address"].startswith(pod), peer)

    @everywhere
    def test_the_node_id_is_the_ordinal(self, objects):
        (node,) = chart.one(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"][:1]
        (variable,) = [item for item in node["env"] if item["name"] == "AXP_NODE__NODE__ID"]
        self.assertEqual(
            variable["valueFrom"]["fieldRef"]["fieldPath"], "metadata.labels['apps.kubernetes.io/pod-index']"
        )

    @everywhere
    def test_listeners_ports_and_services_agree(self, objects):
        for component, kind in (("node", "StatefulSet"), ("gateway", "Deployment")):
            container = chart.one(objects, kind)["spec"]["template"]["spec"]["containers"][0]
            ports = {item["name"]: item["containerPort"] for item in container["ports"]}
            listens = {
                # [node] api-listen, and [http] listen.
                key.removesuffix("-listen") if key != "listen" else section: value
                for section, keys in config(objects, component).items()
                for key, value in keys.items()
                if key.endswith("listen")
            }
            self.assertEqual({name: f"0.0.0.0:{port}" for name, port in ports.items()}, listens)
            served = {
                item["name"]: item["port"]
                for service in chart.of_kind(objects, "Service", component)
                for item in service["spec"]["ports"]
            }
            self.assertEqual(served, ports)

    @everywhere
    def test_gateways_know_the_nodes_as_the_nodes_know_themselves(self, objects):
        peers = config(objects, "node")["cluster"]["peers"]
        self.assertEqual(config(objects, "gateway")["cluster"]["nodes"], [peer["api-address"] for peer in peers])

    @everywhere
    def test_every_key_is_one_that_the_server_knows(self, objects):
        for component, known in EXAMPLES.items():
            for section, keys in config(objects, component).items():
                for key, value in keys.items():
                    self.assertIn(key, known[section], section)
                    self.assertIs(type(value), type(known[section][key]), f"{section}.{key}")

    @everywhere
    def test_probes_ask_the_admin_port(self, objects):
        probes = {"livenessProbe": "/livez", "readinessProbe": "/readyz"}
        for kind, more in (("StatefulSet", {"startupProbe": "/startupz"}), ("Deployment", {})):
            container = chart.one(objects, kind)["spec"]["template"]["spec"]["containers"][0]
            for probe, path in {**probes, **more}.items():
                self.assertEqual(container[probe]["httpGet"], {"path": path, "port": "admin"})

    @everywhere
    def test_pods_have_time_to_leave(self, objects):
        node = chart.one(objects, "StatefulSet")["spec"]["template"]["spec"]
        self.assertEqual(
            node["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][:2], ["/usr/local/bin/axp-node", "prestop"]
        )
        self.assertGreater(node["terminationGracePeriodSeconds"] * 1000, 2 * self.drain(objects, "node", "node"))
        gateway = chart.one(objects, "Deployment")["spec"]["template"]["spec"]
        sleep = gateway["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        self.assertGreater(
            (gateway["terminationGracePeriodSeconds"] - sleep) * 1000, self.drain(objects, "gateway", "server")
        )

    def drain(self, objects, component: str, section: str) -> int:
        key = "drain-timeout-ms"
        return config(objects, component).get(section, {}).get(key, EXAMPLES[component][section][key])

    @everywhere
    def test_volumes_outlive_the_release(self, objects):
        spec = chart.one(objects, "StatefulSet")["spec"]
        self.assertEqual(
            spec["persistentVolumeClaimRetentionPolicy"], {"whenDeleted": "Retain", "whenScaled": "Retain"}
        )
        (claim,) = spec["volumeClaimTemplates"]
        mounts = spec["template"]["spec"]["containers"][0]["volumeMounts"]
        (mount,) = [item for item in mounts if item["name"] == claim["metadata"]["name"]]
        self.assertEqual(mount["mountPath"], config(objects, "node")["node"]["data-dir"])

    @everywhere
    def test_budgets_keep_a_majority_and_never_block_a_single_pod(self, objects):
        replicas = chart.one(objects, "StatefulSet")["spec"]["replicas"]
        budgets = chart.of_kind(objects, "PodDisruptionBudget", "node")
        self.assertEqual(len(budgets), 1 if replicas > 1 else 0)
        for budget in budgets:
            self.assertGreater(replicas - budget["spec"]["maxUnavailable"], replicas // 2)
            self.assertEqual(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow")
        if chart.one(objects, "Deployment")["spec"].get("replicas") == 1:
            self.assertEqual(chart.of_kind(objects, "PodDisruptionBudget", "gateway"), [])

    @everywhere
    def test_pods_pass_the_restricted_profile(self, objects):
        """The Pod Security Standard of that name, rule by rule."""
        for name, pod in chart.pod_specs(objects):
            self.assertTrue(pod["securityContext"]["runAsNonRoot"], name)
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"}, name)
            for key in ("hostNetwork", "hostPID", "hostIPC"):
                self.assertNotIn(key, pod)
            for volume in pod.get("volumes", []):
                self.assertFalse(set(volume) & {"hostPath", "nfs", "gcePersistentDisk"}, volume)
            for container in pod["containers"] + pod.get("initContainers", []):
                context = container["securityContext"]
                self.assertIs(context["allowPrivilegeEscalation"], False, container["name"])
                self.assertIs(context["readOnlyRootFilesystem"], True, container["name"])
                self.assertEqual(context["capabilities"], {"drop": ["ALL"]}, container["name"])

    @everywhere
    def test_no_pod_holds_a_token_of_the_kubernetes_api(self, objects):
        for account in chart.of_kind(objects, "ServiceAccount"):
            self.assertIs(account["automountServiceAccountToken"], False)
        for name, pod in chart.pod_specs(objects):
            self.assertIs(pod["automountServiceAccountToken"], False, name)
            self.assertIs(pod["enableServiceLinks"], False, name)

    def test_the_drain_timeouts_that_the_chart_checks_against_are_the_servers_own(self):
        self.assertEqual(EXAMPLES["node"]["node"]["drain-timeout-ms"], 10000)
        self.assertEqual(EXAMPLES["gateway"]["server"]["drain-timeout-ms"], 10000)

    @everywhere
    def test_secrets_are_referred_to_and_never_made(self, objects):
        self.assertEqual(chart.of_kind(objects, "Secret"), [])
        for item in chart.of_kind(objects, "ConfigMap"):
            for text in item["data"].values():
                self.assertNotIn("api-key", text)
        for name, pod in chart.pod_specs(objects):
            for container in pod["containers"]:
                for variable in container.get("env", []):
                    if "KEY" in variable["name"]:
                        self.assertEqual(list(variable["valueFrom"]), ["secretKeyRef"], name)

    @everywhere
    def test_hooks_use_our_own_image(self, objects):
        own = chart.one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
        for pod in chart.of_kind(objects, "Pod"):
            self.assertEqual([container["image"] for container in pod["spec"]["containers"]], [own])

    @everywhere
    def test_selectors_select_the_pods_they_mean(self, objects):
        labels = {
            component: chart.one(objects, kind)["spec"]["template"]["metadata"]["labels"]
            for component, kind in (("node", "StatefulSet"), ("gateway", "Deployment"))
        }
        selectors = [
            (item["metadata"]["labels"]["app.kubernetes.io/component"], selector)
            for item in objects
            if item["kind"] in ("Service", "PodDisruptionBudget", "StatefulSet", "Deployment", "NetworkPolicy")
            for selector in [item["spec"].get("selector") or item["spec"]["podSelector"]]
        ]
        self.assertGreaterEqual(len(selectors), 5)
        for component, selector in selectors:
            wanted = selector.get("matchLabels", selector)
            matching = [name for name, have in labels.items() if wanted.items() <= have.items()]
            self.assertEqual(matching, [component])


class Across(unittest.TestCase):
    """Rules between renderings."""

    def test_immutable_fields_stay_when_values_change(self):
        """What Kubernetes refuses to change in place must not depend on what an upgrade may change."""
        plain = chart.one(chart.sized(3), "StatefulSet")["spec"]
        changed = chart.one(
            chart.sized(
                3,
                "--set", "commonLabels.team=x,image.tag=other,node.podLabels.a=b,config.node.raft.append-timeout-ms=2000",
            ),
            "StatefulSet",
        )["spec"]
        for field in ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"):
            self.assertEqual(plain[field], changed[field], field)

    def test_a_changed_config_rolls_its_own_pods_and_no_others(self):
        def checksum(objects, kind):
            return chart.one(objects, kind)["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

        plain = chart.render()
        node = chart.render("--set", "config.node.telemetry.log-filter=debug")
        self.assertNotEqual(checksum(plain, "StatefulSet"), checksum(node, "StatefulSet"))
        self.assertEqual(checksum(plain, "Deployment"), checksum(node, "Deployment"))

    def test_the_join_list_does_not_follow_what_may_change(self):
        """Same founders whatever else is set; and a larger cluster keeps the first ones' names."""
        three = config(chart.sized(3), "node")["cluster"]["peers"]
        self.assertEqual(three, config(chart.sized(3, "--set", "gateway.replicas=9,image.tag=x"), "node")["cluster"]["peers"])
        self.assertEqual(three, config(chart.sized(5), "node")["cluster"]["peers"][:3])
        more = chart.render("--set", "node.replicas=5")
        self.assertEqual(three, config(more, "node")["cluster"]["peers"])
        self.assertEqual(len(config(more, "gateway")["cluster"]["nodes"]), 5)
        fewer = chart.render("--set", "node.replicas=1,node.removed={2,3}")
        self.assertEqual(three, config(fewer, "node")["cluster"]["peers"])

    def test_a_pod_says_where_it_is(self):
        """A node that was added is in no list of peers; its own address must be its stable name."""
        objects = chart.render()
        container = chart.one(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
        names = [item["name"] for item in container["env"]]
        values = {item["name"]: item.get("value", "") for item in container["env"]}
        self.assertLess(names.index("AXP_POD_NAME"), names.index("AXP_NODE__NODE__ADVERTISE_RAFT"))
        for peer in config(objects, "node")["cluster"]["peers"]:
            for key, kind in (("raft-address", "RAFT"), ("api-address", "API")):
                said = values[f"AXP_NODE__NODE__ADVERTISE_{kind}"]
                pod = peer[key].split(".", 1)[0]
                self.assertEqual(said.replace("$(AXP_POD_NAME)", pod), peer[key])

    def test_numbers_stay_whole_and_fractions_stay_fractions(self):
        node = config(
            chart.render(
                "--set-json",
                'config.node={"storage":{"cache-bytes":1073741824},"telemetry":{"trace-sample-ratio":0.125},'
                '"cluster":{"shard-groups":16}}',
            ),
            "node",
        )
        self.assertEqual(node["storage"]["cache-bytes"], 1 << 30)
        self.assertIsInstance(node["storage"]["cache-bytes"], int)
        self.assertEqual(node["telemetry"]["trace-sample-ratio"], 0.125)
        self.assertIsInstance(node["cluster"]["shard-groups"], int)
        self.assertEqual(node["cluster"]["bootstrap-expect"], 3)

    def test_text_survives_the_trip_into_toml(self):
        text = 'say "hi" \\ <&> \t é ${x} # no comment'
        node = config(chart.render("--set-json", "config.node.telemetry.log-filter=" + json.dumps(text)), "node")
        self.assertEqual(node["telemetry"]["log-filter"], text)


class Documents(unittest.TestCase):
    def test_the_values_table_is_fresh(self):
        self.assertEqual(values_table.written(), values_table.wanted(), "run helm/check --table")
