import json
from pathlib import Path

import pytest

from shared.config.run import RunConfig
from shared.errors import ConfigError, DataError
from shared.records.labels import MOST, read_labels

RUN = """
[task]
labels = "evaluation.file"
[data]
columns.label = "intent"
[data.sites]
count = 2
declared_size = 100
"""


def test_the_labels_of_a_public_file_are_sorted_and_missing_ones_are_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text;intent\na;02\nb;01\nc;\nd;NA\ne;02\n")
    assert read_labels(tmp_path / "t.csv", "intent") == ["01", "02"]
    tags = [{"label": "DRUG", "start": 0, "end": 1}, {"label": "AGE", "start": 2, "end": 3}]
    (tmp_path / "t.jsonl").write_text(json.dumps({"text": "a b", "tags": tags}) + '\n{"text": "c", "tags": []}\n')
    assert read_labels(tmp_path / "t.jsonl", "tags") == ["AGE", "DRUG"]


def test_a_column_without_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,intent\n" + "".join(f"a,text {n}\n" for n in range(MOST + 1)))
    for column, found in (("intent", MOST + 1), ("label", 0)):
        with pytest.raises(DataError, match=f"column '{column}' has {found} different labels"):
            read_labels(tmp_path / "t.csv", column)


def test_a_config_takes_its_labels_from_the_test_file_and_is_then_complete(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,intent\na,yes\nb,no\n")
    (tmp_path / "run.toml").write_text(RUN.replace("count = 2", 'count = 2\nfile = "n.csv"'))
    config = RunConfig.load(tmp_path / "run.toml", [f"evaluation.file={tmp_path / 't.csv'}"])
    assert config.task.labels == ("no", "yes")
    assert [site.id for site in config.data.sites] == ["site-1", "site-2"]
    assert RunConfig.model_validate_json(config.canonical()) == config
    with pytest.raises(ConfigError, match=r"task.labels = 'evaluation.file': needs evaluation.file"):
        RunConfig.load(tmp_path / "run.toml")
