"""What README and deploy/README tell a newcomer to write and to type is what is there."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from m2kt import domains, zoo
from m2kt.extract import ExtractConfig
from m2kt.identity import AgentId, Role
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.trust import TrustStore
from m2kt_agents import cli
from m2kt_agents.certificates import Authority
from m2kt_agents.permissions import PermissionRules, Permissions
from m2kt_agents.settings import Settings, settings_from

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DEPLOY = (ROOT / "deploy" / "README.md").read_text()
SETTINGS = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)


def command_lines(page: str) -> list[list[str]]:
    """Arguments of every `m2kt ...` that stands in a block of shell, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL) + re.findall(r"(?m)^ {4}(.*)$", page)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("m2kt ")]
    return [line[1:] for line in words]


def mentions(page: str) -> list[list[str]]:
    """The same of every `m2kt ...` within a sentence, which may leave options out."""
    prose = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    found = re.findall(r"`(m2kt [a-z][^`]*)`", prose)
    return [words.replace("ROLE", Role.TEACHER.value).split()[1:] for words in found]


def command_of(words: list[str]):
    """The command that `words` name, and its arguments."""
    command, left = typer.main.get_command(cli.app), list(words)
    while hasattr(command, "commands"):
        command = command.commands[left.pop(0)]
    return command, left


def refused(words: list[str]) -> str:
    """Why the command line does not take `words`; empty if it does. Nothing is run."""
    try:
        command, left = command_of(words)
        command.make_context(words[0], left)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize(
    "line",
    [
        "lern --student a:1",
        "learn --student a:1 --domain d --teecher b:1",
        "learn --domain d --teacher b:1",
        "watch --student a:1",
        "health a:1 --timeout soon",
    ],
)
def test_a_command_line_that_is_wrong_would_be_noticed(line):
    assert refused(line.split()) != ""


def test_every_command_line_is_one_that_can_be_typed():
    lines = command_lines(README) + command_lines(DEPLOY)
    assert {" ".join(line): why for line in lines if (why := refused(line))} == {}


def test_the_guide_shows_every_command_that_connects_two_models():
    shown = {tuple(word for word in line[:2] if word.isalpha()) for line in command_lines(README)}
    needed = {("agent", "teacher"), ("agent", "student"), ("keys", "new"), ("keys", "show")}
    verbs = {words[0] for words in shown}
    assert needed | {("keys", "trust")} <= shown
    assert {"learn", "watch", "ask", "history", "unlearn"} <= verbs


def test_every_command_that_a_sentence_mentions_is_there():
    for words in mentions(README) + mentions(DEPLOY):
        command, left = command_of(words)
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in left if word.startswith("--")} <= options, words


def test_the_guide_has_settings_for_a_teacher_and_a_student(tmp_path):
    found = [settings_from(tomllib.loads(t), base=tmp_path, environ={}) for t in SETTINGS]
    assert {settings.role for settings in found} >= {Role.TEACHER, Role.STUDENT}


@pytest.mark.parametrize("text", SETTINGS)
def test_the_settings_of_the_guide_are_read_to_the_last_rule(text, tmp_path):
    from m2kt_agents.learner import rules_of

    settings = settings_from(tomllib.loads(text), base=tmp_path, environ={})
    assert set(settings.domains) <= set(domains.names())
    assert settings.model.name in zoo.names()
    rules_of(settings)
    settings.rules_for("extract", ExtractConfig)


def test_every_code_that_the_readme_names_is_one_of_ours():
    named = set(re.findall(r"`([A-Z]{2,}(?:_[A-Z]+)*)`", README))
    assert named - set(Reason) - set(TransferState) - {"HEAD"} == set()
    assert {Reason.UNKNOWN_KEY, Reason.TRACE_REFUTED, Reason.NO_GAIN} <= named


def test_every_target_of_make_that_is_named_is_there():
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    code = re.findall(r"```sh\n.*?```|`[^`\n]*`", README, re.DOTALL)
    named = set(re.findall(r"(?m)(?:^|`)make ([a-z-]+)", "\n".join(code)))
    assert {"demo", "test", "setup"} <= named <= targets


@pytest.mark.parametrize("title", ["Connect two models of your own", "What was measured"])
def test_the_figures_of_the_readme_are_those_that_were_recorded(title):
    section = re.search(rf"\n## {title}\n(.*?)\n## ", README, re.DOTALL)
    assert section, title
    figures = re.findall(r"\b[01]\.\d{3}\b|\b\d{1,3}(?:,\d{3})+\b", section[1])
    recorded = (ROOT / "DECISIONS.md").read_text()
    assert len(figures) >= 8
    assert [figure for figure in figures if figure not in recorded] == []


def table_of(page: str, name: str, tmp_path: Path) -> Settings:
    """Settings of the teacher alice with the one indented table of that name on a page."""
    [table] = re.findall(rf"(?m)^ {{4}}\[{name}\]\n(?: {{4}}.*\n)+", page)
    text = 'name = "alice"\nrole = "teacher"\n' + re.sub(r"(?m)^ {4}", "", table)
    return settings_from(tomllib.loads(text), base=tmp_path, environ={})


def test_the_tls_table_of_the_deploy_page_names_what_is_issued(tmp_path):
    tls = table_of(DEPLOY, "tls", tmp_path).tls
    assert tls is not None
    issued = Authority(tmp_path).issue(AgentId("alice"))
    assert issued == tls


def test_the_permissions_of_the_deploy_page_are_the_defaults(tmp_path):
    shown = table_of(DEPLOY, "permissions", tmp_path).rules_for("permissions", PermissionRules)
    for role in (Role.TEACHER, Role.STUDENT):
        rules = [
            Permissions(its, AgentId("alice"), role, TrustStore)._rules
            for its in (shown, PermissionRules())
        ]
        assert rules[0] == rules[1]
