"""Make the process that imports this module misbehave, in the way that the environment variable MISBEHAVE names."""

import os
import time
from dataclasses import replace
from typing import Any

import numpy as np

from client import service
from client.set_up import Host
from shared.adapters.state import AdapterState
from shared.wire.messages import TrainOrder, TrainReply

KINDS = ("nan", "key", "shape", "dtype", "stale", "impostor", "error", "late")
CANARY_BUNDLE = """import pathlib, os
pathlib.Path(os.environ["CANARY"]).write_text("the bundle's code ran")
client = server = None
"""


def spoil(kind: str, reply: TrainReply, order: TrainOrder) -> TrainReply:
    """Return the reply with one kind of defect."""
    arrays: dict[str, Any] = dict(reply.delta.arrays)
    name = next(iter(arrays))
    if kind == "nan":
        arrays[name] = np.full_like(arrays[name], np.nan)
    elif kind == "key":
        arrays["foreign"] = arrays.pop(name)
    elif kind == "shape":
        arrays[name] = arrays[name].reshape(-1)
    elif kind == "dtype":
        arrays = {each: array.view(np.int32) for each, array in arrays.items()}  # of the same size, so it is read
    elif kind == "stale":
        return replace(reply, nonce="0" * 32, round=max(1, order.round - 3))
    elif kind == "impostor":
        return replace(reply, site_id="east")
    elif kind == "error":
        raise ValueError("a patient's words")
    elif kind == "late":
        time.sleep(order.config.cohort.deadline + 10)
    return replace(reply, delta=AdapterState(arrays))


def one_kind_a_round() -> None:
    """Make the site's replies defective, in a different way in each round."""
    original = Host.train
    Host.train = lambda self, order: spoil(KINDS[order.round - 1], original(self, order), order)  # type: ignore[method-assign]


def bundle_with_code() -> None:
    """Put code into the server's app bundle; the code writes a file if a site runs it."""
    from server.network import superlink

    folder = "hushtune_bundle"
    metadata = superlink.ENVELOPE["pyproject.toml"].replace(b"nowhere:nothing", f"{folder}.app:client".encode(), 1)
    superlink.ENVELOPE |= {  # type: ignore[misc]
        "pyproject.toml": metadata,
        f"{folder}/__init__.py": CANARY_BUNDLE.encode(),
        f"{folder}/app.py": CANARY_BUNDLE.encode(),
    }


def impatient() -> None:
    """Let a client give up after a second, not 30, if the server knows a connection of its site."""
    service.FORGOTTEN = 1.0


{"rounds": one_kind_a_round, "bundle": bundle_with_code, "impatient": impatient}[os.environ["MISBEHAVE"]]()
