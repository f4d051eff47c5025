"""The server of a sandbox: a process that has imported torch, and makes a copy of itself for each check."""

import gc
import pickle
import socket
import sys

import torch

from minibert.classroom.binding import REQUIRED
from minibert.classroom.running import CallForm, LocalRunner
from minibert.classroom.sandbox import linux
from minibert.classroom.sandbox.frames import Tag, encode, receive, send
from minibert.classroom.sandbox.limits import Limits
from minibert.classroom.sandbox.reference import PACKAGE, preload
from minibert.classroom.sandbox.supervisor import Supervisor, end_descendants


def serve(connection: socket.socket) -> None:
    """Answer messages until the connection ends."""
    check: Supervisor | None = None
    while True:
        if check:
            check.wait_until_readable(connection)
        tag, body = receive(connection)
        if tag is Tag.OPEN:
            check = Supervisor(pickle.loads(body))
            send(connection, *check.ask(Tag.OPEN))
        elif check and tag is Tag.CALL:
            send(connection, *check.ask(tag, body))
        elif check and tag is Tag.CLOSE:
            check.end()
            send(connection, Tag.DONE, bytes(check.printed))
            check = None


def _warm_up() -> None:
    """Use what every copy uses once, so that no copy has to import or prepare it."""
    runner = LocalRunner(CallForm({"x": REQUIRED}), torch.exp)
    encode(runner({"x": torch.ones(1)}, gradients=True), Limits())


def main(descriptor: str) -> None:
    """Serve the process at the other end of a socket."""
    torch.set_num_threads(1)
    linux.adopt_orphans()
    preload()
    _warm_up()
    linux.isolate(PACKAGE)
    gc.collect()
    gc.freeze()  # copies share the memory of what exists now
    try:
        serve(socket.socket(fileno=int(descriptor)))
    except EOFError:
        pass
    finally:
        end_descendants()


if __name__ == "__main__":
    main(sys.argv[1])
