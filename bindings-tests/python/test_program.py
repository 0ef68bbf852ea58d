"""The program that the wheel installs."""

import json
import os
import signal
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


@pytest.mark.parametrize("program", [SCRIPT, MODULE], ids=["script", "module"])
def test_interrupt_ends_it(program: list[str], tmp_path: Path) -> None:
    """Ctrl-C ends a program that would run for ever, cleanly and without a traceback."""
    command = [*program, "serve", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        assert b"is served on 127.0.0.1:" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        assert (running.wait(60), b"Traceback" in running.stderr.read()) == (0, False)
    pumice.open(tmp_path / "data").close()
