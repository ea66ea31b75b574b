"""What an agent is told at its start: one TOML file a role, and the environment over it.

    name = "student-1"                     # everything else has a default
    role = "student"
    listen = "127.0.0.1:7003"
    domains = ["arith.mod7"]
    [model]
    name = "smollm2-135m"
    [align]                                # tables of rules are read by whom they are for
    steps = 200

`M2KT_LISTEN=0.0.0.0:7003` and `M2KT_MODEL__NAME=...` override the file. A key that
nobody knows is an error. Paths are relative to the file's folder, a model's folder too.

Owns: the frozen settings, `read_settings`; the only reader of the environment.
Does not own: the rules' meaning (align, screen, verdict). Free of torch, of grpc and of Ray.
"""

import os
import tomllib
import types
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from m2kt import domains
from m2kt.errors import RequestError
from m2kt.identity import AgentId, Role, agent_id

from .tables import Table, built

PREFIX: Final = "M2KT_"
RULES: Final = (
    "extract",
    "screen",
    "combine",
    "align",
    "verify",
    "registry",
    "reputation",
    "permissions",
)
"""Tables that are handed on unread, to `built`, by the role that uses them."""
MODEL_FILES: Final = ("config.json", "adapter_config.json")
"""A folder with one of these is a model's: a whole one, or adapters of peft."""

T = TypeVar("T")


class Executor(StrEnum):
    """Where model work runs: a thread of the agent, or a child actor of Ray."""

    THREAD = "thread"
    RAY = "ray"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The model of a teacher or student.

    Attributes:
        name: `smollm2-135m`, a name of the zoo, a folder of Hugging Face or of peft, or a Hugging
            Face id.
        device: `cpu`, `cuda`, or `auto`: a GPU if there is one.
        threads: CPU threads for model work; 0 for torch's own choice.
        gpus: Share of a GPU that the child actor asks Ray for; 0 for a quarter if there is one.
        resources: What an agent on Ray asks for by names that its nodes have been given, such as
            `{ gpu_box = 1 }`: it runs on a node that has so much left, and its model with it.
    """

    name: str = "smollm2-135m"
    device: str = "auto"
    threads: int = 0
    gpus: float = 0.0
    resources: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, amount in self.resources.items():
            number = type(amount) in (int, float) and amount > 0
            if not number or name in ("", "CPU", "GPU", "memory"):
                raise RequestError(
                    "expected [model] resources of names other than CPU, GPU and memory, each with"
                    f" a number above 0, found {name!r} = {amount!r}; correct the file"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an agent agrees to.

    Attributes:
        message_bytes: Longest message that it receives.
        concurrent_rpcs: Calls served at one time; more are refused.
        calls_per_caller: Calls of one caller at one time; more are refused.
        calls_per_s: Calls of one caller a second, in the long run; more are refused.
        calls_burst: Calls of one caller that may come at once after it was quiet.
        min_bytes_per_s: Bytes a second of a packet below which its sender is given up.
        stall_s: Seconds for which nothing may come all the same.
        deadline_s: Longest deadline of a call, seconds; a watcher comes back after that.
        drain_s: Seconds that calls in flight have to end when it stops.
        lease_s: Seconds for which it registers at the broker.
        fetch_s: Seconds that fetching one packet may take.
        payload_bytes: Longest payload that a student accepts.
        waiting: Transfers that may wait; more are refused.
        quorum: Authentic packets of different content without which a transfer ends.
        streams: Packets that a student pulls at a time.
        lesson_bytes: Payloads of one lesson together, the earlier ones of its skill too.
        packet_life_s: Seconds for which a teacher's manifest is valid.
        min_outlook: Gain that a student must expect of a teacher to fetch its packet, 0 to 1; 0 for
            none.
    """

    message_bytes: int = 8 << 20
    concurrent_rpcs: int = 256
    calls_per_caller: int = 64
    calls_per_s: float = 200.0
    calls_burst: int = 400
    min_bytes_per_s: int = 1024
    stall_s: float = 15.0
    deadline_s: float = 3600.0
    drain_s: float = 5.0
    lease_s: float = 30.0
    fetch_s: float = 300.0
    payload_bytes: int = 64 << 20
    waiting: int = 32
    quorum: int = 1
    streams: int = 4
    lesson_bytes: int = 256 << 20
    packet_life_s: float = 3600.0
    min_outlook: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_outlook <= 1:
            raise RequestError(
                f"expected [limits] min_outlook from 0 to 1, a share of problems, found"
                f" {self.min_outlook}; correct the file"
            )
        least = ("streams", "calls_per_caller", "calls_per_s", "calls_burst", "min_bytes_per_s")
        for name in least:
            if not getattr(self, name) >= 1:
                raise RequestError(
                    f"expected [limits] {name} of at least 1, found {getattr(self, name)}; correct"
                    " the file"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Mutual TLS: this agent's key and certificate, and who signs everybody's.

    Attributes:
        key: Private key, PEM (P-256: gRPC's TLS refuses Ed25519 leaves).
        certificate: Its chain, PEM.
        authority: Certificates of the authority, PEM.
        peer_name: Name that servers' certificates are checked for, if not their address.
        plaintext: In place of all these: no TLS, also to other machines. For a network that
            nobody else is on.
    """

    key: Path = Path()
    certificate: Path = Path()
    authority: Path = Path()
    peer_name: str = ""
    plaintext: bool = False

    def __post_init__(self) -> None:
        named = sum(path != Path() for path in (self.key, self.certificate, self.authority))
        if named != (0 if self.plaintext else 3):
            raise RequestError(
                f"expected [tls] with key, certificate and authority, or plaintext = true alone,"
                f" found {named} files and plaintext = {str(self.plaintext).lower()}; correct the"
                " file (m2kt certs issue makes all three)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that an agent is told.

    Attributes:
        name: Its name.
        role: What it does.
        listen: `host:port` to bind; port 0 takes a free one.
        metrics_listen: `host:port` to serve figures for Prometheus at; empty for nowhere.
        advertise: `host:port` that others dial, if it is not the bound one.
        data_dir: Folder for everything that it keeps.
        key_file: Its packet key; `key.pem` in `data_dir` by default.
        co_key_files: Further packet keys of its own, which sign its manifests too: for students
            who ask for several signatures (`m2kt keys threshold`).
        trust_file: Its trust store; `trust.json` in `data_dir` by default.
        tofu: Trust on first use: whether a student enrols the key of a teacher that it asks by
            name (`name@host:port`) and of which it knows no key.
        broker: `host:port` of a broker; empty for none.
        domains: What it teaches, or may be taught; all that the software knows by default.
        concepts: For a teacher: patterns of the ids of the concepts that it teaches, such as
            `arith.mod7/?[*]?`; none for what its model was trained on.
        domain_files: TOML files of domains that do not come with this software.
        executor: Where model work runs.
        keep_freed_memory: Whether the process keeps memory that it freed, up to 256 MiB: a stream
            then costs half as much (Linux with glibc).
        model: Its model.
        limits: What it agrees to.
        tls: Mutual TLS; by default none, and then only this machine is talked to.
        rules: The tables named in `RULES`, unread.
    """

    name: AgentId
    role: Role
    listen: str = "127.0.0.1:0"
    metrics_listen: str = ""
    advertise: str = ""
    data_dir: Path = Path("data")
    key_file: Path = Path()
    co_key_files: tuple[Path, ...] = ()
    trust_file: Path = Path()
    tofu: bool = False
    broker: str = ""
    domains: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    domain_files: tuple[Path, ...] = ()
    executor: Executor = Executor.THREAD
    keep_freed_memory: bool = True
    model: ModelSettings = ModelSettings()
    limits: Limits = Limits()
    tls: TlsFiles | None = None
    rules: Mapping[str, Table] = field(default_factory=dict)

    def __post_init__(self) -> None:
        agent_id(self.name)
        defaults = {"key_file": "key.pem", "trust_file": "trust.json"}
        for name, default in defaults.items():
            if getattr(self, name) == Path():
                object.__setattr__(self, name, self.data_dir / default)

    def rules_for(self, name: str, kind: type[T]) -> T:
        """The rules of table `name`, with the defaults of `kind`."""
        return built(kind, self.rules.get(name, {}), where=f"[{name}]")


def read_settings(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings of one agent.

    Args:
        path: A TOML file.
        environ: Variables that override it, such as `M2KT_LISTEN`.

    Raises:
        RequestError: the file is missing, is not TOML, or holds a key or value nobody knows.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise RequestError(
            f"expected settings in TOML at {path}, found none: {error}; write the file, or name"
            " another one"
        ) from error
    return settings_from(table, base=path.parent, environ=environ)


def settings_from(table: Table, *, base: Path, environ: Mapping[str, str]) -> Settings:
    """Settings from a parsed TOML file in folder `base`; see `read_settings`."""
    merged = _overridden(table, environ)
    rules = {name: merged.pop(name) for name in RULES if name in merged}
    for which, its in rules.items():
        if not isinstance(its, dict):
            raise RequestError(f"expected a table [{which}], found {its!r:.80}; correct the file")
    merged.setdefault("data_dir", f"data/{merged.get('name', '')}")
    for place, name in _paths(merged, base):
        place[name] = str(base / str(place[name]))
    for name in ("domain_files", "co_key_files"):
        if isinstance(files := merged.get(name), list):
            merged[name] = [str(base / str(file)) for file in files]
    settings = built(Settings, merged, where="settings")
    object.__setattr__(settings, "rules", types.MappingProxyType(rules))  # nobody has seen it yet
    return settings


def add_domains(settings: Settings) -> None:
    """Makes the domains of `domain_files` known to this process.

    Raises:
        RequestError: a file describes no domain, or the name is another domain's.
    """
    for path in settings.domain_files:
        domains.add(path)


def ray_environment(environ: MutableMapping[str, str] = os.environ) -> None:
    """Tells Ray to keep quiet and to give agents their share of a busy machine; before import."""
    environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    environ.setdefault("RAY_prestart_worker_first_driver", "0")
    environ.setdefault("RAY_worker_niceness", "0")  # by default 15: others then starve them
    environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def _overridden(table: Table, environ: Mapping[str, str]) -> dict[str, Any]:
    merged = {k: dict(v) if isinstance(v, Mapping) else v for k, v in table.items()}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX):
            continue
        *tables, key = variable.removeprefix(PREFIX).lower().split("__")
        place = merged
        for name in tables:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise RequestError(
                    f"expected {variable[:80]} to name a key of a table, found that {name[:80]} is"
                    " none; correct the variable"
                )
        place[key] = _read_value(text)
    return merged


def _read_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # no TOML, or none that can be read
        return text


def _paths(table: dict[str, Any], base: Path) -> list[tuple[dict[str, Any], str]]:
    tls, model = table.get("tls"), table.get("model")
    own: list[tuple[dict[str, Any], str]] = [
        (table, name) for name in ("data_dir", "key_file", "trust_file") if name in table
    ]
    if isinstance(model, dict) and _is_model(base / str(model.get("name"))):
        own.append((model, "name"))  # anything else is a name of the zoo or of the Hub
    if not isinstance(tls, dict):
        return own
    return own + [(tls, name) for name in ("key", "certificate", "authority") if name in tls]


def _is_model(folder: Path) -> bool:
    try:
        return any((folder / name).is_file() for name in MODEL_FILES)
    except OSError:  # too long for a name of a file
        return False
