"""infra/k8s, put together by kubectl and held against the API's own schemas and some rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

K8S = Path(__file__).parents[2] / "infra" / "k8s"
PARTS = ("base", "teachers", "jobs", "ray")
VERSION = "1.35"
OURS = ("RayCluster",)
"""Kinds that Kubernetes itself does not know."""


@cache
def rendered(part: str) -> tuple[dict[str, Any], ...]:
    kubectl = shutil.which("kubectl", path=str(Path(sys.executable).parent))
    kubectl = kubectl or shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl; infra/install-validators.sh installs it")
    asked = [kubectl, "kustomize", str(K8S / part)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def everything() -> list[dict[str, Any]]:
    return [document for part in PARTS for document in rendered(part)]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod's labels and specification, of whatever makes it."""
    for document in [*everything(), job()]:
        name, spec = document["metadata"].get("name", "run"), document.get("spec", {})
        if document["kind"] == "RayCluster":
            yield name, spec["headGroupSpec"]["template"]
            for group in spec["workerGroupSpecs"]:
                yield name, group["template"]
        elif "template" in spec:
            yield name, spec["template"]


def job() -> dict[str, Any]:
    """What a Kubernetes work pool makes of the template, with its defaults."""
    template = json.loads((K8S / "jobs" / "job-template.json").read_text())
    defaults = {
        name: about.get("default") for name, about in template["variables"]["properties"].items()
    }

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(one) for key, one in value.items()}
        if isinstance(value, list):
            return [filled(one) for one in value]
        if isinstance(value, str) and (one := re.fullmatch(r"\{\{ (\w+) \}\}", value)):
            return defaults[one[1]]
        return value.replace("{{ name }}", "run") if isinstance(value, str) else value

    return dict(filled(template["job_configuration"]["job_manifest"]))


@pytest.mark.parametrize("part", PARTS)
def test_the_api_takes_every_document(part: str) -> None:
    for document in rendered(part):
        if document["kind"] not in OURS:
            kubernetes_validate.validate(document, VERSION, strict=True)
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "cord"


def test_the_api_takes_the_jobs_and_the_pods_of_the_ray_cluster() -> None:
    kubernetes_validate.validate(job(), VERSION, strict=True)
    for document in rendered("ray"):
        if document["kind"] == "RayCluster":
            spec = document["spec"]
            for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
                pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray"}}
                pod |= {"spec": group["template"]["spec"]}
                kubernetes_validate.validate(pod, VERSION, strict=True)


def test_no_pod_is_root_keeps_a_capability_or_writes_to_its_image() -> None:
    for name, template in pods():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not spec.get("hostNetwork") and not spec.get("hostPID"), name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            limits = container["resources"]["limits"]
            assert limits["cpu"] and limits["memory"], name
        assert not [volume for volume in spec["volumes"] if "hostPath" in volume], name


def test_every_image_is_of_one_version() -> None:
    for name, template in pods():
        spec = template["spec"]
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert re.search(r":v?\d+\.\d+(\.\d+)?[\w.-]*$", container["image"]), name


def test_only_the_worker_that_starts_jobs_may_ask_the_cluster() -> None:
    asking = {name for name, template in pods() if template["spec"]["automountServiceAccountToken"]}
    assert asking == {"job-worker"}
    (role,) = [document for document in everything() if document["kind"] == "Role"]
    assert not [document for document in everything() if document["kind"].startswith("Cluster")]
    for rule in role["rules"]:
        assert "*" not in rule["verbs"] and "*" not in rule["resources"]
        assert "secrets" not in rule["resources"]


def test_secrets_are_named_and_never_written() -> None:
    assert not [document for document in everything() if document["kind"] == "Secret"]
    made = (K8S.parent / "make-secrets.sh").read_text()
    for name, template in pods():
        for container in template["spec"]["containers"]:
            for variable in container.get("env", []):
                if re.search("PASSWORD$|SECRET|TOKEN|API_KEY|AUTH_STRING", variable["name"]):
                    key = variable["valueFrom"]["secretKeyRef"]
                    assert key["name"] == "cord", name
                    assert key.get("optional") or f"keep {key['key']}" in made, key


def test_what_serves_is_looked_at_while_it_starts_and_after() -> None:
    for document in everything():
        if document["kind"] in ("Deployment", "StatefulSet"):
            for container in document["spec"]["template"]["spec"]["containers"]:
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    assert probe in container, (document["metadata"]["name"], probe)


def test_services_and_policies_select_pods_that_are_there() -> None:
    labels = [template["metadata"]["labels"] for _, template in pods()]

    def selects(selector: dict[str, Any]) -> bool:
        wanted = selector.get("matchLabels", {})
        either = selector.get("matchExpressions", [])
        return any(
            all(one.get(key) == value for key, value in wanted.items())
            and all(one.get(rule["key"]) in rule["values"] for rule in either)
            for one in labels
        )

    for document in everything():
        spec, name = document.get("spec", {}), document["metadata"]["name"]
        if document["kind"] == "Service":
            assert selects({"matchLabels": spec["selector"]}), name
        elif document["kind"] == "NetworkPolicy":
            assert selects(spec["podSelector"]), name
        elif document["kind"] in ("PodDisruptionBudget", "Deployment", "StatefulSet"):
            assert selects(spec["selector"]), name


def test_nothing_passes_unless_named_and_models_ask_nobody() -> None:
    policies = {
        document["metadata"]["name"]: document["spec"]
        for document in everything()
        if document["kind"] == "NetworkPolicy"
    }
    closed = policies["nothing-unless-named"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert policies["teachers-from-workers"]["egress"] == []
    assert "Egress" in policies["teachers-from-workers"]["policyTypes"]


def test_teachers_have_their_gpus_and_a_model_each() -> None:
    served = {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]["containers"][0]
        for document in rendered("teachers")
        if document["kind"] == "Deployment"
    }
    assert served.keys() == {"qwq-teacher", "r1qwen-teacher", "phi4-teacher"}
    for name, container in served.items():
        gpus = container["resources"]["limits"]["nvidia.com/gpu"]
        split = [word for word in container["args"] if word.startswith("--tensor-parallel-size")]
        assert gpus == (split[0].split("=")[1] if split else "1"), name
    services = [d for d in rendered("teachers") if d["kind"] == "Service"]
    assert len({json.dumps(service["spec"]["selector"]) for service in services}) == 3


def test_the_dashboard_is_reached_by_tls() -> None:
    (ingress,) = [d for d in rendered("base") if d["kind"] == "Ingress"]
    (tls,) = ingress["spec"]["tls"]
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == tls["hosts"]


def test_ray_takes_its_cluster_and_all_are_of_the_pinned_version() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    text = (K8S.parent / "ray" / "cluster.yaml").read_text()
    validate_config(prepare_config(yaml.safe_load(text)))
    constraints = (K8S.parent / "constraints.txt").read_text()
    (pinned,) = re.findall(r"^ray==(.*)$", constraints, re.MULTILINE)
    (cluster,) = [d for d in rendered("ray") if d["kind"] == "RayCluster"]
    assert cluster["spec"]["rayVersion"] == pinned
    assert f"ray {pinned}" in text


def test_compose_and_kubernetes_pin_the_same_images() -> None:
    services = yaml.safe_load((K8S.parent / "compose.yaml").read_text())["services"]
    composed = {service["image"] for service in services.values() if "image" in service}
    composed |= {yaml.safe_load((K8S.parent / "compose.yaml").read_text())["x-vllm"]["image"]}
    for _, template in pods():
        for container in template["spec"]["containers"]:
            image = container["image"].split("/")[-1].split(":")[0]
            same = [one for one in composed if one.split("/")[-1].split(":")[0] == image]
            assert same in ([container["image"]], []), container["image"]
