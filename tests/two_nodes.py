"""Two simulated nodes of Ray on 127.0.0.1, and a lesson between agents that are placed on them.

A program of its own: one process can hold one connection to Ray. Writes one JSON document.

    python -m tests.two_nodes FOLDER
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

# Before Ray is imported: else it takes 127.0.0.1 for this machine's other address and waits there.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

import ray
from ray._private.state import actors as actor_table
from ray.cluster_utils import Cluster

from m2kt.errors import RequestError
from m2kt_agents import actors
from m2kt_agents.client import PeerClient
from m2kt_agents.settings import Settings, settings_from
from tests.simulator import DOMAIN, STUDENT, TEACHER, Town, taught

NODES = {"desk": 1.0, "gpu_box": 2.0}


def settings_of(town: Town, name: str, table: Any, resource: str, **changes: Any) -> Settings:
    town.signer(name)
    model = {**table["model"], "resources": {resource: 1}}
    full = {"name": name, "domains": [DOMAIN], "data_dir": name, **table, "model": model, **changes}
    return settings_from(full, base=town.folder, environ={})


def nodes_of_actors() -> dict[str, list[str]]:
    """For each of our nodes, the classes of the actors on it."""
    names = {
        node["NodeID"]: name for node in ray.nodes() for name in NODES if name in node["Resources"]
    }
    found: dict[str, list[str]] = {name: [] for name in NODES}
    for actor in actor_table().values():
        if actor["State"] == "ALIVE":
            place = names.get(actor["Address"]["NodeID"], "head")
            found.setdefault(place, []).append(actor["ActorClassName"])
    return {name: sorted(its) for name, its in found.items()}


async def played(folder: Path) -> dict[str, Any]:
    """A teacher on one node, a student on the other, a lesson; and who wants a third node."""
    async with Town(folder) as town:
        town.trust("student", "teacher")
        teacher, student = await asyncio.gather(
            actors.launch(settings_of(town, "teacher", TEACHER, "desk")),
            actors.launch(settings_of(town, "student", STUDENT, "gpu_box", executor="ray")),
        )
        async with PeerClient(student.address) as peer:
            view, _ = await taught(peer, teacher.address, timeout_s=90)
        placed = nodes_of_actors()
        try:
            await actors.launch(settings_of(town, "other", TEACHER, "moon"))
            refused = ""
        except RequestError as error:
            refused = str(error)
        await asyncio.gather(actors.stop(teacher), actors.stop(student))
    return {"placed": placed, "state": view.state, "refused": refused}


def main() -> None:
    host = {"node_ip_address": "127.0.0.1", "object_store_memory": actors.OBJECT_STORE_BYTES}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **host}
    )
    try:
        for name, amount in NODES.items():
            cluster.add_node(num_cpus=1, resources={name: amount}, **host)
        ray.init(address=cluster.address, log_to_driver=False)
        sys.stdout.write(json.dumps(asyncio.run(played(Path(sys.argv[1])))))
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
