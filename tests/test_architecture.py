"""The rules of docs/architecture.md: who may import what, read from the source without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from analyzer.conditions import CONDITIONS

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path
    for top in ("analyzer", "web", "training", "benchmarks", "application.py", "gunicorn.conf.py")
    for path in ([ROOT / top] if top.endswith(".py") else (ROOT / top).rglob("*.py"))
)
FEW = {  # package → the only places that may import it
    "flask": ("web/", "application.py", "benchmarks/naive/"),
    "werkzeug": ("web/", "application.py"),
    "flask_cors": ("web/", "application.py"),
    "pydantic": ("web/",),
    "prometheus_client": ("web/", "gunicorn.conf.py"),
    "gunicorn": ("web/worker.py", "web/errors.py"),
    "redis": ("web/rate_limit.py",),
    "boto3": ("analyzer/model_store.py",),
    "botocore": ("analyzer/model_store.py",),
    "simplejpeg": ("analyzer/image/jpeg.py",),
    "pillow_heif": ("analyzer/image/heif.py", "benchmarks/damaged_pictures.py"),
    "nacl": ("analyzer/signatures.py",),
    "openvino": ("analyzer/runtime.py", "training/"),
    "openvino_telemetry": (),
    "onnxruntime": ("benchmarks/runtime.py", "benchmarks/ensemble_runtime.py"),
    "onnx": ("benchmarks/runtime.py",),
    "tensorflow": ("training/", "benchmarks/ensemble_runtime.py"),
    "keras": (
        "training/",
        "benchmarks/ensemble_runtime.py",
        "benchmarks/training.py",
        "benchmarks/naive/",
    ),
    "h5py": ("analyzer/keras_checks.py", "analyzer/keras_reader.py", "analyzer/keras_weights.py"),
    "tf_keras": ("training/export.py",),
    "ray": ("training/cluster.py", "training/scoring/scoring_on_ray.py"),
    "pyarrow": ("training/scoring/",),
    "prefect": ("training/dermaops/flow.py",),
}
TRAINING_MAY_USE = {
    "photo",
    "face",
    "haar",
    "quality",
    "roi",
    "geometry",
    "skin",
    "skin_tone",
    "preprocessing",
    "artefact",
    "distribution",
    "head",
    "explanation",
    "keras_files",
    "settings",
    "severity",
    "wording",
    "face_crops",
    "face_network",
    "head_pose",
    "model_card",
    "runtime",
    "conditions",
    "pipeline",
    "ensemble",
    "combination",
    "model_sources",
    "values",
    "vocabulary",
    "errors",
}


def imports(path: Path) -> Iterator[str]:
    """Full dotted names that a file imports, at its head or inside functions."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join((*package[: len(package) - node.level + 1], node.module or "")) if node.level else node.module
            )
            yield from (f"{base}.{alias.name}".replace("..", ".") for alias in node.names)


def imports_from(path: Path, package: str) -> list[str]:
    return [name for name in imports(path) if name == package or name.startswith(f"{package}.")]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_sources_are_read() -> None:
    assert {"analyzer/pipeline.py", "analyzer/conditions/acne.py"} <= {relative(path) for path in SOURCES}
    assert "flask.Flask" in {name for path in SOURCES for name in imports(path)}


@pytest.mark.parametrize("package", FEW)
def test_package_is_imported_only_where_it_belongs(package: str) -> None:
    strangers = [
        relative(path)
        for path in SOURCES
        if imports_from(path, package) and not relative(path).startswith(FEW[package])
    ]
    assert strangers == []


@pytest.mark.parametrize("outer", ["web", "training", "benchmarks", "tests", "application"])
def test_analyzer_knows_nothing_of_what_stands_around_it(outer: str) -> None:
    guilty = [relative(path) for path in (ROOT / "analyzer").rglob("*.py") if imports_from(path, outer)]
    assert guilty == []


def test_web_does_not_import_training_or_benchmarks() -> None:
    guilty = [
        relative(path)
        for path in (ROOT / "web").rglob("*.py")
        if imports_from(path, "training") or imports_from(path, "benchmarks")
    ]
    assert guilty == []


def test_training_uses_only_the_shared_part_of_the_analyzer() -> None:
    used = {
        name.split(".")[1]
        for path in (ROOT / "training").rglob("*.py")
        for name in imports_from(path, "analyzer")
        if "." in name
    }
    assert used <= TRAINING_MAY_USE


def test_conditions_never_import_each_other() -> None:
    folder = ROOT / "analyzer" / "conditions"
    for path in folder.glob("*.py"):
        if path.name != "__init__.py":
            assert imports_from(path, "analyzer.conditions") == [], f"{path.name} imports another condition"


def test_every_file_in_conditions_is_in_the_table() -> None:
    files = {path.stem for path in (ROOT / "analyzer" / "conditions").glob("*.py")} - {"__init__"}
    assert files == set(CONDITIONS)
    assert all(measure.__module__ == f"analyzer.conditions.{name}" for name, measure in CONDITIONS.items())


def first_line(tree: ast.AST, sought: str) -> float:
    """Line of the first call of `sought`; infinite where there is none."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == sought]
    return min((node.lineno for node in calls), default=float("inf"))


def test_openvino_is_imported_only_after_its_telemetry_is_shut_out() -> None:
    """A plain `import openvino` tells Google Analytics; elsewhere it stands in a function, after `runtime.openvino()`."""
    for path in (*SOURCES, *(ROOT / "tests").rglob("*.py")):
        if relative(path) == "analyzer/runtime.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not any(imports_openvino(node) for node in ast.walk(tree)):
            continue
        ready = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
            if getattr(node, "lineno", 0) > first_line(function, "runtime.openvino")
        }
        early = [ast.unparse(node) for node in ast.walk(tree) if imports_openvino(node) and id(node) not in ready]
        assert early == [], relative(path)


def imports_openvino(node: ast.AST) -> bool:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    return any(name.split(".")[0] == "openvino" for name in names)


def own_imports(name: str) -> set[str]:
    """Return the modules of the analyzer that one of its modules imports."""
    return {imported.split(".")[1] for imported in imports_from(ROOT / "analyzer" / f"{name}.py", "analyzer")}


@pytest.mark.parametrize("name", ["runtime", "card_fields", "model_card"])
def test_what_later_stages_rest_on_rests_on_errors_and_the_vocabulary_alone(name: str) -> None:
    """A card rests on its fields, too, which rest on errors alone."""
    own = {"card_fields"} if name == "model_card" else set()
    assert own_imports(name) - {"vocabulary"} == {"errors"} | own


@pytest.mark.parametrize("name", ["values", "errors"])
def test_values_and_errors_rest_on_the_vocabulary_alone(name: str) -> None:
    assert own_imports(name) == {"vocabulary"}


def test_the_vocabulary_rests_on_nothing_of_ours() -> None:
    assert own_imports("vocabulary") == set()
