"""The reference of the run configuration is complete, and says what the classes check."""

import json

import pytest
from click.testing import CliRunner

from hushtune import command_line
from shared.config.reference import chosen_rows, field_rows, markdown
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.ops.config_view import field_tables


def test_every_field_of_every_section_is_listed_once_with_a_description() -> None:
    rows = field_rows()
    paths = [row.path for row in rows]
    properties = sum(len(section["properties"]) for section in RunConfig.model_json_schema()["$defs"].values())
    inner = len(("data.sites", "data.columns", "data.label_bins", "evaluation.probes", "sweep.space"))
    assert len(set(paths)) == len(paths) == properties - inner
    assert all(row.description and row.kind for row in rows)
    assert {path.split(".")[0] for path in paths} == set(RunConfig.model_fields)


@pytest.mark.parametrize(
    ("path", "kind", "range_", "default"),
    [
        ("training.steps", "whole number", "1 to 100,000", "10"),
        ("privacy.epsilon", "number", "above 0, at most 100", "8.0"),
        ("privacy.target_delta", "number or nothing", "above 0, below 1", "nothing"),
        ("privacy.trust", "'local' or 'distributed' or 'central'", "", '"local"'),
        ("data.sites.declared_size", "whole number", "at least 1", "required"),
        ("run.output", "path", "", '"runs"'),
    ],
)
def test_a_field_is_told_with_type_range_and_default(path: str, kind: str, range_: str, default: str) -> None:
    (row,) = chosen_rows(path)
    assert (row.kind, row.range, row.default) == (kind, range_, default)


def test_a_section_gives_its_fields_and_an_unknown_name_the_nearest_one() -> None:
    assert {row.path for row in chosen_rows("evaluation.probes")} < {row.path for row in chosen_rows("evaluation")}
    with pytest.raises(ConfigError, match=r"unknown field 'training\.step'; nearest is 'training\.steps'"):
        chosen_rows("training.step")
    with pytest.raises(ConfigError, match="lists all fields"):
        chosen_rows("qqqq")


def test_markdown_has_a_table_for_each_section_with_a_cell_for_each_column() -> None:
    page = markdown(field_rows())
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == list(RunConfig.model_fields)
    table = [line.replace("\\|", "") for line in page.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {6}


def test_the_command_prints_one_field_a_table_json_and_markdown() -> None:
    def said(*arguments: str) -> str:
        result = CliRunner().invoke(command_line(), ["config", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    assert "range: 1 to 100,000\ndefault: 10" in said("training.steps")
    assert json.loads(said("training.steps", "--json"))[0]["path"] == "training.steps"
    assert said("--markdown") == markdown(field_rows())
    assert "cohort.quorum" in said("cohort")
    assert len(list(field_tables(field_rows()))) == 1
