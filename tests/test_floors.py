"""The architecture, read from the source: floors, homes of big libraries, sizes, names, nothing evaluated, links."""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {"data": 0, "judges": 1, "stages": 2, "pipeline": 3, "bench": 4, "tests": 5}
PRODUCT = ("data", "judges", "stages", "pipeline")
HOMES = {
    "ray": "pipeline/cluster/",
    "ctranslate2": "pipeline/engines/embedded.py",
    "vllm": "pipeline/engines/vllm.py",
    "openai": "pipeline/engines/openai.py",
}
ALWAYS_THERE = {"ray", "ctranslate2"}
EVALUATORS = {"eval", "exec", "sympify", "parse_expr", "pickle", "cloudpickle", "dill", "marshal", "shelve"}
FILES = sorted(path.relative_to(ROOT) for folder in FLOORS for path in (ROOT / folder).rglob("*.py"))
SOURCES = [path for path in FILES if path.parts[0] != "tests"]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


@cache
def imports(path: Path, *, late: bool = True) -> frozenset[str]:
    """Dotted names a file imports ("data.records", "data.records.Problem"), those inside functions if `late`."""
    return frozenset(_imports(path, late=late))


def _imports(path: Path, *, late: bool) -> Iterator[str]:
    nodes = ast.walk(tree(path)) if late else at_once(tree(path))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) == "import_module":
            yield from (str(arg.value) for arg in node.args if isinstance(arg, ast.Constant))


def at_once(node: ast.AST) -> Iterator[ast.AST]:
    """Everything that runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_once(child)


def called(node: ast.Call) -> str:
    """Last part of the name that is called; nothing where it has none."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_only_point_down(path: Path) -> None:
    own = FLOORS[path.parts[0]]
    tops = {name.partition(".")[0] for name in imports(path)}
    assert not {top for top in tops if FLOORS.get(top, -1) > own}


@pytest.mark.parametrize(("library", "home"), HOMES.items())
def test_each_big_library_has_one_home(library: str, home: str) -> None:
    users = {str(path) for path in SOURCES if any(name.partition(".")[0] == library for name in imports(path))}
    alone = {"openai": {"bench/goodput.py"}, "vllm": {"bench/saturation.py"}}  # measure it alone, beside our engine
    assert {user for user in users if not user.startswith(home)} == alone.get(library, set())
    assert users or library not in ALWAYS_THERE


def test_torch_and_transformers_are_for_training_alone() -> None:
    elsewhere = {
        Path(HOMES["vllm"]),  # vllm brings them
        Path("bench/training.py"),  # has an environment of its own
        Path("bench/lessons/prm.py"),  # these train, as pipeline/model does
        Path("bench/prl.py"),
    }
    heavy = {"torch", "transformers", "safetensors"}
    users = {path for path in SOURCES if heavy & {name.partition(".")[0] for name in imports(path)}}
    assert users
    assert {path.parts[:2] for path in users - elsewhere} == {("pipeline", "model")}


def test_no_import_cycles() -> None:
    known = {module(path): path for path in SOURCES}
    graph = {
        name: {used for used in imports(path, late=False) if used in known} - {name} for name, path in known.items()
    }
    left = dict(graph)
    while leaves := [name for name, used in left.items() if not used & left.keys()]:
        for name in leaves:
            del left[name]
    assert not left, f"modules on or above a cycle: {sorted(left)}"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_module_opens_with_what_it_decides(path: Path) -> None:
    said = ast.get_docstring(tree(path))
    assert said
    assert len(said.splitlines()) <= 6 or path == Path("data/errors.py")  # that one draws its tree


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 300
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.body[0].lineno + 1
            assert lines <= 50, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_everything_is_annotated(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [arg.arg for arg in given if arg.annotation is None and arg.arg not in {"self", "cls"}]
            assert not bare, f"{node.name}({', '.join(bare)})"
            assert node.returns is not None, f"{node.name} returns what?"


def test_every_folder_of_modules_is_a_package_but_tests() -> None:
    folders = {path.parent for path in SOURCES}
    bare = [str(folder) for folder in folders if not (ROOT / folder / "__init__.py").is_file()]
    assert not bare, "an installed package of the same name would win"
    assert not (ROOT / "tests" / "__init__.py").exists()
    assert not [path for path in FILES if path.parts[0] == "tests" and len(path.parts) > 2], "tests are flat"


def test_no_module_is_named_like_the_standard_library() -> None:
    names = {part.removesuffix(".py") for path in FILES for part in path.parts}
    assert not names & sys.stdlib_module_names


def test_names_say_something() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "core", "base"}
    assert not empty & {path.stem for path in FILES}
    classes = {node.name for path in SOURCES for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)}
    assert not {name for name in classes if name.endswith(("Manager", "Helper", "Utils"))}


@pytest.mark.parametrize("path", [path for path in SOURCES if path.parts[0] in PRODUCT], ids=str)
def test_nothing_is_evaluated_or_unpickled(path: Path) -> None:
    names = {called(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}
    imported = {part for name in imports(path) for part in name.split(".")}
    assert not EVALUATORS & (names | imported)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")], ids=str
)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_entry_point_defines_nothing() -> None:
    kinds = {type(node) for node in tree(Path("pipeline/__main__.py")).body}
    assert kinds <= {ast.Expr, ast.ImportFrom, ast.Raise}


def test_the_errors_are_one_tree_in_one_file() -> None:
    drawn = ast.get_docstring(tree(Path("data/errors.py"))) or ""
    children: defaultdict[str, set[str]] = defaultdict(set)
    for node in tree(Path("data/errors.py")).body:
        if isinstance(node, ast.ClassDef):
            children[ast.unparse(node.bases[0])].add(node.name)
    assert children["Exception"] == {"PipelineError"}
    assert all(name in drawn for names in children.values() for name in names)
