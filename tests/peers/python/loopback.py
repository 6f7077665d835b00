"""An HTTP application on a free loopback port, run so that a test can wait for it without guessing.

The first line on stdout is `{"port": N}` and what the caller adds, written once requests are accepted; whatever else prints, prints to stderr.
With `--until-stdin-closes` the process ends with its parent, however that ends.
"""

import argparse
import json
import os
import pathlib
import socket
import sys
import threading

import uvicorn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="exit at end of input: give it a pipe, so that it can't outlive a killed test",
    )


def claim_stdout():
    """Keep stdout for the port line; from here on `print` and C libraries write to stderr."""
    stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return stdout


def listen() -> socket.socket:
    """Take a free port, for an application that has to know it beforehand."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


def serve(
    app,
    stdout,
    until_stdin_closes: bool = False,
    listener: socket.socket | None = None,
    certificate: pathlib.Path | None = None,
    **announced,
) -> None:
    """Serve an ASGI application until SIGTERM, SIGINT or, if asked, end of input; `announced` goes into the first line.

    With a certificate (and its key, in one PEM file), over HTTPS.
    """
    listener = listener or listen()

    class Announced(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            if self.started:
                print(json.dumps({"port": listener.getsockname()[1], **announced}), file=stdout, flush=True)

    config = uvicorn.Config(app, loop="asyncio", ws="none", log_level="warning", timeout_graceful_shutdown=1, ssl_certfile=certificate)
    server = Announced(config)
    if until_stdin_closes:

        def stop_at_end_of_input():
            sys.stdin.buffer.read()
            server.should_exit = True

        threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    server.run([listener])
    if not server.started:
        sys.exit("the server did not start: see the messages above")
