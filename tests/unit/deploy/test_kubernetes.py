"""The manifests against each other and against the code they start. No cluster is needed."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from streamswarm_cli.services import SERVICES
from streamswarm_core.settings import FILE_SUFFIX, PREFIX, variable_name

ROOT: Final = Path(__file__).parents[3]
FOLDER: Final = ROOT / "provisioning/kubernetes"
KUSTOMIZATION: Final[dict[str, Any]] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS: Final[list[dict[str, Any]]] = [
    document for name in KUSTOMIZATION["resources"] for document in yaml.safe_load_all((FOLDER / name).read_text())
]
WORKLOADS: Final = {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] in {"Deployment", "StatefulSet"}}
PORTS: Final = {
    one["metadata"]["name"]: {port["port"] for port in one["spec"]["ports"]}
    for one in OBJECTS
    if one["kind"] == "Service"
}
SECRETS: Final = {
    one["name"]: {file.partition("=")[0]: (FOLDER / file.partition("=")[2]).resolve() for file in one["files"]}
    for one in KUSTOMIZATION["secretGenerator"]
}


def pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = WORKLOADS[name]["spec"]["template"]["spec"]
    return found


def container(name: str) -> dict[str, Any]:
    (found,) = pod(name)["containers"]
    return dict(found)


def test_every_file_is_applied() -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} == {"kustomization.yaml", *KUSTOMIZATION["resources"]}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_can_do_no_more_than_it_has_to(name: str) -> None:
    assert pod(name)["securityContext"]["runAsNonRoot"] is True
    assert pod(name)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    # At each start Kubernetes would give the group all files else, keys too, which services then don't trust.
    assert pod(name)["securityContext"].get("fsGroupChangePolicy", "OnRootMismatch") == "OnRootMismatch"
    assert ("fsGroupChangePolicy" in pod(name)["securityContext"]) == ("fsGroup" in pod(name)["securityContext"])
    assert pod(name)["automountServiceAccountToken"] is False
    # Else a service that somebody names streamswarm-collector would be a setting that there isn't, in every pod.
    assert pod(name)["enableServiceLinks"] is False
    for volume in pod(name).get("volumes", []):
        assert volume.get("secret", {"defaultMode": 0o440})["defaultMode"] == 0o440
        # In memory as in compose, and bounded; but a store keeps its cache there.
        assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"] or name == "vmselect"
    security = container(name)["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"], **({"add": ["NET_RAW"]} if name == "agent" else {})}
    assert security["allowPrivilegeEscalation"] is (name == "agent")
    assert container(name)["resources"]["limits"]["memory"]
    assert "readinessProbe" in container(name)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_isnt_ended_for_what_another_lacks_nor_for_a_slow_second(name: str) -> None:
    probes = {key: one for key, one in container(name).items() if key.endswith("Probe")}
    assert all(one["timeoutSeconds"] >= 5 for one in probes.values())
    paths = {key: one.get("httpGet", {}).get("path") for key, one in probes.items()}
    # A collector's /health fails with its store and the control plane's with PostgreSQL, which no restart mends.
    if name == "collector":
        assert paths["startupProbe"] == paths["livenessProbe"] == "/ready"
    if name == "controlplane":
        assert probes["livenessProbe"]["tcpSocket"] == {"port": 8800}


@pytest.mark.parametrize("name", [name for name, one in WORKLOADS.items() if one["spec"].get("replicas", 1) > 1])
def test_what_may_be_lost_isnt_lost_with_one_node(name: str) -> None:
    (spread,) = pod(name)["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["labelSelector"] == WORKLOADS[name]["spec"]["selector"]


def test_the_commands_let_kustomize_read_the_secrets_which_lie_outside_of_its_folder() -> None:
    outside = [path for files in SECRETS.values() for path in files.values() if not path.is_relative_to(FOLDER)]
    assert outside
    for text in ((FOLDER / "kustomization.yaml").read_text(), (ROOT / "docs/scaling.md").read_text()):
        assert "kubectl kustomize --load-restrictor LoadRestrictionsNone provisioning/kubernetes" in text
        assert "apply --kustomize" not in text


@pytest.mark.parametrize("name", WORKLOADS)
def test_selectors_find_the_pods_and_services_their_ports(name: str) -> None:
    spec = WORKLOADS[name]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert PORTS[name] >= {port["containerPort"] for port in container(name)["ports"]}
    if WORKLOADS[name]["kind"] == "StatefulSet":
        assert spec["serviceName"] == name
    for mount in container(name).get("volumeMounts", []):
        volumes = {one["name"] for one in pod(name).get("volumes", [])}
        assert mount["name"] in volumes | {one["metadata"]["name"] for one in spec.get("volumeClaimTemplates", [])}


@pytest.mark.parametrize("name", SERVICES)
def test_variables_are_ones_that_the_settings_know_and_secrets_are_handed_over(name: str) -> None:
    service = SERVICES[name]
    model = getattr(service.module("settings"), service.settings_class)
    known = {variable_name(model, field) for field in model.model_fields}
    for variable in container(name)["env"]:
        assert variable["name"].startswith(PREFIX)
        assert variable["name"] in known or variable["name"].removesuffix(FILE_SUFFIX) in known
        if str(variable.get("value", "")).startswith("/run/secrets/streamswarm/"):
            assert Path(variable["value"]).name in SECRETS[name]
    assert container(name)["ports"] == [{"containerPort": model.model_fields["port"].default}]


def test_secrets_are_those_that_the_maker_makes() -> None:
    text = (ROOT / "tools/make_secrets.py").read_text()
    for files in SECRETS.values():
        for path in files.values():
            assert path.parent == ROOT / "secrets"
            assert f'"{path.name}"' in text


def test_addresses_are_services_of_the_namespace() -> None:
    for name in SERVICES:
        for variable in container(name)["env"]:
            value = str(variable.get("value", ""))
            if value.startswith("http://"):
                host, _, port = value.removeprefix("http://").split("/")[0].partition(":")
                assert int(port) in PORTS[host]


def test_there_are_as_many_shards_as_pods() -> None:
    shards = next(one["value"] for one in container("ml")["env"] if one["name"] == "STREAMSWARM_ML_SHARDS")
    assert int(shards) == WORKLOADS["ml"]["spec"]["replicas"]
