"""Pack the arrays of an adapter into one array, because Flower needs several requests for each array of a message.

The numbers travel as one array of one dimension, in a form of `shared.wire.encodings`. Names and shapes travel in the
header as one text, for example ``encoder.lora_B.weight=8x384;head.bias=6``. For given names and shapes, only the text of
``spec_text`` is accepted.
"""

import math
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from shared.adapters.state import AdapterState, Spec
from shared.errors import MessageError
from shared.wire.encodings import FULL, Form, Numbers

LONGEST = 2**20  # most characters of the text; an adapter of a large model has some thousand arrays, with names of about 80
ARRAY = re.compile(r"([A-Za-z0-9_.-]{1,200})=((?:[0-9]{1,10}(?:x[0-9]{1,10}){0,7})?)")


def spec_text(spec: Spec) -> str:
    """Return names and shapes as one text."""
    return ";".join(f"{name}={'x'.join(map(str, shape))}" for name, shape in spec)


def packed(state: AdapterState) -> npt.NDArray[np.float32]:
    """Return all numbers of an adapter or a delta, (number of parameters,), in the order of its names."""
    # Numbers of another dtype are not cast, so that the receiver refuses them.
    flat = [np.asarray(array).reshape(-1) for array in state.arrays.values()]
    return np.concatenate(flat) if flat else np.zeros(0, dtype=np.float32)


def unpacked(text: str, numbers: Numbers, what: str, form: Form = FULL) -> AdapterState:
    """Return the adapter of packed numbers.

    Parameters
    ----------
    text
        Names and shapes, as ``spec_text`` writes them.
    numbers : array (form.length(number of parameters),)
        The numbers, in the order of the names.
    what
        Kind of the message, ``order`` or ``reply``, for an error.
    form
        Form of the numbers.

    Raises
    ------
    MessageError
        The text has another form, or the array does not have exactly the numbers of these shapes.
    """
    spec = _parsed(text, what)
    sizes = [math.prod(shape) for _, shape in spec]
    if numbers.shape != (form.length(sum(sizes)),):
        raise MessageError(f"{what}: its numbers are not exactly those of the shapes in its header")
    try:
        named = zip(spec, _parts(form.read(numbers, sum(sizes)), sizes), strict=True)
        return AdapterState({name: part.reshape(shape) for (name, shape), part in named})
    except ValueError as error:  # numpy has no array of this shape, such as 0 times 10^30
        raise MessageError(f"{what}: its header gives a shape that no array has") from error


def _parsed(text: str, what: str) -> Spec:
    pieces = text.split(";") if text and len(text) <= LONGEST else []
    found = [match for piece in pieces if (match := ARRAY.fullmatch(piece))]
    spec = tuple((match[1], tuple(int(n) for n in match[2].split("x") if n)) for match in found)
    if spec_text(spec) != text or len(dict(spec)) != len(spec):
        raise MessageError(f"{what}: its header does not give distinct names with shapes, so it is refused")
    return spec


def _parts(numbers: npt.NDArray[np.float32], sizes: list[int]) -> Iterator[npt.NDArray[np.float32]]:
    start = 0
    for size in sizes:
        yield numbers[start : start + size]
        start += size
