"""Container files and manifests: what they name exists, nothing listens to the world, nothing runs as root."""

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.schedule.__main__ import app

ROOT = Path(__file__).parents[1]
INFRA = ROOT / "infra"
COMPOSE: dict[str, Any] = yaml.safe_load((INFRA / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
MANIFESTS: list[dict[str, Any]] = [
    manifest
    for path in sorted((INFRA / "kubernetes").glob("*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text())
    if "kind" in manifest
]
PODS = {m["metadata"]["name"]: m["spec"]["template"]["spec"] for m in MANIFESTS if m["kind"] == "Deployment"}
CONTAINERS = [
    container for pod in PODS.values() for container in [*pod.get("initContainers", []), *pod["containers"]]
]
# Settings of prefect-redis, which only the server has.
REDIS_SETTINGS = {"PREFECT_REDIS_MESSAGING_URL"}
SERVER_COMMANDS = {
    ("prefect", "server", "database", "upgrade"),
    ("prefect", "server", "services", "start"),
    ("prefect", "server", "start"),
    ("mlflow", "server"),
}


def environment_names() -> set[str]:
    """Every variable that compose, manifests and the server's file set for our images."""
    names = {name for service in OURS for name in SERVICES[service].get("environment", {})}
    names |= {key for m in MANIFESTS if m["kind"] == "ConfigMap" for key in m["data"]}
    names |= {entry["name"] for container in CONTAINERS for entry in container.get("env", [])}
    return names | set(
        re.findall(r"^([A-Z_]+)=", (INFRA / "server" / "prefect.env").read_text(), re.MULTILINE)
    )


def commands() -> Iterator[list[str]]:
    yield from (SERVICES[name]["command"] for name in OURS if "command" in SERVICES[name])
    yield from (container["command"] for container in CONTAINERS)


def test_prefect_knows_every_setting_that_is_given_to_it():
    from prefect.settings import Settings

    known = set(Settings().to_environment_variables(exclude_unset=False)) | REDIS_SETTINGS
    # Prefect still reads these under their older names.
    known |= {
        "PREFECT_API_URL",
        "PREFECT_API_DATABASE_CONNECTION_URL",
        "PREFECT_MESSAGING_BROKER",
        "PREFECT_MESSAGING_CACHE",
    }
    known |= {"PREFECT_SERVER_EVENTS_CAUSAL_ORDERING", "PREFECT_SERVER_DATABASE_MIGRATE_ON_START"}
    given = {name for name in environment_names() if name.startswith("PREFECT_")}
    assert given - known == set()


def test_our_code_reads_every_variable_of_ours():
    source = "".join(path.read_text() for path in (ROOT / "shared").rglob("*.py"))
    given = {name for name in environment_names() if name.startswith("FIELDWORK_")}
    assert given
    assert {name for name in given if f'"{name}"' not in source} == set()


def test_every_command_exists():
    ours = {command.name: command.callback for command in app.registered_commands}
    for command in commands():
        if command[:3] == ["python", "-m", "apps.schedule"]:
            assert command[3] in ours
        else:
            known = [each for each in SERVER_COMMANDS if tuple(command[: len(each)]) == each]
            assert known, command


def test_every_target_of_the_dockerfile_that_is_built_exists():
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (INFRA / "Dockerfile").read_text(), re.MULTILINE)
    assert {SERVICES[name]["build"]["target"] for name in OURS} == {"server", "fieldwork"}
    assert {"server", "fieldwork"} <= set(stages)


def test_images_do_not_run_as_root_and_copy_only_what_exists():
    text = (INFRA / "Dockerfile").read_text()
    for target in ("server", "fieldwork"):
        stage = re.search(rf"^FROM base AS {target}$(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
        assert stage is not None
        assert "USER 10001" in stage[1]
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())
    assert not re.search(r"PASSWORD|TOKEN|SECRET", text)


def test_only_the_loopback_interface_of_the_host_is_published():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_services_that_stay_are_watched_and_those_that_depend_on_health_can():
    once = {"migrate", "deploy"}
    # the scheduler listens nowhere: its work shows in the server's database
    unwatched = {name for name, service in SERVICES.items() if "healthcheck" not in service}
    assert unwatched == once | {"scheduler"}
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in once else "service_healthy"
            assert how["condition"] == wanted


def test_passwords_are_asked_for_and_never_given():
    text = (
        "".join(path.read_text() for path in sorted(INFRA.rglob("*.yaml")))
        + (INFRA / "server" / "prefect.env").read_text()
    )
    for address in re.findall(r"//\w*:([^@\s]+)@", text):
        assert address.startswith("${POSTGRES_PASSWORD:?") or address == "PASSWORD"


def test_pods_run_without_root_and_without_a_writable_image():
    assert set(PODS) == {"fieldwork-worker", "prefect-scheduler", "prefect-server"}
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in PODS.values())
    for container in CONTAINERS:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["resources"]["limits"]["memory"]


def test_every_volume_config_and_port_that_a_pod_names_is_there():
    maps = {m["metadata"]["name"] for m in MANIFESTS if m["kind"] == "ConfigMap"}
    for pod in PODS.values():
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert {source["configMapRef"]["name"] for source in container["envFrom"]} <= maps
            ports = {port["name"] for port in container.get("ports", [])}
            probes = [value for key, value in container.items() if key.endswith("Probe")]
            assert {probe["httpGet"]["port"] for probe in probes} <= ports


def test_server_and_workers_have_the_same_releases():
    pinned = dict(
        re.findall(r"^([a-z0-9-]+)==(\S+)", (INFRA / "server" / "requirements.txt").read_text(), re.MULTILINE)
    )
    locked = {
        package["name"]: package["version"]
        for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    }
    names = ("prefect", "mlflow")
    assert {name: pinned[name] for name in names} == {name: locked[name] for name in names}
    assert "prefect-redis" in pinned


@pytest.mark.parametrize("versions", ["server", "workers"])
def test_sqlalchemy_is_one_with_which_prefect_plans_runs(versions):
    """With 2.1 the scheduler of Prefect 3.8 fails at every insert, and only its log says so."""
    if versions == "server":
        text = (INFRA / "server" / "requirements.txt").read_text()
        version = re.search(r"^sqlalchemy==(\S+)", text, re.MULTILINE)
    else:
        version = re.search(
            r'^name = "sqlalchemy"\nversion = "(\S+)"', (ROOT / "uv.lock").read_text(), re.MULTILINE
        )
    assert version is not None
    assert version[1].startswith("2.0.")


@pytest.mark.parametrize("script", ["deploy", "worker"])
def test_scripts_are_executable_and_hand_on_their_arguments(script):
    path = INFRA / script
    assert os.access(path, os.X_OK)
    result = subprocess.run([path, "--no-such-option"], capture_output=True, text=True)
    assert result.returncode == 2
    assert "--no-such-option" in result.stderr
