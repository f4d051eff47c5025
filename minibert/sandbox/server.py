"""The server of a sandbox: a process that has imported torch, and makes a copy of itself for each session."""

import gc
import importlib
import pickle
import socket
import sys

import torch

from minibert.sandbox import linux
from minibert.sandbox.messages import Tag, receive, send
from minibert.sandbox.supervisor import Supervisor, end_descendants


def serve(connection: socket.socket) -> None:
    """Answer messages until the connection ends."""
    session: Supervisor | None = None
    while True:
        if session:
            session.wait_until_readable(connection)
        tag, body = receive(connection)
        if tag is Tag.OPEN:
            session = Supervisor(pickle.loads(body))
            send(connection, *session.ask(Tag.OPEN))
        elif session and tag is Tag.CALL:
            send(connection, *session.ask(tag, body))
        elif session and tag is Tag.CLOSE:
            session.end()
            send(connection, Tag.DONE, bytes(session.printed))
            session = None


def main(descriptor: str, module: str) -> None:
    """Serve the process at the other end of a socket.

    Args:
        module: a module whose function `prepare` imports what every copy needs.
    """
    torch.set_num_threads(1)
    linux.adopt_orphans()
    importlib.import_module(module).prepare()
    gc.collect()
    gc.freeze()  # copies share the memory of what exists now
    try:
        serve(socket.socket(fileno=int(descriptor)))
    except EOFError:
        pass
    finally:
        end_descendants()


if __name__ == "__main__":
    main(*sys.argv[1:])
