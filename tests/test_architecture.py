"""The rules of the house: sizes, one maker for each proof, imports, README's map of files.

Which module may import which is import-linter's business (`make layers`).
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from m2kt import errors
from m2kt_agents.errors import STATUS

ROOT = Path(__file__).parent.parent
FILE_LINES, FUNCTION_LINES = 350, 40

# Each proof, and the one function that may construct it.
MAKERS = {
    "VerifiedBytes": "verify_envelope",
    "AdmittedManifest": "admit",
    "AuthenticPayload": "authenticate",
    "AuthenticPacket": "parse_packet",
    "ScreenedPacket": "screen",
    "Lesson": "combine",
    "Candidate": "align",
}
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "google.protobuf.json_format",
}
BANNED_NAMES = {"utils.py", "helpers.py", "common.py", "misc.py"}
TORCH_FREE = (
    "m2kt",
    "m2kt.registry",
    "m2kt.journal",
    "m2kt.verdict",
    "m2kt.progress",
    "m2kt.wire.cards",
    "m2kt_agents",
    "m2kt_agents.broker",
    "m2kt_agents.client",
    "m2kt_agents.cli",
)


def sources(*folders: str) -> list[Path]:
    """Python files that people wrote."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if "wire/v1" not in path.as_posix()]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_file_is_longer_than_its_budget():
    ours = [path for path in sources(".") if not name(path).startswith((".", "build/"))]
    lengths = {name(path): len(path.read_text().splitlines()) for path in ours}
    assert {path: count for path, count in lengths.items() if count > FILE_LINES} == {}


def test_no_function_is_longer_than_its_budget():
    long = {
        f"{name(path)}:{function.lineno} {function.name}": length
        for path in sources("m2kt", "agents", "tests")
        for function in functions(path)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES
    }
    assert long == {}


def test_no_file_has_a_name_that_says_nothing():
    assert [name(p) for p in sources("m2kt", "agents", "tests") if p.name in BANNED_NAMES] == []


def test_every_file_says_what_it_is():
    mute = [
        name(p)
        for p in sources("m2kt", "agents")
        if not ast.get_docstring(ast.parse(p.read_text()))
    ]
    assert mute == []


def constructions(path: Path) -> Iterator[tuple[str, str]]:
    """(proof, outermost function around it) for each call of a proof's constructor."""
    for top in ast.parse(path.read_text()).body:
        for node in ast.walk(top):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
                made = called.id if isinstance(called, ast.Name) else called
                if made in MAKERS:
                    yield str(made), getattr(top, "name", name(path))


def test_each_proof_is_made_in_one_place_only():
    found: dict[str, set[str]] = {proof: set() for proof in MAKERS}
    for path in sources("m2kt", "agents"):
        for proof, maker in constructions(path):
            found[proof].add(maker)
    assert found == {proof: {maker} for proof, maker in MAKERS.items()}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def test_nothing_that_can_run_code_is_read_from_bytes():
    guilty = [
        (name(path), module)
        for path in sources("m2kt", "agents")
        for module in imported(path)
        if module.split(".")[0] in FORBIDDEN_MODULES
    ]
    assert guilty == []
    loads = [
        name(p) for p in sources("m2kt", "agents") if re.search(r"\btorch\.load\(", p.read_text())
    ]
    assert loads == []


def test_no_message_of_a_peer_is_read_from_json():
    """Its parser can be exhausted by nesting (CVE-2026-0994)."""
    everything = ((name(p), its) for p in sources("m2kt", "agents") for its in imported(p))
    assert [found for found in everything if "json_format" in found[1]] == []


def test_every_error_has_a_status():
    def tree(error: type[errors.M2KTError]) -> set[type[errors.M2KTError]]:
        return {error}.union(*(tree(child) for child in error.__subclasses__()))

    ours = {error for error in tree(errors.M2KTError) if error.__module__ == errors.__name__}
    assert ours - set(STATUS) == set()


@pytest.mark.parametrize("module", TORCH_FREE)
def test_a_module_that_needs_no_torch_does_not_import_it(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{module} imports torch or ray {done.stderr}"


def test_no_two_test_files_have_one_name():
    """pytest imports a test by the name of its file alone where its folder is no package."""
    seen = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, times in seen.items() if times > 1] == []


def modules_with_unit_tests() -> set[str]:
    """For m2kt/a.py and m2kt/b/c.py: test_a.py and test_b_c.py."""
    relative = [path.relative_to(ROOT / "m2kt") for path in sources("m2kt")]
    return {
        "test_" + "_".join(path.with_suffix("").parts) + ".py"
        for path in relative
        if path.name not in {"__init__.py", "__main__.py"}
    }


def test_unit_tests_mirror_the_library():
    found = {path.name for path in (ROOT / "tests" / "unit").glob("test_*.py")}
    data = {"test_zoo_models.py"}  # m2kt/zoo/models/ holds the shipped models, not a module
    assert found - data - modules_with_unit_tests() == set(), "a test file without its module"
    together = {name for name in modules_with_unit_tests() if name.startswith("test_zoo_")}
    alone = modules_with_unit_tests() - together  # the zoo's parts are tested by training a model
    assert alone - found == set(), "a module without its test file"


def file_map() -> set[str]:
    """Paths in README's block of files: one a line, then two blanks, then what it is."""
    block = re.search(r"```files\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block, "README.md has no block of files"
    return {line.split()[0] for line in block[1].splitlines() if line.strip()}


def files_of(*folders: str) -> set[str]:
    everything = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    return {name(p) for p in everything if p.is_file() and "__pycache__" not in p.parts}


def test_the_file_map_of_the_readme_equals_the_tree():
    listed, tops = file_map(), ("m2kt", "agents", "proto", "deploy")
    assert {path for path in listed if not (ROOT / path).exists()} == set(), "not there"
    folders = tuple(p for p in listed if p.endswith("/") and p.rstrip("/") not in tops)
    missing = {f for f in files_of(*tops) if f not in listed and not f.startswith(folders)}
    assert missing == set(), "not in the map"


def test_documents_link_only_to_what_is_there():
    dead = [
        (name(page), target)
        for page in [*ROOT.glob("*.md"), *ROOT.glob("*/README.md")]
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert dead == []
