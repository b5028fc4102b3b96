"""A published adapter on the disk: it comes back as it was, with other settings if asked, and damage is refused."""

import json
from pathlib import Path

import pytest
from fixture_types import LearnerOf, Shake

from shared.adapters.peft import read_adapter
from shared.config.run import RunConfig
from shared.errors import ConfigError, ModelError
from shared.tasks.adapter_files import load_adapter, save_adapter
from shared.tasks.base import Learner


@pytest.fixture
def saved(either: RunConfig, learner_of: LearnerOf, shake: Shake, tmp_path: Path) -> tuple[Learner, Path]:
    learner = learner_of(either)
    shake(learner)
    save_adapter(learner, either, read_adapter(learner.model), tmp_path / "adapter")
    return learner, tmp_path / "adapter"


def test_the_report_says_what_was_published(either: RunConfig, learner_of: LearnerOf, tmp_path: Path) -> None:
    learner = learner_of(either)
    state = read_adapter(learner.model)
    said = save_adapter(learner, either, state, tmp_path / "adapter")
    assert said["digest"] == state.digest()
    assert said["trainable_parameters"] == state.parameters
    assert said["bytes"] == sum(path.stat().st_size for path in (tmp_path / "adapter").iterdir())


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"task": {"name": "evil"}}'])
def test_a_folder_that_is_no_adapter_is_refused_in_one_line(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ModelError, match="no readable run config") as caught:
        load_adapter(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_adapter_on_another_base_is_refused(saved: tuple[Learner, Path]) -> None:
    _, folder = saved
    tree = json.loads((folder / "run.json").read_text())
    tree["model"]["sha256"] = "0" * 64
    (folder / "run.json").write_text(json.dumps(tree))
    with pytest.raises(ModelError, match="checksum mismatch"):
        load_adapter(folder)


def test_an_override_changes_how_an_adapter_is_used_and_not_what_it_is(saved: tuple[Learner, Path]) -> None:
    _, folder = saved
    config, _ = load_adapter(folder, overrides=["model.max_length=20", "run.seed=5"])
    assert (config.model.max_length, config.run.seed) == (20, 5)
    for override, says in (
        ("adapter.rank=3", "--set adapter: the adapter was trained with other values"),
        ("task.system=other", "--set task: the adapter was trained"),
        ("model.nme=x", "nearest is 'model.name'"),
        ("rounds", "write it as section.key=value"),
    ):
        with pytest.raises(ConfigError, match=says) as caught:
            load_adapter(folder, overrides=[override])
        assert "\n" not in str(caught.value)
