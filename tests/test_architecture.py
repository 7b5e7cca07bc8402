"""What holds for the whole repository: the direction of imports, lazy imports, and what is never used."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("probes", "concept_graphs", "steering", "app")  # each may import itself and what stands before it
HEAVY = ("torch", "transformers", "diffusers", "numba")
LIGHT = (
    "app.server",
    "app.pages",
    "app.jobs",
    "app.settings",
    "concept_graphs.graph",
    "concept_graphs.figure",
    "concept_graphs.layout",
    "concept_graphs.atlas",
    "concept_graphs.atlas_figure",
    "steering.levers",
    "steering.comparison",
    "probes.runs",
    "probes.artefacts",
    "probes.configs",
    "probes.registry",
    "probes.errors",
    "probes.addresses",
    "probes.kernels.choice",
    "probes.kernels.warm_up",
    "probes.activations.corpora",
)
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
TEXT = {".py", ".md", ".toml", ".txt", ".js", ".css", ".json", ".html", ".yml", ".yaml", ".sh", ".cfg", ""}


@cache
def tracked() -> tuple[Path, ...]:
    """The files of the repository that git does not ignore; all of them where this is no checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode == 0:
        names = done.stdout.decode().split("\0")
        return tuple(sorted(ROOT / name for name in names if name and (ROOT / name).is_file()))
    hidden = {".git", ".venv", "__pycache__", "build", "dist"}
    files = (path for path in ROOT.rglob("*") if path.is_file())
    return tuple(sorted(path for path in files if not hidden & set(path.relative_to(ROOT).parts)))


def sources(*folders: str) -> list[Path]:
    return [p for p in tracked() if p.suffix == ".py" and p.relative_to(ROOT).parts[0] in folders]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def named(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def imported(module: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Every module a file imports, at any depth; `from a import b` counts as `a.b`."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import on line {node.lineno}"
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def registered(module: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Every `module:attribute` string of a registry."""
    for node in ast.walk(module):
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and re.fullmatch(rf"(?:{'|'.join(LAYERS)})(?:\.\w+)+:\w+", value):
            yield node, value


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way(layer: str) -> None:
    allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    wrong = [
        f"{named(path, node)} imports {name}"
        for path in sources(layer)
        for node, name in [*imported(tree(path)), *registered(tree(path))]
        if name.partition(".")[0] in {*LAYERS, "tests", "assets"} - allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_every_registry_row_leads_somewhere() -> None:
    wrong = []
    for path in sources(*LAYERS):
        for node, target in registered(tree(path)):
            module, _, attribute = target.partition(":")
            file = ROOT / (module.replace(".", "/") + ".py")
            code = file.read_text(encoding="utf-8") if file.is_file() else ""
            if not re.search(rf"^(?:(?:def|class) {attribute}\b|{attribute}\b.*=)", code, re.MULTILINE):
                wrong.append(f"{named(path, node)}: {target}")
    assert not wrong, "\n".join(wrong)


def test_light_modules_import_no_torch() -> None:
    present = [name for light in LIGHT for name in modules(light)]
    assert "probes.errors" in present
    script = (
        "import importlib, json, sys\n"
        f"names, heavy, found = {present!r}, {HEAVY!r}, {{}}\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"
        "    found[name] = [h for h in heavy if h in sys.modules]\n"
        "print(json.dumps(found))\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    first = next((f"{name} imports {', '.join(heavy)}" for name, heavy in found.items() if heavy), None)
    assert first is None, first


def modules(name: str) -> list[str]:
    """The module, or the package with every module in it; nothing where neither exists."""
    place = ROOT / name.replace(".", "/")
    if place.is_dir():
        inside = sorted(path.stem for path in place.glob("*.py") if path.stem != "__init__")
        return [name, *(f"{name}.{stem}" for stem in inside)]
    return [name] if place.with_suffix(".py").is_file() else []


@pytest.mark.parametrize("name", HEAVY)
def test_the_heavy_packages_are_installed(name: str) -> None:
    """Without them the test above would pass for nothing."""
    assert find_spec(name) is not None


def test_nothing_unpickles_or_runs_code_of_others() -> None:
    wrong = []
    for path in sources(*LAYERS, "assets", "tests"):
        wrong += [
            f"{named(path, node)} imports {name}"
            for node, name in imported(tree(path))
            if name.partition(".")[0] in PICKLES
        ]
        wrong += [f"{named(path, node)}: {why}" for node, why in _unsafe_calls(tree(path))]
    assert not wrong, "\n".join(wrong)


def _unsafe_calls(module: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(module):
        given: list[tuple[object, ast.expr]] = []
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in {"torch.hub.load", "eval", "exec"} or (called == "torch.load" and not _weights_only(node)):
                yield node, f"calls {called}"
            given = [(keyword.arg, keyword.value) for keyword in node.keywords]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            given = [(key.value, value) for key, value in pairs if isinstance(key, ast.Constant)]
        for name, value in given:
            is_false = isinstance(value, ast.Constant) and value.value is False
            if name in {"allow_pickle", "trust_remote_code"} and not is_false:
                yield node, f"passes {name}"


def _weights_only(call: ast.Call) -> bool:
    """Whether a `torch.load` says in so many words that it reads weights only, and maps no file into memory."""
    said = {word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)}
    return said.get("weights_only") is True and said.get("mmap") is False


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("torch.load(p)", 1),
        ("torch.load(p, weights_only=flag, mmap=False)", 1),
        ("torch.load(p, weights_only=True)", 1),
        ("torch.load(p, weights_only=True, mmap=False)", 0),
        ("np.load(p, allow_pickle=True)", 1),
        ("np.load(p, allow_pickle=False)", 0),
        ("f(**{'trust_remote_code': flag})", 1),
        ("f(trust_remote_code=False)", 0),
        ("exec(text)", 1),
    ],
)
def test_the_rule_above_sees_what_it_must(code: str, found: int) -> None:
    assert len(list(_unsafe_calls(ast.parse(code)))) == found


def test_the_product_needs_none_of_the_tools_whose_files_it_reads() -> None:
    peers = {"sae_lens", "dictionary_learning", "sparsify", "transformer_lens", "overcomplete", "circuit_tracer"}
    wrong = [
        f"{named(path, node)} imports {name}"
        for path in sources(*LAYERS)
        for node, name in imported(tree(path))
        if name.partition(".")[0] in peers
    ]
    assert not wrong, "\n".join(wrong)


def test_no_paths_of_one_machine() -> None:
    """Nobody's home, work or scratch folder is named in what others will check out."""
    private = re.compile(r"(?<![\w.$}/-])/(?:work|home|root|Users|tmp|mnt|workspace)/[\w.-]+")
    wrong = []
    for path in tracked():
        if path.suffix not in TEXT or path == Path(__file__).resolve():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            if match := private.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number} names {match[0]}")
    assert not wrong, "\n".join(wrong[:20])


def test_package_files_hold_only_a_docstring() -> None:
    wrong = []
    for path in sources(*LAYERS):
        if path.name != "__init__.py":
            continue
        module = tree(path)
        rest = module.body[1:] if ast.get_docstring(module) else module.body
        environment = path == ROOT / "app" / "__init__.py" and all(_sets_environment(node) for node in rest)
        if not ast.get_docstring(module) or (rest and not environment):
            wrong.append(str(path.relative_to(ROOT)))
    assert not wrong, "\n".join(wrong)


def _sets_environment(node: ast.stmt) -> bool:
    """`import os`, `from __future__ import annotations`, or a statement about `os.environ`."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return ast.unparse(node) in {"import os", "from __future__ import annotations"}
    return "os.environ" in ast.unparse(node)


def test_every_package_folder_is_a_package() -> None:
    """A folder without `__init__.py` would be left out of an installed copy's docs and type check."""
    folders = {path.parent for path in sources(*LAYERS)}
    bare = [folder for folder in folders if not (folder / "__init__.py").is_file()]
    assert not bare, f"no __init__.py in {', '.join(str(folder.relative_to(ROOT)) for folder in bare)}"


def test_tests_are_no_package() -> None:
    assert [str(path.relative_to(ROOT)) for path in sources("tests") if path.name == "__init__.py"] == []


def test_shipped_files_stay_small() -> None:
    sizes = {path: path.stat().st_size for path in tracked()}
    assert [str(path.relative_to(ROOT)) for path, size in sizes.items() if size > 45 * 2**20] == []
    assert sum(sizes.values()) < 150 * 2**20
