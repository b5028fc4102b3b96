"""Start hushtune processes fast: import the heavy libraries and scrub a text once, then fork.

Each child is a separate process with its own memory, files and sockets. It runs the command line from the start and can be
killed; only the seconds of importing torch and spaCy and of reading the anonymiser's lists are saved. Requests and answers
are JSON, one per line. The test of the real command line does not use this program.
"""

import importlib
import json
import os
import sys

HEAVY = (
    "server.app",
    "client.service",
    "client.set_up",
    "server.display",
    "privacy.anonymise.scrubber",
    "transformers.models.bert",
)


def child(request: dict[str, object]) -> None:
    """Run ``hushtune ARGUMENTS`` in this process, with output to the request's log file."""
    log = os.open(str(request["log"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    for name in ("HUSHTUNE_FAULT", "MISBEHAVE"):
        os.environ.pop(name, None)
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    sys.argv = ["hushtune", *request["arguments"]]  # type: ignore[misc]
    if "MISBEHAVE" in os.environ:
        importlib.import_module("misbehave")
    importlib.import_module("hushtune").main()


def serve() -> None:
    """Answer requests until standard input closes: start a child, or poll one for its exit status."""
    for line in sys.stdin:
        request = json.loads(line)
        if "pid" in request:
            pid, status = os.waitpid(request["pid"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                status = 1
                try:
                    child(request)
                    status = 0
                except SystemExit as error:
                    status = error.code if isinstance(error.code, int) else 1 if error.code else 0
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(status)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    for name in HEAVY:
        importlib.import_module(name)
    texts = importlib.import_module("privacy.anonymise.texts")
    texts.Scrubber().scrub(["Dr. Okafor called."])  # fills the caches of word lists and of compiled expressions
    serve()
