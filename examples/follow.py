"""Follows a primary and shows how far it is: python examples/follow.py DIR HOST:PORT [PASSWORD]

On a terminal it draws a bar when `rich` or `tqdm` is installed; else it prints lines. Without arguments it makes a primary
of its own and follows that.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pumice

Show = Callable[[pumice.LinkStatus], object]


def said(link: pumice.LinkStatus) -> str:
    """A link in one line."""
    error = f" ({link.last_error})" if link.last_error else ""
    if link.sync is None:
        return link.state + error
    done = f"{link.sync.files_done} of {link.sync.files} files, {link.sync.bytes_done:,} of {link.sync.bytes:,} bytes"
    left = "" if link.sync.remaining_seconds is None else f", {link.sync.remaining_seconds:.0f} s left"
    return f"{link.state}: {done}, {link.sync.bytes_per_second:,} bytes/s{left}"


@contextmanager
def rich_bar() -> Iterator[Show]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    parts = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*parts) as bars:
        task = bars.add_task("connecting", total=None)

        def show(link: pumice.LinkStatus) -> None:
            if link.sync is None:
                bars.update(task, description=said(link))
            else:
                bars.update(task, description=link.state, total=link.sync.bytes, completed=link.sync.bytes_done)

        yield show


@contextmanager
def tqdm_bar() -> Iterator[Show]:
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, unit_divisor=1024) as bar:

        def show(link: pumice.LinkStatus) -> None:
            bar.set_description(link.state if link.sync else said(link))
            if link.sync is not None:
                bar.total, bar.n = link.sync.bytes, link.sync.bytes_done
                bar.refresh()

        yield show


@contextmanager
def lines() -> Iterator[Show]:
    last = ""

    def show(link: pumice.LinkStatus) -> None:
        nonlocal last
        if said(link) != last:
            last = said(link)
            print(last)

    yield show


def progress_bar() -> AbstractContextManager[Show]:
    """The best that is installed."""
    if not sys.stderr.isatty():
        return lines()
    if find_spec("rich"):
        return rich_bar()
    return tqdm_bar() if find_spec("tqdm") else lines()


def follow(folder: Path, host: str, port: int, password: str | None) -> None:
    with pumice.open(folder, role="replica") as replica:
        with progress_bar() as show:
            replica.follow(host, port, password=password, wait=True, progress=show)
        link = replica.link
        print(f"{host}:{port} is here: {', '.join(replica.namespaces())} at {replica.position}")
        if link is not None and link.warning:
            print("warning:", link.warning)


def main(arguments: list[str]) -> None:
    if arguments:
        folder, address, *password = arguments
        host, _, port = address.rpartition(":")
        follow(Path(folder), host, int(port), password[0] if password else None)
        return
    with tempfile.TemporaryDirectory() as name, pumice.open(Path(name) / "primary") as primary:
        users = primary.create_namespace("users")
        users.update({f"user{n:05}": b"x" * 1000 for n in range(5000)})
        listener = primary.serve()
        assert isinstance(listener.address, tuple)
        follow(Path(name) / "replica", *listener.address, None)


if __name__ == "__main__":
    main(sys.argv[1:])
