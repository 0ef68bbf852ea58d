"""Data directories that a real Kvrocks wrote, compared with what that Kvrocks answered."""

import json
import shutil
from pathlib import Path
from typing import Any

import pumice
import pytest
from conftest import FIXTURES

NAMES = sorted(path.parent.name for path in FIXTURES.glob("plain-*/expected.json"))


def raw(text: Any) -> bytes:
    """Text, or {"hex": …} where it is not UTF-8."""
    return bytes.fromhex(text["hex"]) if isinstance(text, dict) else text.encode()


def kind_of(reply: Any) -> str:
    """A reply to TYPE, with or without its mark of a simple string."""
    return str(reply["s"] if isinstance(reply, dict) else reply)


def test_there_are_fixtures() -> None:
    """The directories of Kvrocks were found."""
    assert set(NAMES) >= {"plain-wal", "plain-zstd", "plain-lz4", "plain-snappy"}


@pytest.mark.parametrize("name", NAMES)
def test_reads_what_kvrocks_answered(name: str, tmp_path: Path) -> None:
    """Every GET, TYPE and EXISTS gives what the server gave, in all namespaces, from a folder that is adopted."""
    shutil.copytree(FIXTURES / name / "db", tmp_path / "data" / "db")
    expected = json.loads((FIXTURES / name / "expected.json").read_text())
    gets = 0
    with pumice.open(tmp_path / "data") as engine:
        assert engine.namespaces() == ["__namespace", "alpha", "beta", "gamma"]
        for read in expected["reads"]:
            namespace = engine.default if read["ns"] == "default" else engine.namespace(read["ns"])
            command, arguments, reply = read["cmd"][0], [raw(word) for word in read["cmd"][1:]], read["reply"]
            if command == "GET":
                assert namespace.get(arguments[0]) == (None if reply is None else raw(reply)), read
                gets += 1
            elif command == "TYPE":
                assert (namespace.kind(arguments[0]) or "none") == kind_of(reply), read
            elif command == "EXISTS":
                assert sum(key in namespace for key in arguments) == reply, read
        for namespace_name, token in expected["namespaces"].items():
            if namespace_name != "default":
                assert engine.namespace(namespace_name).token == token
        assert engine.verify("records") == []
    assert gets > 50
