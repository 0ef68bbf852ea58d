"""What the documents show in Python is Python, with names that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What a block may take for granted, as the text around it says.
GIVEN = """\
import pumice
db: pumice.Engine
primary: pumice.Engine
replica: pumice.Engine
users: pumice.Namespace
"""


def blocks() -> list[tuple[str, str]]:
    """Every block of Python in the documents, with its place."""
    found = []
    for document in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]:
        text = document.read_text()
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            found.append((f"{document.name}:{text.count(chr(10), 0, match.start()) + 1}", match[1]))
    assert len(found) > 5, found
    return found


def test_blocks_that_import_pumice_run_as_they_are(tmp_path: Path) -> None:
    """A block that begins with its import is a whole program, and ends without an error."""
    whole = [(place, block) for place, block in blocks() if block.startswith("import pumice\n")]
    assert len(whole) > 1
    for number, (place, block) in enumerate(whole):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = subprocess.run([sys.executable, "-c", block], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{place}: {done.stderr}"


def test_blocks_are_accepted_by_mypy(tmp_path: Path) -> None:
    """Every name and argument that a block uses is one that pumice has."""
    pytest.importorskip("mypy")
    names = {}
    for number, (place, block) in enumerate(blocks()):
        names[f"block{number}.py"] = place
        tmp_path.joinpath(f"block{number}.py").write_text(GIVEN + block.removeprefix("import pumice\n"))
    # A link is None where nothing is followed; a block that has just followed does not ask.
    arguments = ["--cache-dir", "cache", "--allow-redefinition", "--disable-error-code", "union-attr", *names]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{names}"
