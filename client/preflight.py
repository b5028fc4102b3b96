"""What is told before a record is read or a budget touched: whether training fits the machine, and an adapter the model.

All of it follows from the shapes of the model; no weight is loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.adapters.peft import attach_adapter, trained_shapes
from shared.adapters.state import AdapterState
from shared.config.run import RunConfig
from shared.errors import MessageError, ModelError
from shared.models.load import choose_device, outline
from shared.models.memory import OVERHEAD, SHARE, checkpointed_bytes, free_bytes, record_bytes, weight_bytes
from shared.tasks import TASKS


@dataclass(frozen=True)
class Need:
    """Bytes of training: ``fixed`` for weights, loss and noise; a record's ``whole``, or ``lean`` with checkpointing."""

    fixed: float
    whole: float
    lean: float

    def of(self, records: int, *, checkpointing: bool) -> float:
        """All of a step with so many records at once."""
        return self.fixed + records * (self.lean if checkpointing else self.whole)


def shapes_of(config: RunConfig) -> Mapping[str, tuple[int, ...]]:
    """The name and shape of each tensor that a run trains.

    Raises:
        ModelError: there is no such model, or it has no such layers.
    """
    task = TASKS[config.task.name]
    base = outline(config.model, task.kind)
    return trained_shapes(task(config, base).build(base, config.run.seed))


def refuse_other_adapter(adapter: AdapterState, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse an adapter that is not one of these tensors, each made of finite numbers.

    Raises:
        MessageError: a name or shape differs, or a number is NaN or infinite.
    """
    if dict(adapter.spec) != dict(shapes):
        raise MessageError("order: its adapter has other names or shapes than the run's config gives; compare versions")
    if not adapter.is_finite:
        raise MessageError("order: its adapter holds NaN or infinite numbers, which no round can start from")


def refuse_what_does_not_fit(config: RunConfig, free: int | None = None) -> None:
    """Refuse a run whose training does not fit ``free`` bytes, or the memory that is free now.

    Raises:
        ModelError: it does not fit, with the mildest change that would; or there is no such model.
    """
    device, length, training = choose_device(config.model.device), config.model.max_length, config.training
    need, room = need_of(config), SHARE * (free_bytes(device) if free is None else free)
    records = 1 if training.micro_batch_tokens == "auto" else max(1, training.micro_batch_tokens // length)
    asked = need.of(records, checkpointing=training.checkpointing)
    if asked <= room:
        return
    ways = {
        f"training.micro_batch_tokens = {length}": need.of(1, checkpointing=training.checkpointing),
        "training.checkpointing = true": need.of(records, checkpointing=True),
        f"training.micro_batch_tokens = {length} and training.checkpointing = true": need.of(1, checkpointing=True),
    }
    fitting = [f"set {way}, which fits" for way, size in ways.items() if size <= room]
    remedy = [*fitting, "take a smaller model or a shorter model.max_length"][0]
    raise ModelError(
        f"model.name = '{config.model.name}': training takes about {asked / 1e9:.2g} GB, and {room / 1e9:.2g} GB may be "
        f"used ({SHARE:.0%} of what is free on {device.type}); {remedy}"
    )


def need_of(config: RunConfig) -> Need:
    """What a run's training takes, from the shapes of its model; no weight is loaded."""
    task = TASKS[config.task.name]
    base = outline(config.model, task.kind)
    if config.adapter.rank:
        attach_adapter(base, config.adapter, config.run.seed)
    shape, size = base.network.config, base.dtype.itemsize
    whole = record_bytes(base.network.base_model, config.model.max_length) * size / 4  # shapes are laid out in float32
    lean = checkpointed_bytes(whole, shape, config.model.max_length, size)
    weights = weight_bytes(base.network.base_model, size, four_bits=config.model.dtype == "nf4")
    factor = OVERHEAD[choose_device(config.model.device).type]
    return Need(weights + task.loss_bytes(shape.vocab_size), factor * whole, factor * lean)
