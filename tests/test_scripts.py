"""The JavaScript of the explorers: every file is one that an engine can read."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "longsum_lib" / "viz" / "explorers" / "assets").glob("*.js"))
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_scripts_are_without_errors_of_syntax():
    assert len(SCRIPTS) > 10
    said = [subprocess.run([NODE, "--check", path], capture_output=True, text=True).stderr for path in SCRIPTS]
    assert not "".join(said)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_an_error_of_syntax_is_found(tmp_path):
    (tmp_path / "bad.js").write_text("const a = (1;\n")
    assert (
        "SyntaxError" in subprocess.run([NODE, "--check", tmp_path / "bad.js"], capture_output=True, text=True).stderr
    )
