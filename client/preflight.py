"""Check that training fits the memory and that an adapter fits the model, before any record is read or budget spent.

The checks need only the shapes of the model; no weight is loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.adapters.peft import attach_adapter, trained_shapes
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import MessageError, ModelError
from shared.models.load import choose_device, outline
from shared.models.memory import OVERHEAD, SHARE, checkpointed_bytes, estimated_bytes, free_bytes, record_bytes, weight_bytes
from shared.tasks import TASKS

LARGEST_NUMBER = 1e6  # of an adapter; no training that learns comes near it, and larger numbers overflow inside a model


@dataclass(frozen=True)
class Need:
    """Bytes that training needs: ``fixed`` for weights and loss; per record ``whole``, or ``lean`` with checkpointing."""

    fixed: float
    whole: float
    lean: float

    def of(self, records: int, *, checkpointing: bool) -> float:
        """Return the bytes of a step with this many records at once."""
        return self.fixed + records * (self.lean if checkpointing else self.whole)


def shapes_of(config: RunConfig) -> Mapping[str, tuple[int, ...]]:
    """Return the name and shape of each tensor that a run trains.

    Raises
    ------
    ModelError
        There is no such model, or it does not have the adapted layers.
    """
    task = TASKS[config.task.name]
    base = outline(config.model, task.kind)
    return trained_shapes(task(config, base).build(base, config.run.seed))


def refuse_other_adapter(adapter: AdapterState, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse an adapter unless it has exactly these tensors, and numbers from which a round can start.

    Raises
    ------
    MessageError
        A name or shape differs, or a number is NaN, infinite or beyond `LARGEST_NUMBER`.
    """
    if dict(adapter.spec) != dict(shapes):
        raise MessageError(
            "order: its adapter does not have the names and shapes that the run's config gives; compare the versions"
        )
    if not all(bool((np.abs(array) <= LARGEST_NUMBER).all()) for array in adapter.arrays.values()):  # also refuses NaN
        raise MessageError(
            f"order: its adapter contains NaN, infinite numbers or numbers beyond {LARGEST_NUMBER:g}, so no round can start "
            "from it; start a new run, with a smaller learning rate"
        )


def refuse_what_does_not_fit(config: RunConfig, free: int | None = None) -> None:
    """Refuse a run whose training does not fit the memory.

    Parameters
    ----------
    config
        Configuration of the run.
    free
        Free bytes; None measures them now.

    Raises
    ------
    ModelError
        Training does not fit, and the message names the mildest change that would fit; or there is no such model.
    """
    device, length, training = choose_device(config.model.device), config.model.max_length, config.training
    need, room = need_of(config), SHARE * (free_bytes(device) if free is None else free)
    records = 1 if training.micro_batch_tokens == "auto" else max(1, training.micro_batch_tokens // length)
    asked = need.of(records, checkpointing=training.checkpointing)
    if asked <= room:
        return
    remedies = {
        f"training.micro_batch_tokens = {length}": need.of(1, checkpointing=training.checkpointing),
        "training.checkpointing = true": need.of(records, checkpointing=True),
        f"training.micro_batch_tokens = {length} and training.checkpointing = true": need.of(1, checkpointing=True),
    }
    fitting = [f"set {way}, which fits" for way, size in remedies.items() if size <= room]
    remedy = [*fitting, "use a smaller model or a shorter model.max_length"][0]
    raise ModelError(
        f"model.name = '{config.model.name}': training takes about {asked / 1e9:.2g} GB, but only {room / 1e9:.2g} GB may "
        f"be used ({SHARE:.0%} of the free memory on {device.type}); {remedy}"
    )


def need_of(config: RunConfig) -> Need:
    """Estimate the memory that a run's training needs, from the shapes of its model."""
    task = TASKS[config.task.name]
    base = outline(config.model, task.kind)
    task(config, base)  # refuses a chat template that does not fit the task
    if config.adapter.rank:
        attach_adapter(base, config.adapter, config.run.seed)
    shape, size = base.network.config.get_text_config(), base.dtype.itemsize
    try:
        whole: float = record_bytes(base.network.base_model, config.model.max_length)
    except Exception:  # some models cannot run without values; when the weights are loaded, an error is no longer caught
        whole = estimated_bytes(shape, config.model.max_length)
    whole *= size / 4  # the outline is in float32
    lean = checkpointed_bytes(whole, shape, config.model.max_length, size)
    weights = weight_bytes(base.network.base_model, size, four_bits=config.model.dtype == "nf4")
    factor = OVERHEAD[choose_device(config.model.device).type]
    return Need(weights + task.loss_bytes(shape.vocab_size), factor * whole, factor * lean)
