"""What the tests share: folders, engines that are closed at the end, and Python processes of their own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pumice
import pytest

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
SCENARIOS = ROOT / "bindings-tests" / "scenarios"

# A program that was started in the background may have been told to ignore Ctrl-C, and hands that on to its children.
LISTENING = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"

# Far above what the whole end of a program takes: a test fails by it only when the end would never come.
PATIENCE = 60.0


def interrupted(source: str, tmp_path: Path) -> str:
    """Runs a program that says "now" before it waits, sends it Ctrl-C then, and gives what else it said."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-X", "faulthandler", "-c", LISTENING + textwrap.dedent(source)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stderr is not None
        try:
            assert process.stdout.readline() == "now\n", process.stderr.read()
            process.send_signal(signal.SIGINT)
            said, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    return said


@contextmanager
def redis_server(folder: Path) -> Iterator[Path]:
    """A Redis for as long as it is used: its socket. The test is skipped where there is none, or another version."""
    if shutil.which("redis-server") is None:
        pytest.skip("SKIPPED: redis-server is missing; tools/install brings it")
    version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    if "Redis server v=7." not in version:
        pytest.skip(f"SKIPPED: got {version.strip()}, expected Redis 7")
    # The path of a socket may have 107 bytes, however long that of the folder is.
    with tempfile.TemporaryDirectory(dir="/tmp") as sockets:
        path = Path(sockets) / "redis"
        command = ["redis-server", "--port", "0", "--save", "", "--unixsocket", str(path), "--dir", str(folder)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                while not listens(path):
                    assert server.poll() is None
                    time.sleep(0.01)
                yield path
            finally:
                server.kill()


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[pumice.Engine]:
    """A new primary."""
    with pumice.open(tmp_path / "engine") as opened:
        yield opened


@pytest.fixture
def users(engine: pumice.Engine) -> pumice.Namespace:
    """A namespace of a new primary."""
    return engine.create_namespace("users")


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs Python source in a process of its own, in `tmp_path`, and gives what it said."""

    def run(source: str, *, code: int = 0, seconds: float = 60) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", LISTENING + textwrap.dedent(source)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == code, f"exit {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}"
        return done

    return run
