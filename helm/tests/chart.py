"""Renders the chart, for the tests beside this file."""

import functools
import os
import pathlib
import subprocess

import yaml

HELM = os.environ["HELM"]
CHART = pathlib.Path(__file__).resolve().parent.parent / "axp"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))


class Refused(Exception):
    """Helm did not render; the text is what it says."""


@functools.cache
def render(*arguments: str, kube_version: str = "1.37.0") -> tuple[dict, ...]:
    """The objects that `helm template` makes, hooks included."""
    result = subprocess.run(
        [HELM, "template", "test", str(CHART), "--namespace", "space", "--kube-version", kube_version, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if result.returncode != 0:
        raise Refused(result.stderr)
    return tuple(item for item in yaml.safe_load_all(result.stdout) if item)


def with_file(path: pathlib.Path) -> tuple[dict, ...]:
    return render("--values", str(path))


def sized(replicas: int, *more: str) -> tuple[dict, ...]:
    return render("--set", f"node.replicas={replicas},node.bootstrapSize={replicas}", *more)


def of_kind(objects, kind: str, component: str | None = None) -> list[dict]:
    return [
        item
        for item in objects
        if item["kind"] == kind
        and component in (None, item["metadata"].get("labels", {}).get("app.kubernetes.io/component"))
    ]


def one(objects, kind: str, component: str | None = None) -> dict:
    (item,) = of_kind(objects, kind, component)
    return item


def pod_specs(objects) -> list[tuple[str, dict]]:
    """Every pod that the objects would make, by name."""
    pods = [
        (item["metadata"]["name"], item["spec"]["template"]["spec"])
        for kind in ("StatefulSet", "Deployment", "Job")
        for item in of_kind(objects, kind)
    ]
    return pods + [(item["metadata"]["name"], item["spec"]) for item in of_kind(objects, "Pod")]
