"""Settings come from one file and the environment; what nobody knows is refused."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from m2kt import domains
from m2kt.errors import RequestError
from m2kt.identity import Role
from m2kt.verify import VerifyRules
from m2kt_agents.settings import (
    Executor,
    add_domains,
    built,
    ray_environment,
    read_settings,
)

FULL = """
name = "student-1"
role = "student"
listen = "127.0.0.1:7003"
data_dir = "state"
domains = ["arith.mod7"]
executor = "ray"
[model]
name = "smollm2-135m"
threads = 2
[limits]
drain_s = 1
[tls]
key = "tls/key.pem"
certificate = "tls/cert.pem"
authority = "/etc/m2kt/ca.pem"
[verify]
probes_per_level = 9
"""


def read(tmp_path: Path, text: str, **environ: str):
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return read_settings(path, environ)


def test_a_whole_file_is_read_and_paths_are_relative_to_it(tmp_path):
    settings = read(tmp_path, FULL)
    assert settings.role is Role.STUDENT
    assert settings.executor is Executor.RAY
    assert settings.domains == ("arith.mod7",)
    assert settings.limits.drain_s == 1.0
    assert settings.key_file == tmp_path / "state" / "key.pem"
    assert settings.tls is not None
    assert settings.tls.key == tmp_path / "tls" / "key.pem"
    assert settings.tls.authority == Path("/etc/m2kt/ca.pem")
    assert settings.rules_for("verify", VerifyRules) == VerifyRules(probes_per_level=9)


def test_a_models_folder_is_relative_to_the_file_and_any_other_name_is_left_alone(tmp_path):
    text = 'name = "t"\nrole = "teacher"\n[model]\nname = "models/mine"'
    assert read(tmp_path, text).model.name == "models/mine"
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert read(tmp_path, text).model.name == "models/mine"
    (tmp_path / "models" / "mine" / "config.json").touch()
    assert read(tmp_path, text).model.name == str(tmp_path / "models" / "mine")
    assert read(tmp_path, 'name = "t"\nrole = "teacher"').model.name == "smollm2-135m"


def test_a_folder_of_adapters_is_a_models_folder_too(tmp_path):
    adapters = tmp_path / "tuned" / "mine"
    adapters.mkdir(parents=True)
    text = 'name = "t"\nrole = "teacher"\n[model]\nname = "../tuned/mine"'
    (tmp_path / "config").mkdir()
    assert read(tmp_path / "config", text).model.name == "../tuned/mine"
    (adapters / "adapter_config.json").touch()
    found = Path(read(tmp_path / "config", text).model.name)
    assert found.is_absolute()
    assert found.resolve() == adapters.resolve()


@pytest.mark.parametrize("least", ["0", "0.5", "1"])
def test_a_share_of_problems_may_be_expected_of_a_teacher(tmp_path, least):
    text = f'name = "s"\nrole = "student"\n[limits]\nmin_outlook = {least}'
    assert read(tmp_path, text).limits.min_outlook == float(least)


def test_everything_but_name_and_role_has_a_default(tmp_path):
    settings = read(tmp_path, 'name = "t"\nrole = "teacher"')
    assert settings.data_dir == tmp_path / "data" / "t"
    assert settings.trust_file == tmp_path / "data" / "t" / "trust.json"
    assert settings.tls is None
    assert settings.rules_for("verify", VerifyRules) == VerifyRules()


def test_the_environment_overrides_the_file(tmp_path):
    settings = read(
        tmp_path,
        FULL,
        M2KT_LISTEN="0.0.0.0:9000",
        M2KT_MODEL__THREADS="7",
        M2KT_VERIFY__UNSAFE_LIMIT="0.25",
        HOME="/ignored",
    )
    assert settings.listen == "0.0.0.0:9000"
    assert settings.model.threads == 7
    assert settings.rules_for("verify", VerifyRules).unsafe_limit == 0.25


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("colour = 1", "unknown colour"),
        ('[model]\nnmae = "x"', "unknown nmae"),
        ("listen = 7", "listen to be of type str"),
        ('[limits]\ndrain_s = "long"', "drain_s to be of type float"),
        ("[limits]\nwaiting = true", "waiting to be of type int"),
        ("[limits]\nmin_outlook = nan", "min_outlook from 0 to 1, .* found nan"),
        ("[limits]\nmin_outlook = 1.5", "min_outlook from 0 to 1, .* found 1.5"),
        ("[limits]\nmin_outlook = -0.1", "min_outlook from 0 to 1, .* found -0.1"),
        ('executor = "cloud"', "thread, ray"),
        ("domains = 3", "domains"),
        ("[model", "TOML"),
    ],
)
def test_what_nobody_knows_is_refused_with_what_would_be_right(tmp_path, line, complaint):
    with pytest.raises(RequestError, match=complaint):
        read(tmp_path, f'name = "t"\nrole = "teacher"\n{line}')


def test_a_setting_without_default_is_required(tmp_path):
    with pytest.raises(RequestError, match="no role"):
        read(tmp_path, 'name = "t"')


def test_a_missing_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(RequestError, match=r"nowhere\.toml"):
        read_settings(tmp_path / "nowhere.toml", {})


def test_an_unknown_rule_is_refused_by_whoever_reads_the_table(tmp_path):
    settings = read(tmp_path, FULL.replace("probes_per_level", "probes_each"))
    with pytest.raises(RequestError, match=r"\[verify\].*unknown probes_each"):
        settings.rules_for("verify", VerifyRules)


@dataclass(frozen=True)
class Inner:
    names: frozenset[str] = frozenset()
    seed: int | None = None
    weights: dict[str, float] | None = None


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    width: float = 1.0


def test_nested_tables_become_nested_values():
    found = built(
        Outer,
        {"width": 2, "inner": {"names": ["a"], "seed": 3, "weights": {"a": 1.0}}},
        where="[outer]",
    )
    assert found == Outer(Inner(frozenset({"a"}), 3, {"a": 1.0}), 2.0)


def test_ray_is_told_to_keep_quiet_unless_somebody_said_otherwise():
    environ = {"RAY_USAGE_STATS_ENABLED": "1"}
    ray_environment(environ)
    assert environ["RAY_USAGE_STATS_ENABLED"] == "1"
    assert environ["RAY_prestart_worker_first_driver"] == environ["RAY_worker_niceness"] == "0"


def test_files_of_domains_are_relative_to_the_settings(tmp_path):
    (tmp_path / "light.toml").write_text(
        'name = "light"\nsymbols = "rg"\n[[operations]]\nsign = "!"\noperands = []\n'
        'table = ["g", "r"]\n'
    )
    add_domains(read(tmp_path, FULL.replace("[model]", 'domain_files = ["light.toml"]\n[model]')))
    assert domains.get("light").solve("r!").answer == "g"


def test_a_model_asks_for_resources_of_ray_by_name(tmp_path):
    text = 'name = "s"\nrole = "student"\n[model]\nresources = { gpu_box = 1, fast = 0.5 }'
    assert read(tmp_path, text).model.resources == {"gpu_box": 1, "fast": 0.5}


@pytest.mark.parametrize("table", ["GPU = 1", "gpu_box = 0", 'gpu_box = "one"', "gpu_box = true"])
def test_resources_that_ray_has_no_names_or_numbers_for_are_refused(tmp_path, table):
    text = f'name = "s"\nrole = "student"\n[model]\nresources = {{ {table} }}'
    with pytest.raises(RequestError, match="resources"):
        read(tmp_path, text)


def test_a_student_pulls_at_least_one_stream(tmp_path):
    with pytest.raises(RequestError, match="streams of at least 1"):
        read(tmp_path, 'name = "s"\nrole = "student"\n[limits]\nstreams = 0')
