"""Represent an adapter as named float32 arrays, with the arithmetic of a round on them."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from shared.errors import ModelError
from shared.ops.disk import os_errors

Array = npt.NDArray[np.float32]
Spec = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class AdapterState:
    """The trained tensors of an adapter: name -> float32 array, in the model's order.

    Server and site exchange adapters only in this form. A *delta* is the state after training minus the state before. No
    operation changes a state in place.
    """

    arrays: Mapping[str, Array] = field(repr=False)

    @property
    def spec(self) -> Spec:
        """Return names and shapes in order."""
        return tuple((name, tuple(array.shape)) for name, array in self.arrays.items())

    @property
    def parameters(self) -> int:
        """Return the number of trained parameters."""
        return sum(array.size for array in self.arrays.values())

    @property
    def norm(self) -> float:
        """Return the L2 norm over all tensors together, summed in float64."""
        return float(np.sqrt(sum(float(np.sum(np.square(a, dtype=np.float64))) for a in self.arrays.values())))

    @property
    def is_finite(self) -> bool:
        """Return whether no number is NaN or infinite."""
        return all(bool(np.isfinite(array).all()) for array in self.arrays.values())

    def digest(self) -> str:
        """Return the SHA-256 of names, shapes and little-endian bytes, 64 hexadecimal digits."""
        running = hashlib.sha256()
        for name, array in self.arrays.items():
            running.update(f"{name}:{array.shape}:".encode())
            running.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return running.hexdigest()

    def add(self, delta: "AdapterState") -> "AdapterState":
        """Return this state plus a delta.

        Raises
        ------
        ModelError
            The specs differ.
        """
        return self._with(delta, lambda mine, other: mine + other)

    def minus(self, before: "AdapterState") -> "AdapterState":
        """Return the delta from another state to this one.

        Raises
        ------
        ModelError
            The specs differ.
        """
        return self._with(before, lambda mine, other: mine - other)

    def flattened(self) -> Array:
        """Return all numbers as one vector (d,), in the order of the tensors."""
        return np.concatenate([array.ravel() for array in self.arrays.values()])

    def unflattened(self, vector: Array) -> "AdapterState":
        """Return the state with the names and shapes of this one whose numbers are those of a vector (d,)."""
        ends = np.cumsum([array.size for array in self.arrays.values()])
        parts = zip(self.arrays.items(), np.split(vector, ends[:-1]), strict=True)
        return AdapterState({name: part.reshape(array.shape) for (name, array), part in parts})

    def _with(self, other: "AdapterState", operation: Callable[[Array, Array], Array]) -> "AdapterState":
        if self.spec != other.spec:
            raise ModelError("two adapter states of different spec cannot be combined; build both from one run config")
        return AdapterState({name: operation(array, other.arrays[name]) for name, array in self.arrays.items()})

    def save(self, path: Path) -> None:
        """Write a safetensors file, or replace it.

        Raises
        ------
        OSError
            The disk is full or the folder cannot be written.
        """
        # Unlike ascontiguousarray, asarray leaves an array of no dimension as it is.
        with os_errors():
            save_file({name: np.asarray(array, order="C") for name, array in self.arrays.items()}, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a safetensors file; the names come back sorted, because the format does not keep their order.

        Raises
        ------
        ModelError
            The file is missing, or not a safetensors file of float32 arrays.
        """
        try:
            arrays = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path}: not a readable safetensors file; give the folder of a finished run") from error
        if any(array.dtype != np.float32 for array in arrays.values()):
            raise ModelError(f"{path}: holds tensors that are not float32; give the folder of a finished run")
        return cls(arrays)
