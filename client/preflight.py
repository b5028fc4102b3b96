"""Whether a run's training fits this machine, told before a record is read or a budget touched, with what would fit."""

from dataclasses import dataclass

from shared.config import RunConfig
from shared.errors import ModelError
from shared.footprint import OVERHEAD, SHARE, checkpointed_bytes, free_bytes, record_bytes, weight_bytes
from shared.models import choose_device, outline
from shared.peft_adapter import attach_adapter
from shared.tasks import TASKS
from shared.tasks.likelihood import ROWS


@dataclass(frozen=True)
class Need:
    """Bytes of training: ``fixed`` for weights, loss and noise; a record's ``whole``, or ``lean`` with checkpointing."""

    fixed: float
    whole: float
    lean: float

    def of(self, records: int, *, checkpointing: bool) -> float:
        """All of a step with so many records at once."""
        return self.fixed + records * (self.lean if checkpointing else self.whole)


def refuse_what_does_not_fit(config: RunConfig) -> None:
    """Refuse a run whose training does not fit the memory that is free now.

    Raises:
        ModelError: it does not fit, with the mildest change that would; or there is no such model.
    """
    device, length, training = choose_device(config.model.device), config.model.max_length, config.training
    need, room = need_of(config), SHARE * free_bytes(device)
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
    kind = TASKS[config.task.name].kind
    base = outline(config.model, kind)
    if config.adapter.rank:
        attach_adapter(base, config.adapter, config.run.seed)
    shape, size = base.network.config, base.dtype.itemsize
    whole = record_bytes(base.network.base_model, config.model.max_length) * size / 4  # shapes are laid out in float32
    lean = checkpointed_bytes(whole, shape, config.model.max_length, size)
    weights = weight_bytes(base.network.base_model, size, four_bits=config.model.dtype == "nf4")
    loss = 2 * 4 * ROWS * shape.vocab_size if kind == "causal" else 0
    factor = OVERHEAD[choose_device(config.model.device).type]
    return Need(weights + loss, factor * whole, factor * lean)
