"""Write a classifier that the text-classification pipeline of transformers loads, with its labels.

The head reads the mean of the token states. Of the classes in transformers only that of XLM does so and is otherwise the
same network as BERT: learnt positions, a norm after each part, and a linear layer on the mean. So the weights of a model of
BERT's kind are written under XLM's names. The written folder is loaded and compared before it is kept.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast, XLMConfig, XLMForSequenceClassification

from server.export.hub_folder import page
from server.export.merged import merged
from shared.config.run import RunConfig
from shared.errors import ModelError
from shared.models.library import quiet
from shared.tasks.base import Learner
from shared.tasks.classification import MeanPoolingClassifier

BERTS = ("bert", "roberta", "xlm-roberta", "camembert", "electra")  # model types with BERT's modules under BERT's names
TOLERANCE = 1e-4
# For each part of layer i: the name in BERT, the name in XLM.
LAYER = (
    ("attention.self.query", "attentions.{}.q_lin"),
    ("attention.self.key", "attentions.{}.k_lin"),
    ("attention.self.value", "attentions.{}.v_lin"),
    ("attention.output.dense", "attentions.{}.out_lin"),
    ("attention.output.LayerNorm", "layer_norm1.{}"),
    ("intermediate.dense", "ffns.{}.lin1"),
    ("output.dense", "ffns.{}.lin2"),
    ("output.LayerNorm", "layer_norm2.{}"),
)


def write_classifier(config: RunConfig, learner: Learner, card: Mapping[str, Any], folder: Path) -> None:
    """Write the classifier, its tokenizer and its model card.

    Parameters
    ----------
    config
        The run's config.
    learner
        The tuned model.
    card
        The run's privacy card.
    folder
        An empty folder.

    Raises
    ------
    ModelError
        The run is no classification, its model is not of BERT's kind, or the written model answers otherwise.
    """
    if not isinstance(learner.model, MeanPoolingClassifier):
        raise ModelError(f"--to sequence-classifier: the task is {config.task.name}, not classification; use --to merged")
    kind, tokenizer = learner.base.network.config.model_type, learner.base.tokenizer
    shape = learner.base.network.config
    if kind not in BERTS or not _plain(shape) or not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(
            f"--to sequence-classifier: transformers has no class that gives the mean of a {kind} model to a head; use --to "
            f"merged, which writes the head next to the model (possible for {', '.join(BERTS)})"
        )
    texts = [config.task.labels[0], " ".join(config.task.labels) * 3]
    asked = [torch.tensor(learner.task.token_ids([text]), device=learner.base.device) for text in texts]  # type: ignore[attr-defined]
    with torch.no_grad(), quiet():
        expected = [learner.model(ids, torch.ones_like(ids)).cpu() for ids in asked]
        _written(config, learner, folder)
        loaded = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
        found = [loaded(input_ids=ids.cpu(), attention_mask=torch.ones_like(ids).cpu()).logits for ids in asked]
    if not all(
        torch.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE) for one, other in zip(found, expected, strict=True)
    ):
        raise ModelError(
            f"--to sequence-classifier: the written {kind} model answers otherwise than the run; use --to merged"
        )
    (folder / "README.md").write_text(page(card, "transformers"), encoding="utf-8")


def _written(config: RunConfig, learner: Learner, folder: Path) -> None:
    """Write model and tokenizer.

    The mean of XLM's class is over all positions of a batch, padding included. So the tokenizer gets no padding token: texts
    of different lengths in one batch are an error of the library, not a wrong answer.
    """
    head: Any = learner.model.head
    encoder = merged(learner)
    shape, labels = encoder.config, config.task.labels
    target = XLMForSequenceClassification(
        XLMConfig(  # type: ignore[call-arg]
            vocab_size=shape.vocab_size,
            emb_dim=shape.hidden_size,
            n_layers=shape.num_hidden_layers,
            n_heads=shape.num_attention_heads,
            gelu_activation=shape.hidden_act == "gelu",
            dropout=0.0,
            attention_dropout=0.0,
            max_position_embeddings=len(_positions(encoder)),
            layer_norm_eps=shape.layer_norm_eps,
            use_lang_emb=False,
            pad_index=shape.pad_token_id or 0,
            pad_token_id=shape.pad_token_id or 0,
            summary_type="mean",
            summary_use_proj=True,
            summary_proj_to_labels=True,
            summary_activation=None,
            summary_first_dropout=0.0,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: number for number, label in enumerate(labels)},
        )
    )
    missing = target.load_state_dict(dict(_renamed(encoder, head)), strict=False).missing_keys
    if [name for name in missing if "position_ids" not in name]:
        raise ModelError(f"--to sequence-classifier: the model lacks {missing[0]}; use --to merged")
    target.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=learner.base.tokenizer.backend_tokenizer,
        unk_token=learner.base.tokenizer.unk_token,
        model_input_names=["input_ids", "attention_mask"],  # XLM would add token types to the words
        model_max_length=config.model.max_length,
    )
    tokenizer.save_pretrained(folder)


def _plain(shape: Any) -> bool:
    """Return whether XLM's class has the same activation and room for the embeddings and the feed-forward layers."""
    embedded = getattr(shape, "embedding_size", shape.hidden_size)
    fits = embedded == shape.hidden_size and shape.intermediate_size <= 4 * shape.hidden_size
    return fits and shape.hidden_act in ("gelu", "relu")


def _renamed(encoder: Any, head: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors under XLM's names; its feed-forward layers are 4 times as wide, and the rest of them stays 0."""
    weights = {name: value.detach().float().cpu() for name, value in encoder.state_dict().items()}
    wide = 4 * encoder.config.hidden_size
    for side in ("weight", "bias"):
        yield f"transformer.layer_norm_emb.{side}", weights[f"embeddings.LayerNorm.{side}"]
        yield f"sequence_summary.summary.{side}", getattr(head, side).detach().float().cpu()
        for number in range(encoder.config.num_hidden_layers):
            for name, other in LAYER:
                value = weights[f"encoder.layer.{number}.{name}.{side}"]
                if name == "intermediate.dense":
                    value = torch.cat([value, value.new_zeros(wide - len(value), *value.shape[1:])])
                elif (name, side) == ("output.dense", "weight"):
                    value = torch.cat([value, value.new_zeros(len(value), wide - value.shape[1])], dim=1)
                yield f"transformer.{other.format(number)}.{side}", value
    yield "transformer.embeddings.weight", weights["embeddings.word_embeddings.weight"]
    yield "transformer.position_embeddings.weight", _positions(encoder)


def _positions(encoder: Any) -> torch.Tensor:
    """Return the vector of each position from the first that a text uses, with the vector of a single text's type added."""
    table, types = encoder.embeddings.position_embeddings, encoder.embeddings.token_type_embeddings.weight
    first = 0 if table.padding_idx is None else table.padding_idx + 1
    vectors: torch.Tensor = table.weight.detach().float().cpu()[first:] + types.detach().float().cpu()[0]
    return vectors
