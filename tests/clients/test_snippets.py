"""The snippets of the documentation page: each is run against the service; the one in Swift is only parsed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.clients.conftest import node_modules, program, run, tool
from tests.web.records import ANALYZE
from web.docs_page import LANGUAGES, SNIPPETS

ADDRESS = "http://localhost:8000"  # in the snippets
PARSE_SWIFT = """
import sys, tree_sitter, tree_sitter_swift
parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))
print("error" if parser.parse(sys.stdin.buffer.read()).root_node.has_error else "sound")
"""


def source(name: str) -> str:
    return (SNIPPETS / f"{name}.txt").read_text("utf-8")


def curl(file: Path) -> list[str | Path]:
    program("curl")
    return ["sh", file]


def python(file: Path) -> list[str | Path]:
    return [sys.executable, file]


def javascript(file: Path) -> list[str | Path]:
    return [program("node"), file.rename(file.with_suffix(".mjs"))]


def kotlin(file: Path) -> list[str | Path]:
    compiler = node_modules() / "kotlin-compiler" / "bin"
    program("java")
    run("bash", compiler / "kotlinc", file.rename(file.with_suffix(".kt")), "-d", "built", folder=file.parent)
    return ["bash", compiler / "kotlin", "-classpath", "built", "SnippetKt"]


@pytest.mark.parametrize("language", [curl, python, javascript, kotlin], ids=lambda language: language.__name__)
def test_snippet_gets_a_report_a_refusal_and_an_error(
    service: str, selfie: bytes, landscape: bytes, tmp_path: Path, language: Callable[[Path], list[str | Path]]
) -> None:
    file, photo = tmp_path / "snippet.txt", tmp_path / "selfie.jpg"
    file.write_text(source(language.__name__).replace(ADDRESS, service), "utf-8")
    command = language(file)
    report = requests.post(f"{service}{ANALYZE}", data=selfie, timeout=60).json()
    assert report["success"] is True
    expected = {selfie: report["primary_condition"], landscape: "no_face", b"%PDF-1.7\n" * 99: "unsupported_type"}
    for content, word in expected.items():
        photo.write_bytes(content)
        assert word in run(*command, folder=tmp_path)


def test_swift_is_parsed() -> None:
    python_with_grammar = tool("python")
    for code, verdict in ((source("swift"), "sound"), (source("swift").replace("{", "(", 1), "error")):
        assert run(python_with_grammar, "-c", PARSE_SWIFT, folder=SNIPPETS, input_text=code).strip() == verdict


def test_every_language_is_tried() -> None:
    assert set(LANGUAGES) == {language.__name__ for language in (curl, python, javascript, kotlin)} | {"swift"}
    assert all(ADDRESS in source(name) for name in LANGUAGES)
