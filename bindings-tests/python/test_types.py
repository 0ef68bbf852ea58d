"""The types that a checker sees are those that the module has."""

import subprocess
import sys
from pathlib import Path

import pumice
import pytest


def run(*arguments: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stub_is_what_the_module_has(tmp_path: Path) -> None:
    """stubtest finds no difference between the stub and the module."""
    pytest.importorskip("mypy")
    run("mypy.stubtest", "pumice", folder=tmp_path)


def test_a_program_is_checked(tmp_path: Path) -> None:
    """mypy --strict accepts a program as a user writes it, and refuses a wrong one."""
    pytest.importorskip("mypy")
    usage = Path(__file__).with_name("typed_usage.py")
    run("mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(usage), folder=tmp_path)
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import pumice\nn: int = pumice.open('x').default.get('k')\npumice.open('x', role='boss')\n")
    with pytest.raises(AssertionError, match="Found 2 errors"):
        run("mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(wrong), folder=tmp_path)


def test_every_public_name_is_documented() -> None:
    """Every class, method and function of the package has a docstring, and no other name is public."""
    public = {name for name in vars(pumice) if not name.startswith("_") or name == "__version__"}
    assert public == set(pumice.__all__)
    for name in pumice.__all__:
        thing = getattr(pumice, name)
        if name == "__version__":
            continue
        assert thing.__doc__, name
        for member, value in vars(thing).items() if isinstance(thing, type) else ():
            assert member.startswith("_") or callable(value) is False or value.__doc__ or member == "popitem", member
