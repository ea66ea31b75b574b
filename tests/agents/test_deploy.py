"""What stands in deploy/ is read by the same code that agents run."""

from pathlib import Path

import pytest
import yaml

from m2kt import domains, zoo
from m2kt.identity import Role
from m2kt_agents.settings import read_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
MANIFESTS = sorted([*DEPLOY.glob("*.yaml"), *DEPLOY.glob("*/*.yaml")])


def documents(path: Path) -> list[dict]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@pytest.mark.parametrize("role", list(Role))
def test_the_settings_of_each_role_are_read(role):
    settings = read_settings(DEPLOY / "config" / f"{role.value}.toml", {})
    assert settings.role is role
    assert set(settings.domains) <= set(domains.names())


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_each_manifest_is_yaml(path):
    assert documents(path)


def started_agents() -> dict[str, tuple[list[str], dict[str, str]]]:
    """By origin and name: arguments and environment of every agent that a manifest starts."""
    found = {}
    for name, service in documents(DEPLOY / "compose.yaml")[0]["services"].items():
        if service["command"][0] == "agent":
            found[f"compose {name}"] = (service["command"], service["environment"])
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for document in documents(path):
            if document["kind"] == "StatefulSet":
                container = document["spec"]["template"]["spec"]["containers"][0]
                environment = {item["name"]: item["value"] for item in container["env"]}
                name = document["metadata"]["name"]
                found[f"kubernetes {name}"] = (container["args"], environment)
    return found


AGENTS = started_agents()


def test_both_ways_start_the_same_agents():
    names = {"broker", "adder", "multiplier", "student"}
    assert set(AGENTS) == {f"{way} {name}" for way in ("compose", "kubernetes") for name in names}


@pytest.mark.parametrize("origin", sorted(AGENTS))
def test_every_agent_that_a_manifest_starts_has_valid_settings(origin):
    (noun, role, option, file), environment = AGENTS[origin]
    assert (noun, option) == ("agent", "--config")
    settings = read_settings(DEPLOY / "config" / Path(file).name, environment)
    assert settings.role.value == role
    assert settings.name == origin.split()[1]
    assert settings.advertise.partition(":")[0] == settings.name
    assert settings.data_dir == Path("/data")
    assert settings.tls is not None
    assert settings.tls.certificate.name == f"{settings.name}.pem"
    assert settings.broker in ("", "broker@broker:7001")
    if settings.role is Role.TEACHER:
        assert settings.model.name in zoo.names()


def test_the_kustomization_names_files_that_are_there():
    found = documents(DEPLOY / "kustomization.yaml")[0]
    files = found["resources"] + found["configMapGenerator"][0]["files"]
    assert [file for file in files if not (DEPLOY / file).exists()] == []
