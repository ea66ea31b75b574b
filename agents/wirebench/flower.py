"""Flower's message path, for the same arrays: its own SuperLink, SuperNode and app, on 127.0.0.1.

Flower lives in a virtual environment of its own, made from PyPI when it is not there.

Owns: `flower_mb_per_s`. Does not own: what it is compared with (measure).
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Final

from m2kt.errors import RequestError

VERSION: Final = "1.42.0"
WAIT_S: Final = 180.0

_PROJECT: Final = """
    [project]
    name = "wire"
    version = "1.0.0"
    description = "Sends arrays to a node and waits for its answer"
    license = "Apache-2.0"
    dependencies = []
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"
    [tool.flwr.app]
    publisher = "m2kt"
    [tool.flwr.app.components]
    serverapp = "wire.app:server"
    clientapp = "wire.app:client"
    [tool.flwr.app.config]
    mib = {mib}
    rounds = {rounds}
    out = "{out}"
"""
_APP: Final = """
    import json, time
    import numpy as np
    from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
    server = ServerApp()
    client = ClientApp()

    @client.query()
    def answer(message: Message, context: Context) -> Message:
        arrays = message.content.array_records["arrays"].to_numpy_ndarrays()
        held = float(sum(array.nbytes for array in arrays))
        return Message(RecordDict({"held": MetricRecord({"bytes": held})}), reply_to=message)

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        told = context.run_config
        while not (nodes := list(grid.get_node_ids())):
            time.sleep(0.1)
        random = np.random.default_rng(0)
        arrays = [random.integers(0, 255, 1 << 20, dtype=np.uint8) for _ in range(told["mib"])]
        rates = []
        for _ in range(told["rounds"]):
            begun = time.perf_counter()
            content = RecordDict({"arrays": ArrayRecord(arrays)})
            message = Message(content, dst_node_id=nodes[0], message_type="query")
            [reply] = grid.send_and_receive([message])
            held = reply.content.metric_records["held"]["bytes"]
            rates.append(held / (time.perf_counter() - begun) / 1e6)
        open(told["out"], "w").write(json.dumps(rates))
"""


def flower_mb_per_s(folder: Path, *, mib: int, rounds: int) -> list[float]:
    """Megabytes (1e6) a second of each round: arrays to a node's app, and its short answer back.

    Args:
        folder: For the virtual environment, which is kept, and all files of the run.
        mib: Arrays of a mebibyte.
        rounds: How often they are sent.

    Raises:
        RequestError: Flower cannot be installed, or does not end in time.
    """
    folder = folder.resolve()
    programs, out = _installed(folder / f"flwr-{VERSION}"), folder / "flower.json"
    out.unlink(missing_ok=True)
    link, node = _free_port(), _free_port()
    app = _written(folder, _PROJECT.format(mib=mib, rounds=rounds, out=out.as_posix()), link)
    home = folder / "home"
    environ = {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "HOME": str(home),
        "PATH": f"{programs}{os.pathsep}{os.defpath}",
    }
    with ExitStack() as stack:
        superlink = [programs / "flower-superlink", "--insecure", "--host", "127.0.0.1", "--port"]
        stack.enter_context(_running([*superlink, link], environ, folder / "superlink.log"))
        _until_open(link)
        supernode = [programs / "flower-supernode", "--insecure", "--port", node, "--superlink"]
        arguments = [*supernode, f"127.0.0.1:{link}"]
        stack.enter_context(_running(arguments, environ, folder / "supernode.log"))
        _until_open(node)
        command = [programs / "flwr", "run", app, "here"]
        stack.enter_context(_running(command, environ, folder / "run.log"))
        _until(out.exists, f"an answer from Flower; see the logs in {folder}")
        time.sleep(0.5)  # until it is written to the end
    rates: list[float] = json.loads(out.read_text())
    return rates


def _written(folder: Path, project: str, link: int) -> Path:
    """The app's folder, and beside it what tells Flower where its SuperLink is."""
    app, home = folder / "app", folder / "home"
    (app / "wire").mkdir(parents=True, exist_ok=True)
    (app / "pyproject.toml").write_text(dedent(project))
    (app / "wire" / "__init__.py").touch()
    (app / "wire" / "app.py").write_text(dedent(_APP))
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{link}"\n'
        "insecure = true\n"
    )
    return app


def _installed(folder: Path) -> Path:
    """Where Flower's programs are."""
    programs = folder / "bin"
    if not (programs / "flwr").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [str(programs / "python"), "-m", "pip", "install", "--quiet"]
            subprocess.run([*pip, f"flwr=={VERSION}"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RequestError(
                f"expected flwr {VERSION} from PyPI in {folder}, found {error}; connect to a"
                " package index, or leave it out (--without-flower)"
            ) from error
    return programs


@contextmanager
def _running(
    command: Sequence[object], environ: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a process group of its own, which ends with the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            env=environ,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 15)
                process.wait(20)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _until_open(port: int) -> None:
    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    _until(is_open, f"a program of Flower's at port {port}")


def _until(condition: Callable[[], bool], what: str) -> None:
    ends_at = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > ends_at:
            raise RequestError(f"expected {what} within {WAIT_S:.0f} s, found none; try again")
        time.sleep(0.1)
