"""A tour of pumice: python examples/hello.py"""

import tempfile
from pathlib import Path

import pumice

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    with pumice.open(folder / "primary") as db:
        # A namespace is a mutable mapping of bytes, in order.
        users = db.create_namespace("users")
        users["ada"] = b"countess"
        users.put("session", b"...", ttl=3600, sync=True)
        users.put_if("ada", b"duchess", expected=b"countess")
        print(len(users), users["ada"], users.ttl("session"), dict(users.items(prefix="a")))

        # Writes that happen together, in any namespaces, or not at all.
        db.create_namespace("counts")
        with db.batch() as batch:
            batch.put(users, "grace", b"admiral")
            batch.put("counts", "users", b"2")

        # A view of one moment, whatever is written later.
        with db.snapshot() as then:
            del users["grace"]
            print("grace" in users, then.namespace("users")["grace"])

        # The whole dataset, namespaces included, brought into a replica in one step.
        checkpoint = db.create_checkpoint(folder / "checkpoint")
        with pumice.open(folder / "replica", role="replica") as replica:
            replica.apply_checkpoint(checkpoint, progress=lambda told: print(told.stage, f"{told.fraction:.0%}"))
            print(replica.namespaces(), replica.namespace("users")["ada"])

            # And what is written after it, entry by entry.
            users["alan"] = b"bombe"
            for entry in db.log(after=replica.position):
                print([(change.operation, change.namespace, change.key) for change in db.changes(entry)])
                replica.apply(entry)
            assert replica.position == db.position and replica.verify() == []

        try:
            db.namespace("nobody")
        except pumice.NotFoundError as error:
            print(error.kind, error, sep=": ")
