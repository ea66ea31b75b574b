"""Every change of what a student keeps in files, for tests of disks that fail at any step.

A change is made through a disk, and can be made again; what is there is read as the next start
reads it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from m2kt.digest import content_digest_of, digest_of
from m2kt.disk import Disk, LocalDisk, put_whole
from m2kt.errors import NotFoundError
from m2kt.identity import AgentId, KeyId, PacketId, TransferId
from m2kt.signing import Ed25519Signer
from m2kt.store import Skill, Store, StudentState
from m2kt.trust import load_trust, save_trust
from tests.packets import signer

DOMAIN = "arith.mod7"
FIRST, SECOND = (PacketId(digest_of(name)) for name in (b"first", b"second"))
KEY = KeyId("ed25519:" + "0" * 64)
ENVELOPE, PAYLOAD = b"the manifest's envelope", b"the payload" * 10


@dataclass(frozen=True)
class Change:
    """A change of what lies in a folder.

    Attributes:
        begin: Puts there what the change needs; on a good disk.
        make: Makes the change.
        found: What is there, after all of it that can be reached was read and checked.
    """

    begin: Callable[[Path], None]
    make: Callable[[Path, Disk], None]
    found: Callable[[Path], object]


def store_in(folder: Path, disk: Disk | None = None) -> Store:
    return Store(folder / "student" / "store", disk=disk)


def learn(store: Store, value: float, packet: PacketId) -> None:
    """Puts a layer full of `value`, and moves HEAD to it unless it is there."""
    cal = store.put_cal({"phi": torch.full((4,), value)}, {"domain": DOMAIN})
    state = StudentState(
        parent=store.head(),
        transfer=TransferId(f"t{value:.0f}"),
        at_s=value,
        note="learnt",
        skills={DOMAIN: Skill(cal, (packet,), (KEY,))},
    )
    if store.state(store.head()).skills != state.skills:
        store.advance(state, expected=store.head())


def twice_learnt(folder: Path) -> None:
    with store_in(folder) as store:
        learn(store, 1.0, FIRST)
        learn(store, 2.0, SECOND)


def nothing(folder: Path) -> None:
    pass


def head(folder: Path) -> object:
    """Where the student stands, after its whole history was read."""
    with store_in(folder) as store:
        for state in store.history():
            for skill in state.skills.values():
                store.get_cal(skill.cal)
        return [(state.note, state.at_s) for state in store.history()]


def open_store(folder: Path, disk: Disk) -> None:
    store_in(folder, disk).close()


def put_layer(folder: Path, disk: Disk) -> None:
    with store_in(folder, disk) as store:
        store.put_cal({"phi": torch.full((4,), 3.0)}, {})


def layer(folder: Path) -> object:
    head(folder)
    with store_in(folder) as store:
        digest = store.put_cal({"phi": torch.full((4,), 3.0)}, {})
        return store.get_cal(digest)[1]


def advance(folder: Path, disk: Disk) -> None:
    with store_in(folder, disk) as store:
        learn(store, 3.0, FIRST)


def unlearn(folder: Path, disk: Disk) -> None:
    with store_in(folder, disk) as store:
        if SECOND not in store.state(store.head()).unlearnt:
            state = store.unlearnt(packets={SECOND}, at_s=4.0)
            store.advance(state, expected=store.head())


def revert(folder: Path, disk: Disk) -> None:
    with store_in(folder, disk) as store:
        if store.state(store.head()).at_s != 5.0:
            state = store.reverted(store.history()[1].digest, at_s=5.0)
            store.advance(state, expected=store.head())


def put_from_memory(folder: Path, disk: Disk) -> None:
    with store_in(folder, disk) as store:
        store.packets.put(FIRST, ENVELOPE, PAYLOAD)


def put_from_file(folder: Path, disk: Disk) -> None:
    """As an intake does: what could not be kept is thrown away, and comes again."""
    spool = folder / "spool"
    spool.unlink(missing_ok=True)
    spool.write_bytes(PAYLOAD)
    with store_in(folder, disk) as store:
        store.packets.put(FIRST, ENVELOPE, spool, content_digest_of(PAYLOAD))
    spool.unlink()


def packet(folder: Path) -> object:
    head(folder)
    with store_in(folder) as store:
        try:
            envelope, payload = store.packets.get(FIRST)
        except NotFoundError:
            return None
        return envelope, bytes(payload)


def trust_in(folder: Path) -> Path:
    return folder / "student" / "trust.json"


def trust_one(folder: Path) -> None:
    save_trust(trust_in(folder), load_trust(trust_in(folder)).enrol(signer(1).key_id, AgentId("a")))


def revoke(folder: Path, disk: Disk) -> None:
    trust = load_trust(trust_in(folder)).revoke(signer(1).key_id, "stolen")
    save_trust(trust_in(folder), trust, disk=disk)


def trusted(folder: Path) -> object:
    return sorted(load_trust(trust_in(folder)).enrolled)


def make_key(folder: Path, disk: Disk) -> None:
    """As an agent does at its first start."""
    path = folder / "student" / "key.pem"
    if not path.exists():
        signer(7).save(path, disk=disk)


def key(folder: Path) -> object:
    path = folder / "student" / "key.pem"
    return Ed25519Signer.load(path).key_id if path.exists() else None


def put_file(folder: Path, disk: Disk) -> None:
    put_whole(disk, folder / "file", [b"new ", b"bytes"])


def file(folder: Path) -> object:
    return (folder / "file").read_bytes()


def put_old_file(folder: Path) -> None:
    put_whole(LocalDisk(), folder / "file", [b"old bytes, and more of them"])


CHANGES = {
    "a file is replaced": Change(put_old_file, put_file, file),
    "a store is made": Change(nothing, open_store, head),
    "a first lesson is learnt": Change(nothing, advance, head),
    "a layer is put": Change(twice_learnt, put_layer, layer),
    "HEAD advances": Change(twice_learnt, advance, head),
    "a packet is un-learnt": Change(twice_learnt, unlearn, head),
    "HEAD is reverted": Change(twice_learnt, revert, head),
    "a packet is kept from memory": Change(twice_learnt, put_from_memory, packet),
    "a packet is kept from a file": Change(twice_learnt, put_from_file, packet),
    "a key is revoked": Change(trust_one, revoke, trusted),
    "a key is made": Change(nothing, make_key, key),
}
