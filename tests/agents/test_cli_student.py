"""The commands that talk to a student, and the one that starts an agent, over real gRPC."""

import asyncio
import io
import json
import os
import signal
import socket
import sys
import threading
import time

import pytest

from m2kt.reasons import Reason
from m2kt.symptoms import Cause, Diagnosis, Symptom
from m2kt.verdict import Evidence, Rejected
from m2kt_agents import cli, showing
from tests.simulator import DOMAIN, STUDENT, Town, adder


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


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """A student, a teacher that it trusts, and one whose key it does not know.

    They live on the event loop of another thread: each command has a loop of its own.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    town = Town(tmp_path_factory.mktemp("town"))

    async def opened() -> dict[str, str]:
        town.trust("student", "adder")
        found = {
            "student": (await town.start("student", STUDENT)).address,
            "adder": (await town.serve(adder(town).service)).address,
            "stranger": (await town.serve(adder(town, "stranger").service)).address,
        }
        return found | {"key": town.signer("adder").key_id}

    yield asyncio.run_coroutine_threadsafe(opened(), loop).result(60)
    asyncio.run_coroutine_threadsafe(town.__aexit__(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="module")
def learnt(addresses):
    """What `m2kt learn --json` told of a transfer that the student accepted."""
    line = ["learn", "--student", addresses["student"], "--domain", DOMAIN]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["m2kt", *line, "--teacher", addresses["adder"], "--json"])
        patch.setattr(sys, "stdout", told := io.StringIO())
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code
    return json.loads(told.getvalue())


def test_a_dry_run_shows_what_is_foretold_of_each_teacher(run, addresses):
    line = ("learn", "--student", addresses["student"], "--domain", DOMAIN, "--dry-run")
    code, out, _ = run(*line, "--teacher", addresses["adder"], "--json")
    told = json.loads(out)
    assert (code, told["domain"], told["threshold"]) == (0, DOMAIN, 0.0)
    [its] = told["foretold"]
    assert (its["teacher"], its["agent"], its["learns"]) == (addresses["adder"], "adder", True)
    gain = its["outlook"]["gain"]
    assert 0 < gain <= 1

    both = ("--teacher", addresses["adder"], "--teacher", addresses["stranger"])
    code, out, _ = run(*line, *both)
    assert code == 1
    head, adder, stranger, *reasons = out.strip().splitlines()
    columns = "teacher before recognised depth steadiness foretold gain it would"
    assert head.split() == columns.split()
    assert adder.split()[0] == addresses["adder"]
    assert adder.split()[-2:] == [f"{gain:.3f}", "learn"]
    assert stranger.split() == [addresses["stranger"], "refuse"]
    assert f"{addresses['stranger']}: UNKNOWN_KEY. expected an enrolled key" in " ".join(reasons)


def test_a_dry_run_needs_teachers_to_ask(run, addresses):
    line = ("learn", "--student", addresses["student"], "--domain", DOMAIN, "--dry-run")
    code, _, err = run(*line, "--broker", "127.0.0.1:1")
    assert code == 2
    assert "--dry-run with --teacher alone" in err


def test_more_packets_can_be_waited_for_and_not_for_ever(run, addresses):
    line = ("learn", "--student", addresses["student"], "--domain", DOMAIN, "--quorum", 2)
    code, _, err = run(*line, "--teacher", addresses["adder"])
    assert code == 2
    assert "quorum of at most 1" in err
    both = ("--teacher", addresses["adder"], "--teacher", addresses["stranger"])
    code, out, err = run(*line, *both, "--collect", 20)
    assert code == 1
    assert "expected 2 authentic packets, found 1" in " ".join(out.split())
    assert "used 0 of 2 sources" in err


def test_learning_shows_every_event_and_ends_with_the_verdict(run, addresses, learnt):
    assert learnt["transfer"]["state"] == "COMMITTED"
    numbers = [event["number"] for event in learnt["events"]]
    assert numbers == list(range(1, len(numbers) + 1))

    name = learnt["transfer"]["transfer"]
    code, out, err = run("watch", name, "--student", addresses["student"], "--from", 3)
    assert code == 0
    assert "accepted" in out
    assert len(err.splitlines()) >= len(numbers) - 2

    code, out, err = run("watch", name, "--student", addresses["student"], "--json")
    assert json.loads(out)["events"] == learnt["events"]


def test_a_student_that_declines_ends_with_exit_code_one(run, addresses, learnt):
    line = ("learn", "--student", addresses["student"], "--domain", DOMAIN)
    code, out, _ = run(*line, "--teacher", addresses["stranger"])
    assert code == 1
    assert "rejected: UNKNOWN_KEY. I do not know the key that signed this." in out
    assert "m2kt keys trust" in out


def test_questions_are_answered_with_what_was_learnt(run, addresses, learnt):
    line = ("ask", "1+1", "2+3", "--student", addresses["student"], "--domain", DOMAIN)
    code, out, _ = run(*line, "--json")
    assert code == 0
    assert [answer["question"] for answer in json.loads(out)["answers"]] == ["1+1", "2+3"]
    code, out, _ = run(*line)
    assert "1+1" in out


def test_the_teachers_are_listed_with_how_their_packets_held_up(run, addresses, learnt):
    code, out, _ = run("teachers", "--student", addresses["student"], "--json")
    [its] = json.loads(out)["teachers"]
    assert (code, its["teacher"]) == (0, "adder"), "nobody else's signature was right"
    assert (its["accepted"], its["rejected"], its["agreed"], its["disputed"]) == (1, 0, 0, 0)
    assert its["score"] == pytest.approx(2 / 3, abs=0.01)
    _, out, _ = run("teachers", "--student", addresses["student"])
    assert "adder" in out
    assert f"{its['score']:.3f}" in out


def test_history_going_back_and_unlearning_move_between_states(run, addresses, learnt):
    student = ("--student", addresses["student"])
    code, out, _ = run("history", *student, "--json")
    states = json.loads(out)["states"]
    assert DOMAIN in states[0]["skills"]
    evidence = learnt["transfer"]["verdict"]["evidence"]
    assert states[0]["diagnosis"] == evidence["diagnosis"]
    assert states[-1]["diagnosis"] == [], "before anything was learnt"
    _, out, _ = run("history", *student, "--limit", 1)
    assert states[0]["digest"][:15] in out
    assert states[1]["digest"][:15] not in out
    [packet] = states[0]["skills"][DOMAIN]["lineage"]
    assert f"    {DOMAIN} from packet {packet}\n" in out, "whole, to be copied"
    assert f"    {DOMAIN} signed by {addresses['key']}\n" in out

    code, out, _ = run("revert", states[-1]["digest"][:15], *student, "--json")
    assert (code, json.loads(out)["head"]["skills"]) == (0, {})
    _, out, _ = run("revert", states[0]["digest"][3:15], *student)
    assert "HEAD moved to" in out
    assert out.rstrip().endswith(f"with {DOMAIN}")
    code, _, err = run("revert", "b3:", *student)
    assert code == 2
    assert "fits 4 of 4" in err

    code, out, _ = run("unlearn", *student, "--key", addresses["key"], "--json")
    told = json.loads(out)
    assert (code, told["moved"], told["outcome"]) == (0, True, "moved")
    assert sorted(told["unlearnt"]) == sorted([packet, addresses["key"]])
    code, out, _ = run("unlearn", *student, "--key", addresses["key"])
    assert "stays at" in out


def test_a_verdict_says_in_words_what_the_lesson_suffered_from(capsys):
    its = Diagnosis(Symptom.SKILL_LOST, Cause.OVERWRITTEN, "of 9 answers 8 are wrong: so; try it")
    evidence = Evidence(
        before={1: 1.0},
        after={1: 0.1},
        gain=-0.9,
        p_gain=1.0,
        p_loss=0.0,
        items=9,
        diagnosis=(its,),
    )
    showing.show_verdict(Rejected((Reason.REGRESSION,), (), evidence))
    out = capsys.readouterr().out
    assert "SKILL_LOST. I no longer know what I knew." in out
    assert "  of 9 answers 8 are wrong: so; try it\n" in out


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_an_agent_serves_until_it_is_told_to_stop(run, tmp_path, tls):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = tmp_path / "broker.toml"
    text = f'name = "broker"\nrole = "broker"\nlisten = "{address}"\n'
    text += 'metrics_listen = "127.0.0.1:0"\n'
    if tls:
        run("certs", "issue", "broker", "--out", tmp_path / "certs")
        text += (
            '[tls]\nkey = "certs/broker-key.pem"\ncertificate = "certs/broker.pem"\n'
            'authority = "certs/authority.pem"\n'
        )
    config.write_text(text)
    seen: list[str] = []

    def tell() -> None:
        for _ in range(100):
            try:
                cli.health(address, timeout=5.0, config=config)
                seen.append("healthy")
                break
            except Exception:
                time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=tell)
    thread.start()
    code, out, err = run("agent", "broker", "--config", config, "--json")
    thread.join()
    assert seen == ["healthy"]
    assert out.endswith("serving\n")
    told = json.loads(out.removesuffix("serving\n"))
    assert (code, told["address"]) == (0, address)
    assert told["metrics"].startswith("127.0.0.1:")
    assert "drains" in err


def test_health_says_whether_an_agent_serves(run, addresses):
    code, out, _ = run("health", addresses["student"])
    assert (code, out.strip()) == (0, "serving")
    code, out, _ = run("health", addresses["student"], "--json")
    assert json.loads(out)["serving"] is True


def test_what_teachers_said_is_told_as_a_table_as_json_and_as_a_page(
    run, addresses, learnt, tmp_path
):
    page = tmp_path / "page.html"
    line = (
        "conflicts",
        learnt["transfer"]["transfer"],
        "--student",
        addresses["student"],
        "--html",
        page,
    )
    code, out, _ = run(*line, "--json")
    told = json.loads(out)
    assert (code, told["rule"]) == (0, "geometric_median")
    assert [its["voter"] for its in told["standings"]] == ["adder"]
    assert "adder" in page.read_text()
    code, out, _ = run(*line[:4])
    assert code == 0
    assert "adder" in out


def test_of_a_transfer_that_was_never_combined_there_is_nothing_to_tell(run, addresses):
    line = ("learn", "--student", addresses["student"], "--domain", DOMAIN)
    _, out, _ = run(*line, "--teacher", addresses["stranger"], "--json")
    transfer = json.loads(out)["transfer"]["transfer"]
    code, _, err = run("conflicts", transfer, "--student", addresses["student"])
    assert code == 6
    assert "a transfer whose packets were combined" in err
