"""The KubeRay files and the Dockerfile: Kubernetes' own schemas for the pods, and our rules for the rest."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from mad_ray.cli import build_parser

ROOT = Path(__file__).parents[2]
KUBERAY = ROOT / "cluster" / "kuberay"
CONSTRAINTS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
)
VERSIONS = ("1.31", "1.34")


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((KUBERAY / f"{name}.yaml").read_text())


CLUSTER = load("raycluster")["spec"]
GROUPS = {"head": CLUSTER["headGroupSpec"], **{group["groupName"]: group for group in CLUSTER["workerGroupSpecs"]}}
WORKERS = [name for name in GROUPS if name != "head"]


def pod(group: str) -> dict[str, Any]:
    return GROUPS[group]["template"]["spec"]


def container(group: str) -> dict[str, Any]:
    (found,) = pod(group)["containers"]
    return found


def checked(group: str, version: str) -> None:
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": group}, "spec": pod(group)}
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("group", GROUPS)
def test_kubernetes_takes_the_pod(group, version):
    checked(group, version)


def test_the_check_would_have_found_an_error(monkeypatch):
    monkeypatch.setitem(pod("head"), "serviceAccuntName", "mad-ray")
    with pytest.raises(kubernetes_validate.ValidationError):
        checked("head", VERSIONS[0])


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_the_network_policy(version):
    kubernetes_validate.validate(load("network-policy"), version, strict=True)


# What the custom resources of ray.io/v1 know of what we use (KubeRay's own schemas are not at hand offline).
SPEC = {
    "rayVersion",
    "authOptions",
    "enableInTreeAutoscaling",
    "autoscalerOptions",
    "headGroupSpec",
    "workerGroupSpecs",
}
GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
JOB = {"entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "backoffLimit", "rayClusterSpec"}


def test_the_resources_have_the_fields_that_kuberay_knows():
    for name, kind in (("raycluster", "RayCluster"), ("rayjob", "RayJob")):
        assert (load(name)["apiVersion"], load(name)["kind"]) == ("ray.io/v1", kind)
    assert CLUSTER.keys() == SPEC
    assert CLUSTER["headGroupSpec"].keys() == {"rayStartParams", "template"}
    assert all(group.keys() == GROUP for group in CLUSTER["workerGroupSpecs"])
    assert load("rayjob")["spec"].keys() == JOB


def test_the_job_ends_with_its_study_on_the_same_cluster():
    job = load("rayjob")["spec"]
    assert job["rayClusterSpec"] == CLUSTER
    assert job["shutdownAfterJobFinishes"] is True
    assert 0 < job["backoffLimit"] <= 5
    args = build_parser().parse_args(job["entrypoint"].split()[1:])
    assert args.command == "run"
    assert (ROOT / args.config).is_file()


@pytest.mark.parametrize("group", GROUPS)
def test_the_image_has_the_ray_that_is_pinned(group):
    assert CLUSTER["rayVersion"] == CONSTRAINTS["ray"]
    name, _, tag = container(group)["image"].rpartition(":")
    assert name == "YOUR-REGISTRY/mad-ray"
    assert tag == CONSTRAINTS["ray"] + ("-gpu" if group == "gpu-spot" else "")


def rules(group: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    affinity = pod(group)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    for term in affinity["nodeSelectorTerms"]:
        for rule in term["matchExpressions"]:
            yield rule["key"], rule["operator"], tuple(rule.get("values", ()))


def test_workers_are_spot_and_the_head_is_not():
    spot = {key for key, operator, _ in rules("cpu-spot") if operator == "In"}
    assert len(spot) == 4
    for group in WORKERS:
        assert set(rules(group)) == set(rules("cpu-spot"))
        assert any(toleration["key"] == "spot" for toleration in pod(group)["tolerations"])
        assert (GROUPS[group]["minReplicas"], GROUPS[group]["maxReplicas"]) == (0, 16)
    assert {key for key, operator, _ in rules("head") if operator in ("NotIn", "DoesNotExist")} == spot
    assert "tolerations" not in pod("head")
    assert CLUSTER["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    assert CLUSTER["enableInTreeAutoscaling"] is True


def test_only_the_gpu_group_asks_for_gpus():
    asking = {group for group in GROUPS if "nvidia.com/gpu" in container(group)["resources"]["limits"]}
    assert asking == {"gpu-spot"}
    for group in GROUPS:
        resources = container(group)["resources"]
        assert resources["requests"] == resources["limits"], "Ray believes what the limits say"


@pytest.mark.parametrize("group", GROUPS)
def test_pods_may_do_no_more_than_they_must(group):
    assert pod(group)["serviceAccountName"] == "mad-ray"
    assert pod(group)["securityContext"]["runAsNonRoot"] is True
    assert pod(group)["restartPolicy"] == "Never", "a restarted pod would pass for another node"
    assert container(group)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not any(key in pod(group) for key in ("hostNetwork", "hostPID", "volumes"))
    # KubeRay's autoscaler, beside the head, talks to Kubernetes; workers do not.
    assert pod(group).get("automountServiceAccountToken", True) is (group == "head")
    assert {"livenessProbe", "readinessProbe"} <= container(group).keys()


@pytest.mark.parametrize("group", GROUPS)
def test_secrets_are_named_and_never_told(group):
    assert CLUSTER["authOptions"] == {"mode": "token", "secretName": "mad-ray-token"}
    assert container(group)["envFrom"] == [{"secretRef": {"name": "mad-ray-store", "optional": True}}]
    assert "env" not in container(group)


@pytest.mark.parametrize("group", WORKERS)
def test_a_pod_that_must_go_drains_first(group):
    shell = container(group)["lifecycle"]["preStop"]["exec"]["command"][-1]
    command, _, wait = shell.partition(" && sleep ")
    args = build_parser().parse_args(command.split()[1:])
    assert args.now
    assert float(wait) < args.deadline_s < pod(group)["terminationGracePeriodSeconds"]


def test_the_dockerfile_installs_what_is_pinned_and_runs_as_nobody_in_particular():
    text = (ROOT / "cluster" / "Dockerfile").read_text()
    installs = re.findall(r"pip install ((?:[^\n]|\\\n)*)", re.sub(r"\\\n\s*", "", text))
    assert len(installs) == 2
    assert "constraints.txt" in installs[0]
    assert "grep '^torch=='" in installs[0]
    assert "-c /src/constraints.txt" in installs[1]
    last = text.rpartition("\nFROM ")[2]
    assert "\nUSER ray\n" in last
    assert "RAY_AUTH_MODE=token" in last
    copied = {name for names in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for name in names.split()}
    assert all((ROOT / name).exists() for name in copied)
    kept = {line[1:].rstrip("/*") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}
    assert copied == kept, "what is copied is what the build context holds"
