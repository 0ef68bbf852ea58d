"""The program that the wheel installs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pumice

SCRIPT = [str(Path(sys.executable).with_name("pumice"))]
MODULE = [sys.executable, "-m", "pumice"]


@pytest.mark.parametrize("program", [SCRIPT, MODULE], ids=["script", "module"])
def test_it_runs(program: list[str], tmp_path: Path) -> None:
    """Both ways to start it give its output and its exit status, also for a path that is no UTF-8."""
    said = subprocess.run([*program, "--version"], capture_output=True, check=True)
    assert said.stdout.decode() == f"pumice {pumice.__version__}\n"
    path = os.fsencode(tmp_path) + b"/\xff"
    with pumice.open(os.fsdecode(path)) as db:
        db.create_namespace("a")["k"] = b"v"
    said = subprocess.run([*program, "inspect", path, "--json"], capture_output=True, check=True)
    shown = json.loads(said.stdout)
    assert [(row["name"], row["keys"]) for row in shown["namespaces"]] == [("__namespace", 0), ("a", 1)]
    wrong = subprocess.run([*program, "inspekt"], capture_output=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, b"")
    assert wrong.stderr.startswith(b'pumice: command "inspekt"') and wrong.stderr.count(b"\n") == 1
