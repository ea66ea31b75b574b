"""The command line: what it prints, where, and with which exit code it ends."""

import json
import sys
from pathlib import Path

import pytest

from m2kt import domains, zoo
from m2kt.audit import AuditLog, Deed
from m2kt.disk import LocalDisk
from m2kt.errors import ChunkError, M2KTError, RequestError
from m2kt.journal import Journal
from m2kt.language_model import load_language_model
from m2kt.signing import Ed25519Signer
from m2kt.trust import load_trust
from m2kt_agents import cli, console

CONFIG = """
name = "{name}"
role = "{role}"
data_dir = "{name}"
domains = ["arith.mod7"]
[model]
name = "mod7-mul"
threads = 1
[extract]
traces_per_level = 2
"""


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs `m2kt ARGUMENTS`: exit code, stdout, stderr."""

    def call(*arguments: object):
        monkeypatch.setattr(sys, "argv", ["m2kt", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        found = capsys.readouterr()
        return code, found.out, found.err

    return call


@pytest.fixture
def config(tmp_path):
    def write(name: str, role: str = "student") -> Path:
        path = tmp_path / f"{name}.toml"
        path.write_text(CONFIG.format(name=name, role=role))
        return path

    return write


def test_every_command_that_does_something_takes_json(run):
    code, out, _ = run("domains", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)["domains"]] == list(domains.names())
    code, out, _ = run("zoo", "list", "--json")
    assert set(json.loads(out)["models"]) == set(zoo.names())


def test_lists_for_a_person_name_what_there_is(run):
    _, out, _ = run("domains")
    assert "arith.mod7" in out
    _, out, _ = run("zoo", "list")
    assert all(name in out for name in zoo.names())


def test_a_model_is_taught_a_domain_and_the_folder_is_its_name(run, tmp_path):
    out = tmp_path / "tuned"
    code, told, news = run(
        *("zoo", "tune", "mod7-mul", "--domain", "arith.mod7", "--out", out, "--steps", 10),
        "--json",
    )
    assert code == 0
    assert json.loads(told)["figures"]["parameters"] > 0
    assert "tuning tuned" in news
    assert load_language_model(str(out)).card.base_lineage == ("tuned", "mod7-mul")
    code, _, err = run("zoo", "tune", "mod7-mul", "--domain", "nowhere", "--out", out)
    assert code == 2
    assert "expected" in err


def test_a_file_of_a_domain_is_checked_and_listed(run, tmp_path):
    file = tmp_path / "switch.toml"
    file.write_text(
        'name = "switch"\nsymbols = "01"\n[[operations]]\nsign = "!"\noperands = []\n'
        'table = ["1", "0"]\n'
    )
    code, out, _ = run("domains", file, "--json")
    assert code == 0
    assert {"name": "switch", "levels": [1, 2, 3, 4], "symbols": ["0", "1"], "concepts": 2} in (
        json.loads(out)["domains"]
    )
    file.write_text('name = "switch"')
    code, _, err = run("domains", file)
    assert code == 2
    assert "a list of texts for symbols" in err


def test_a_key_is_made_shown_trusted_and_revoked(run, config):
    teacher, student = config("teacher-a", "teacher"), config("student")
    code, out, _ = run("keys", "new", "--config", teacher, "--json")
    key = json.loads(out)["key_id"]
    assert code == 0
    assert Ed25519Signer.load(teacher.parent / "teacher-a" / "key.pem").key_id == key

    run("keys", "trust", key, "--agent", "teacher-a", "--config", student)
    trust = load_trust(student.parent / "student" / "trust.json")
    assert trust.agent_of(key) == "teacher-a"
    _, out, _ = run("keys", "show", "--config", student)
    assert f"trusts {key} of teacher-a\n" in out

    run("keys", "revoke", key, "--config", student, "--reason", "lost")
    _, out, _ = run("keys", "show", "--config", student, "--json")
    shown = json.loads(out)
    assert shown["key_id"] is None
    assert shown["trust"]["revoked"] == {key: "lost"}
    _, out, _ = run("keys", "show", "--config", student)
    assert f"revoked {key}: lost\ntrusts nobody yet" in out


def test_a_key_is_trusted_as_a_root_only_where_asked(run, config):
    teacher, student = config("teacher-a", "teacher"), config("student-s")
    _, out, _ = run("keys", "new", "--config", teacher, "--json")
    key = json.loads(out)["key_id"]
    _, out, _ = run("keys", "trust", key, "--agent", "teacher-a", "--config", student, "--json")
    assert json.loads(out)["root"] is False
    run("keys", "trust", key, "--agent", "teacher-a", "--config", student, "--root")
    _, out, _ = run("keys", "show", "--config", student)
    assert f"trusts {key} of teacher-a, a root of trust\n" in out
    _, out, _ = run("keys", "show", "--config", student, "--json")
    assert json.loads(out)["trust"]["enrolled"][key]["root"] is True


def test_a_key_is_replaced_by_a_statement_that_others_take(run, config, tmp_path):
    teacher, student = config("teacher-a", "teacher"), config("student-r")
    _, out, _ = run("keys", "new", "--config", teacher, "--json")
    old = json.loads(out)["key_id"]
    run("keys", "trust", old, "--agent", "teacher-a", "--config", student)
    statement = tmp_path / "rotation.bin"
    code, out, _ = run("keys", "rotate", "--config", teacher, "--out", statement, "--json")
    told = json.loads(out)
    assert (code, told["old"]) == (0, old)
    assert Ed25519Signer.load(teacher.parent / "teacher-a" / "key.pem").key_id == told["new"]
    assert Ed25519Signer.load(Path(told["old_kept_in"])).key_id == old
    code, out, _ = run("keys", "accept", statement, "--config", student, "--json")
    assert (code, json.loads(out)["trusted"]) == (0, told["new"])
    _, out, _ = run("keys", "show", "--config", student)
    assert f"trusts {old} of teacher-a, replaced by another\n" in out
    assert f"trusts {told['new']} of teacher-a\n" in out
    code, _, err = run("keys", "accept", statement, "--config", student)
    assert (code, "newest key" in err) == (2, True)


@pytest.mark.parametrize("step", ["link", "rename"])
def test_a_change_of_keys_that_was_broken_off_is_made_again(run, config, monkeypatch, step):
    teacher = config("teacher-a", "teacher")
    key_file = teacher.parent / "teacher-a" / "key.pem"
    statement = teacher.parent / "rotation.bin"
    _, out, _ = run("keys", "new", "--config", teacher, "--json")
    old = json.loads(out)["key_id"]
    real = getattr(LocalDisk, step)

    def fails(self, source, target):
        if key_file in (source, target):
            raise OSError(5, "Input/output error")
        real(self, source, target)

    with monkeypatch.context() as broken:
        broken.setattr(LocalDisk, step, fails)
        code, _, err = run("keys", "rotate", "--config", teacher, "--out", statement)
        assert (code != 0, "Input/output error" in err) == (True, True)
    assert Ed25519Signer.load(key_file).key_id == old
    assert run("keys", "rotate", "--config", teacher, "--out", statement)[0] == 0
    assert Ed25519Signer.load(key_file).key_id != old


def test_what_an_agent_did_is_shown_and_a_change_of_it_found(run, config):
    broker = config("broker-b", "broker")
    run("keys", "new", "--config", broker)
    code, _, err = run("audit", "verify", "--config", broker)
    assert (code, "start the agent first" in err) == (6, True)
    key = Ed25519Signer.load(broker.parent / "broker-b" / "key.pem")
    with Journal(broker.parent / "broker-b" / "journal.sqlite") as journal:
        log = AuditLog(journal.database, key)
        for number in range(3):
            log.note(Deed.REGISTERED, {"agent": f"teacher-{number}"}, at_s=float(number))
        count, head = log.head()
    code, out, _ = run("audit", "verify", "--config", broker, "--told", f"3:{head}", "--json")
    assert (code, json.loads(out)["entries"], json.loads(out)["head"]) == (0, count, head)
    _, out, _ = run("audit", "show", "--config", broker, "--last", "2")
    assert "REGISTERED  agent teacher-2" in out
    assert "teacher-0" not in out
    with Journal(broker.parent / "broker-b" / "journal.sqlite") as journal:
        journal.database.rows("DELETE FROM audit WHERE number = 2")
    code, _, err = run("audit", "verify", "--config", broker)
    assert (code, "TAMPERED" in err) == (6, True)


def test_more_signatures_are_asked_for(run, config):
    student = config("student-t")
    code, out, _ = run("keys", "threshold", "2", "--config", student, "--json")
    assert (code, json.loads(out)["threshold"]) == (0, 2)
    assert load_trust(student.parent / "student-t" / "trust.json").threshold == 2


def test_a_key_is_never_overwritten(run, config):
    teacher = config("teacher-a", "teacher")
    run("keys", "new", "--config", teacher)
    code, _, err = run("keys", "new", "--config", teacher)
    assert code == 6
    assert "expected" in err


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A packet of the teacher of *, sealed in a file by the command line itself."""
    folder = tmp_path_factory.mktemp("sealed")
    config, file = folder / "teacher-a.toml", folder / "times.m2kt"
    config.write_text(CONFIG.format(name="teacher-a", role="teacher"))
    arguments = ["extract", "--config", config, "--domain", "arith.mod7", "--out", file]
    patch = pytest.MonkeyPatch()
    for line in (["keys", "new", "--config", config], ["packet", *arguments]):
        patch.setattr(sys, "argv", ["m2kt", *map(str, line)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
    patch.undo()
    return file, Ed25519Signer.load(folder / "teacher-a" / "key.pem").key_id


def test_a_packet_file_is_shown_to_a_person(run, sealed):
    file, key = sealed
    code, out, _ = run("packet", "inspect", file, "--concepts", 3, "--traces", 1)
    assert code == 0
    for part in ("teacher-a", "arith.mod7", "exemplars", "gpt_neox", "Apache-2.0", key[:40]):
        assert part in out


def test_a_packet_file_is_told_as_json(run, sealed):
    file, key = sealed
    _, out, _ = run("packet", "inspect", file, "--json")
    found = json.loads(out)
    assert found["signers"] == [key]
    assert len(found["concepts"]) == 49
    assert all(concept["norm"] > 0 for concept in found["concepts"])
    assert all(len(concept["neighbours"]) == 3 for concept in found["concepts"])
    assert found["provenance"]["meter"]["labels"] == 0


def test_a_packet_of_a_trusted_teacher_may_be_learnt_from(run, config, sealed):
    file, key = sealed
    student = config("student")
    run("keys", "trust", key, "--agent", "teacher-a", "--config", student)
    code, out, _ = run("packet", "verify", file, "--config", student, "--json")
    assert (code, json.loads(out)["acceptable"]) == (0, True)


def test_a_packet_of_a_stranger_is_refused_with_its_reason(run, config, sealed):
    code, out, err = run("packet", "verify", sealed[0], "--config", config("student"), "--json")
    assert code == 4
    assert json.loads(out)["error"]["reason"] == "UNKNOWN_KEY"
    assert err == ""


def test_a_packet_that_screening_refuses_ends_with_exit_code_one(run, config, sealed):
    file, key = sealed
    student = config("student")
    student.write_text(student.read_text() + '[screen]\ndenied_concepts = ["arith.mod7/*"]\n')
    run("keys", "trust", key, "--agent", "teacher-a", "--config", student)
    code, out, _ = run("packet", "verify", file, "--config", student)
    assert code == 1
    assert "DENIED_CONCEPT" in out


def test_a_changed_packet_file_is_refused(run, sealed, tmp_path):
    changed = bytearray(sealed[0].read_bytes())
    changed[-100] ^= 1
    file = tmp_path / "changed.m2kt"
    file.write_bytes(changed)
    code, out, _ = run("packet", "inspect", file, "--json")
    assert (code, json.loads(out)["error"]["reason"]) == (3, "CHUNK_MISMATCH")


def test_what_others_say_is_not_taken_for_our_remedy(run):
    code, _, err = run("history", "--student", "127.0.0.1:1", "--timeout", 5)
    assert code == 7
    remedy = next(line for line in err.splitlines() if line.startswith("remedy"))
    assert "check the address" in remedy
    assert "last error" in err.partition("remedy")[0], "gRPC's own words, semicolons and all"


def test_an_agent_is_not_started_in_another_role(run, config):
    code, _, err = run("agent", "teacher", "--config", config("student"))
    assert code == 2
    assert "remedy" in err


def test_a_student_that_is_not_there_is_a_peer_error(run):
    code, out, _ = run("history", "--student", "127.0.0.1:1", "--timeout", 0.5, "--json")
    assert code == 7
    assert json.loads(out)["error"]["reason"] in {"PEER_UNAVAILABLE", "DEADLINE"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("learn", "--student", "127.0.0.1:1", "--domain", "arith.mod7"),
        ("unlearn", "--student", "127.0.0.1:1"),
        ("agent", "broker", "--config", "nowhere.toml"),
    ],
)
def test_a_request_that_makes_no_sense_ends_with_exit_code_two(run, arguments):
    code, _, err = run(*arguments)
    assert code == 2
    assert "INVALID_ARGUMENT" in err


def test_an_unknown_recipe_or_command_is_refused(run, tmp_path):
    code, _, err = run("zoo", "train", "nobody", "--out", tmp_path)
    assert (code, "NOT_FOUND" in err) == (6, True)
    code, _, _ = run("teach")
    assert code == 2


def test_every_error_has_an_exit_code():
    def tree(error):
        return {error}.union(*(tree(child) for child in error.__subclasses__()))

    assert all(console.exit_code(error("...")) > 1 for error in tree(M2KTError))


def test_an_error_is_told_in_three_parts(capsys):
    console.show_error(RequestError("expected one, found two; take one away"), as_json=False)
    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert [line[0] for line in lines[1:]] == ["expected", "found", "remedy"]
    console.show_error(ChunkError("just broken"), as_json=False)
    assert "just broken" in capsys.readouterr().err


def test_the_version_is_told(run):
    code, out, _ = run("--version")
    assert (code, out.count(".")) == (0, 2)
