"""Compute the values of an export with its own consumer alone; ``bench.consumers`` runs this file in a new environment."""

import argparse
import importlib.util
import json
import sys
from typing import Any

GGUF = "model.gguf"


def main() -> None:
    """Print a row of values for each text: label probabilities of a classifier, else the scores of the next token."""
    parser = argparse.ArgumentParser()
    parser.add_argument("form")
    parser.add_argument("folder")
    parser.add_argument("texts", nargs="+")
    arguments = parser.parse_args()
    if importlib.util.find_spec("hushtune") is not None:
        raise SystemExit("hushtune is installed here, so this environment shows nothing")
    values = classified if arguments.form == "sequence-classifier" else continued
    sys.stdout.write(json.dumps(values(arguments.form, arguments.folder, arguments.texts)))


def classified(_: str, folder: str, texts: list[str]) -> list[list[float]]:
    """Return the probabilities of the labels, in the order of the labels' names, as transformers' pipeline gives them."""
    from transformers import pipeline

    classifier: Any = pipeline("text-classification", model=folder, device="cpu")
    found = [sorted(classifier(text, top_k=None), key=lambda label: str(label["label"])) for text in texts]
    return [[float(label["score"]) for label in labels] for labels in found]


def continued(form: str, folder: str, texts: list[str]) -> list[list[float]]:
    """Return the scores of all tokens after each text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if form == "hub-folder":
        from peft import AutoPeftModelForCausalLM, PeftConfig

        model: Any = AutoPeftModelForCausalLM.from_pretrained(folder)
        tokenizer: Any = AutoTokenizer.from_pretrained(str(PeftConfig.from_pretrained(folder).base_model_name_or_path))
    else:
        file = {"gguf_file": GGUF} if form == "gguf" else {}
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **file)
        tokenizer = AutoTokenizer.from_pretrained(folder, **file)
    model.eval()
    with torch.no_grad():
        rows = [torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]]) for text in texts]
        return [model(input_ids=row).logits[0, -1].float().tolist() for row in rows]


if __name__ == "__main__":
    main()
