"""Carry the parts of a message of Flower, and bound their size before anything is inflated.

Flower sends a message as a tree of named parts, each in a request of its own. Here one request carries as many parts as fit,
because each request costs a signature at the site and its check at the server. A part may be named several times, and then
a few bytes on the wire become many in memory.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from flwr.app import Message
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_object_body, get_object_head_values_from_object_content
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry, inflate_object_from_contents

from shared.errors import MessageError

CHUNK = 5 * 2**20  # bytes of the largest part; Flower cuts arrays into chunks of this size
PART = CHUNK + 2**16  # bytes of a request or an answer that carries parts
SMALL = 2**20  # bytes of any other request or answer
FEW = 16  # parts of a message without chunks; ours have at most 7
SLACK = 2**14  # bytes by which the header of a reply may exceed that of its order
LENGTH = 4  # bytes before each part that state its length
PATIENCE, PAUSE = 20.0, 0.2  # seconds to wait for parts that the server has not stored yet, and between two requests


@dataclass(frozen=True)
class Bound:
    """The largest message that is accepted.

    Attributes
    ----------
    arrays
        Bytes of all arrays, each chunk counted as often as it is used.
    rest
        Bytes of everything else.
    """

    arrays: int
    rest: int

    @property
    def parts(self) -> int:
        """Return the largest number of parts."""
        return FEW + -(-self.arrays // CHUNK)

    @property
    def total(self) -> int:
        """Return the largest size of all parts together, in bytes."""
        return self.arrays + self.rest

    def with_order(self, parts: Mapping[str, bytes]) -> "Bound":
        """Return a bound that also admits the reply to an order, which has arrays of the same size and a shorter header."""
        arrays = sum(len(part) for part in parts.values() if _kind(part) == "ArrayChunk")
        rest = sum(map(len, parts.values())) - arrays
        return Bound(max(self.arrays, arrays), max(self.rest, rest + SLACK))


@dataclass
class Intake:
    """The parts of one message while they arrive, under a bound on their number and on their bytes."""

    bound: Bound
    names: frozenset[str] = frozenset()
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def announce(self, tree: ObjectTree) -> frozenset[str]:
        """Take the tree of the message and return the names of its parts.

        Raises
        ------
        MessageError
            The tree has more parts than the bound allows.
        """
        names, open_trees = [], [tree]
        while open_trees:
            each = open_trees.pop()
            names.append(each.object_id)
            open_trees += each.children
            if len(names) + len(open_trees) > self.bound.parts:
                raise MessageError(f"message: has more than {self.bound.parts} parts, so it is refused")
        self.names = frozenset(names)
        return self.names

    def count(self, size: int) -> None:
        """Count the bytes of one part.

        Raises
        ------
        MessageError
            The parts are larger than the bound allows.
        """
        with self._lock:
            self._bytes += size
            if self._bytes > self.bound.total:
                raise MessageError(f"message: has more than {self.bound.total:,} bytes, so it is refused")


def packets(contents: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bodies that carry these parts, each of at most ``CHUNK`` and some bytes, in order.

    Parameters
    ----------
    contents
        Parts, each of at most ``CHUNK`` and some bytes.
    """
    body = bytearray()
    for content in contents:
        if body and len(body) + LENGTH + len(content) > CHUNK:
            yield bytes(body)
            body = bytearray()
        body += len(content).to_bytes(LENGTH, "big") + content
    if body:
        yield bytes(body)


def unpacked_parts(body: bytes) -> Mapping[str, bytes]:
    """Return the parts that a body carries by name, which is the SHA-256 of the part.

    Raises
    ------
    MessageError
        The body ends within a part.
    """
    found, at = {}, 0
    while at < len(body):
        start = at + LENGTH
        at = start + int.from_bytes(body[at:start], "big")
        if start > len(body) or at > len(body):
            raise MessageError("message: a request ends in the middle of a part, so it is refused")
        content = body[start:at]
        found[hashlib.sha256(content).hexdigest()] = content
    return found


def pull(
    tree: ObjectTree, bound: Bound, fetch: Callable[[str], bytes], sleep: Callable[[float], None] = time.sleep
) -> Message:
    """Fetch the parts of a message, as many in each request as fit, and inflate the message.

    Parameters
    ----------
    tree
        Names of the parts.
    bound
        Largest accepted message.
    fetch
        Returns a body that carries some of the parts whose names are given, with a comma between them.
    sleep
        Waits between two requests where the server has not stored a part yet.

    Raises
    ------
    MessageError
        The message is larger than the bound, cannot be read, or was withdrawn.
    """
    intake, parts = Intake(bound), dict[str, bytes]()
    left, end = set(intake.announce(tree)), time.monotonic() + PATIENCE
    while left:
        found = {name: content for name, content in unpacked_parts(fetch(",".join(sorted(left)))).items() if name in left}
        for content in found.values():
            intake.count(len(content))
        parts |= found
        left -= set(found)
        if not found:
            if time.monotonic() > end:
                raise MessageError("message: was withdrawn before all of its parts came")
            sleep(PAUSE)
    return inflate(tree.object_id, parts, bound)


def inflate(name: str, parts: dict[str, bytes], bound: Bound) -> Message:
    """Put a message together from its parts, after its size in memory was computed from them.

    Parameters
    ----------
    name
        Name of the message.
    parts
        All parts by name; emptied.
    bound
        Largest accepted message.

    Raises
    ------
    MessageError
        The message would be larger than the bound, or the parts are no message.
    """
    try:
        arrays = sum(_array_bytes(part, parts) for part in parts.values() if _kind(part) == "Array")
        rest = sum(len(part) for part in parts.values() if _kind(part) != "ArrayChunk")
        fits = arrays <= bound.arrays and rest <= bound.rest
        message = inflate_object_from_contents(name, parts) if fits else None
    except Exception as error:  # parts come from somebody else, and a parser of foreign bytes may raise anything
        raise MessageError(f"message: cannot be read ({type(error).__name__})") from error
    if not fits:
        raise MessageError(
            f"message: would take {arrays:,} bytes of arrays and {rest:,} of other parts, and {bound.arrays:,} and "
            f"{bound.rest:,} are allowed"
        )
    if not isinstance(message, Message):
        raise MessageError("message: its first part is not a message, so it is refused")
    return message


def _kind(part: bytes) -> str:
    """Return the class that a part names, which is one of Flower's."""
    kind = get_object_head_values_from_object_content(part)[0]
    if kind not in inflatable_class_registry:
        raise MessageError("message: has a part of an unknown kind, so it is refused")
    return kind


def _array_bytes(part: bytes, parts: Mapping[str, bytes]) -> int:
    """Return the bytes of an array: Flower joins its chunks in the order of this list, which may name one many times."""
    names = get_object_head_values_from_object_content(part)[1]
    used = json.loads(get_object_body(part, inflatable_class_registry["Array"]))["arraychunk_ids"]
    return sum(len(parts[names[index]]) for index in used)
