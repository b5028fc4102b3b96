"""The parts of a message of Flower, bounded before anything is inflated.

Flower sends a message as a tree of named parts, each in a request of its own. A part may be named several times, and then a
few bytes on the wire become many in memory.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flwr.app import Message
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_object_body, get_object_head_values_from_object_content
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry, inflate_object_from_contents, pull_objects

from shared.errors import MessageError

CHUNK = 5 * 2**20  # bytes of the largest part; Flower cuts arrays into chunks of this size
PART = CHUNK + 2**16  # bytes of a request or an answer that holds one part
SMALL = 2**20  # bytes of any other request or answer
FEW = 16  # parts of a message without chunks; ours have at most 7
SLACK = 2**14  # bytes by which the header of a reply may exceed that of its order


@dataclass(frozen=True)
class Bound:
    """The largest message that is accepted.

    Attributes
    ----------
    arrays : int
        Bytes of all arrays, each chunk counted as often as it is used.
    rest : int
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
        """Return a bound that also admits the reply to an order, which has arrays of the same size and a shorter header.

        Parameters
        ----------
        parts : Mapping[str, bytes]
            Parts of the order.
        """
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


def pull(tree: ObjectTree, bound: Bound, part: Callable[[str], bytes]) -> Message:
    """Fetch the parts of a message one by one, and inflate it.

    Parameters
    ----------
    tree : ObjectTree
        Names of the parts.
    bound : Bound
        Largest accepted message.
    part : Callable[[str], bytes]
        Fetches a part; may raise Flower's ``ObjectUnavailableError`` to be called again.

    Raises
    ------
    MessageError
        The message is larger than the bound, or is none.
    """
    intake = Intake(bound)

    def counted(name: str) -> bytes:
        content = part(name)
        intake.count(len(content))
        return content

    return inflate(tree.object_id, pull_objects(sorted(intake.announce(tree)), counted), bound)


def inflate(name: str, parts: dict[str, bytes], bound: Bound) -> Message:
    """Put a message together from its parts, after its size in memory was computed from them.

    Parameters
    ----------
    name : str
        Name of the message.
    parts : dict[str, bytes]
        All parts by name; emptied.
    bound : Bound
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
        raise MessageError("message: its first part is no message, so it is refused")
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
