import json
import os
from pathlib import Path
from typing import Any

import pytest
from fixture_types import ConfigOf
from site_toml import site_toml

from client.site_file import SiteFile
from shared.config.evaluation import EvaluationSection
from shared.config.model import ModelSection
from shared.errors import ConfigError, ModelError
from shared.models.catalogue import CATALOGUE, pinned_digest

MINILM = str(CATALOGUE["minilm"].sha256)
GOOD = site_toml(f'tasks = ["classification"]\nmodels = ["{MINILM}"]', declared_size="2000")


def load(folder: Path, text: str = GOOD) -> SiteFile:
    path = folder / "SITE.toml"
    path.write_text(text, encoding="utf-8")
    return SiteFile.load(path)


def test_paths_are_relative_to_the_file_and_not_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "SITE.toml").write_text(GOOD, encoding="utf-8")
    site = SiteFile.load(Path(os.pardir) / "SITE.toml")
    assert site.data.file.resolve() == tmp_path / "records.jsonl"
    assert site.server.ca.resolve() == tmp_path / "ca.crt"
    assert site.server.key.resolve() == tmp_path / "site.key"
    assert {path.parent.resolve() for path in (site.ledger, site.outbox, site.status)} == {tmp_path / "state"}
    assert load(tmp_path, GOOD.replace('"records.jsonl"', '"/srv/records.csv"')).data.file == Path("/srv/records.csv")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('id = "north"', 'id = "North Clinic"'), "site.id = 'North Clinic': String should match"),
        (("declared_size = 2000", "declared_size = 0"), "data.declared_size = 0: must be greater than or equal to 1"),
        (("declared_size = 2000", ""), "data.declared_size: missing, it is required"),
        (("dataset_epsilon = 8.0", ""), "policy.dataset_epsilon: missing, it is required"),
        (
            ("dataset_epsilon = 8.0", "dataset_epsilon = 8.0\nsite_epsilon = 4.0"),
            "policy.site_epsilon = 4.0: must be at least",
        ),
        (("dataset_epsilon = 8.0", "dataset_epsilon = true"), "must not be true or false"),
        (("dataset_epsilon = 8.0", "dataset_epsilon = 8.0\nmax_round = 3"), "nearest is 'policy.max_rounds'"),
        (('"classification"', '"classify"'), "nearest is 'classification'"),
        ((MINILM, "minilm"), "policy.models"),
        (("fed.example.org:8443", "https://fed.example.org"), "server.address"),
        (("[site]", "[site"), "not valid TOML"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file_and_the_field(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(*change))
    assert str(caught.value).startswith(f"{tmp_path}/SITE.toml: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("own", "task", "operator"),
    [("", "instruction", "surrogate"), ("", "classification", "tag"), ('operator = "tag"', "instruction", "tag")],
)
def test_what_is_generated_learns_surrogates_unless_the_site_says_otherwise(
    tmp_path: Path, config_of: ConfigOf, own: str, task: str, operator: str
) -> None:
    run = config_of({"anonymise.operator": "redact", **({"task": {"name": task}} if task == "instruction" else {})})
    assert load(tmp_path, f"{GOOD}[anonymise]\n{own}\n").carried_out(run).anonymise.operator == operator


def test_a_map_back_is_of_values_that_differ(tmp_path: Path) -> None:
    assert not load(tmp_path, GOOD).anonymise.reversible
    with pytest.raises(ConfigError, match="redacted values cannot be told apart"):
        load(tmp_path, GOOD + '[anonymise]\nreversible = true\noperator = "redact"\n')


def test_the_site_carries_out_the_run_with_its_own_choices_and_changes_nothing_else(
    tmp_path: Path, config_of: ConfigOf
) -> None:
    run = config_of(
        {
            "model.device": "cuda",
            "model.dtype": "float32",
            "anonymise.spacy_model": "of-the-server",
            "data.root": "/etc",
            "data.columns": {"text": "theirs", "person": "who"},
            "data.label_bins": [{"label": "no", "low": 1, "high": 2}],
            "cohort.min_records": 99,
            "cleaning.min_chars": 7,
            "evaluation.patience": 2,
            "evaluation.validation": 0.3,
            "training.rounds": 7,
        }
    )
    assert load(tmp_path, GOOD).carried_out(run).anonymise.operator == "tag"
    own = GOOD.replace('label = "label"', 'text = "letter"').replace("[cleaning]", "[cleaning]\nrepair = false")
    here = load(tmp_path, own + '[anonymise]\noperator = "redact"\n[model]\ndevice = "cpu"\n').carried_out(run)
    assert (here.model.device, here.model.dtype, here.model.name) == ("cpu", "float32", "minilm")
    assert (here.anonymise.spacy_model, here.anonymise.operator) == ("default", "redact")
    assert (here.data.columns.text, here.data.columns.person, here.data.label_bins) == ("letter", None, ())
    assert (here.cohort.min_records, here.cleaning.repair, here.cleaning.min_chars) == (4, False, 0)
    assert here.evaluation == EvaluationSection()  # nothing at a site reads it
    assert here.data.root == tmp_path
    theirs, ours = json.loads(run.canonical()), json.loads(here.canonical())
    changed = {"model", "anonymise", "data", "cohort", "cleaning", "evaluation"}
    assert {name for name in theirs if theirs[name] != ours[name]} == changed
    assert theirs["data"]["sites"] == ours["data"]["sites"]


@pytest.mark.parametrize("name", ["columns", "labels", "label_bins", "groups", "min_records", "cleaning"])
def test_what_a_server_could_ask_about_must_be_named_by_the_site(tmp_path: Path, name: str) -> None:
    where = "cleaning" if name == "cleaning" else f"data.{name}"
    text = "".join(line for line in GOOD.splitlines(keepends=True) if not line.startswith((f"{name} =", f"[{name}]")))
    assert text != GOOD
    with pytest.raises(ConfigError, match=rf"{where}: missing, it is required"):
        load(tmp_path, text)


def test_bins_of_the_site_have_its_own_labels_and_a_classification_has_some(tmp_path: Path) -> None:
    bins = GOOD.replace("label_bins = []", 'label_bins = [{ label = "maybe", low = 1, high = 2 }]')
    with pytest.raises(ConfigError, match=r"data\.label_bins: label 'maybe' is not in labels"):
        load(tmp_path, bins)
    with pytest.raises(ConfigError, match=r"data\.labels: policy\.tasks has 'classification', so name the labels"):
        load(tmp_path, GOOD.replace('["no", "yes"]', "[]"))
    load(tmp_path, GOOD.replace('["no", "yes"]', "[]").replace('["classification"]', '["instruction"]'))


def test_a_run_for_persons_leaves_the_column_to_the_sites_and_one_that_has_none_refuses(
    tmp_path: Path, config_of: ConfigOf
) -> None:
    run = config_of({"data.source": "sites", "privacy.unit": "person", "privacy.person_cap": 5})
    named = GOOD.replace('label = "label"', 'person = "patient"')
    assert load(tmp_path, named).carried_out(run).data.columns.person == "patient"
    with pytest.raises(ConfigError, match=r"site north: the run protects persons, but no column identifies them"):
        load(tmp_path).carried_out(run)


@pytest.mark.parametrize("name", ["/srv/models/theirs", "../theirs", ".", "en/model"])
def test_a_folder_that_the_server_names_is_never_opened(tmp_path: Path, config_of: ConfigOf, name: str) -> None:
    with pytest.raises(ModelError, match=r"site north: .*\[model\.folders\]") as caught:
        load(tmp_path).carried_out(config_of({"model.name": name}))
    assert name not in str(caught.value).replace("SITE.toml", "").split(";")[0] or name == "."


def test_a_mapped_folder_keeps_the_digest_that_the_order_was_permitted_for(tmp_path: Path, config_of: ConfigOf) -> None:
    own = load(tmp_path, GOOD + '[model.folders]\n"acme" = "models/acme"\nminilm = "models/m"\n')
    here = own.carried_out(config_of({"model.name": "acme", "model.sha256": "a" * 64}))
    assert Path(here.model.name) == tmp_path / "models/acme"
    assert here.model.sha256 == "a" * 64
    assert own.carried_out(config_of()).model.sha256 == MINILM


@pytest.mark.parametrize(
    ("section", "digest"),
    [({}, MINILM), ({"sha256": "b" * 64}, "b" * 64), ({"name": "x"}, None), ({"name": "x", "sha256": "b" * 64}, "b" * 64)],
)
def test_a_model_is_pinned_by_its_config_or_by_the_catalogue(section: dict[str, Any], digest: str | None) -> None:
    assert pinned_digest(ModelSection(**section)) == digest


def test_a_spacy_model_is_a_name_or_a_folder_beside_the_file(tmp_path: Path) -> None:
    named = load(tmp_path, GOOD + '[anonymise]\nspacy_model = "en-core-web-sm"\n')
    assert named.anonymise.spacy_model == "en-core-web-sm"
    beside = load(tmp_path, GOOD + '[anonymise]\nspacy_model = "./models/en"\n')
    assert Path(beside.anonymise.spacy_model) == tmp_path / "models/en"


@pytest.mark.parametrize(("asked", "checked"), [(1, 4), (2, 4), (4, 4), (9, 9)])
def test_no_server_makes_a_site_check_gradients_on_fewer_records_than_show_a_fault(
    tmp_path: Path, config_of: ConfigOf, asked: int, checked: int
) -> None:
    assert load(tmp_path).carried_out(config_of({"privacy.self_check": asked})).privacy.self_check == checked


def test_who_paraphrases_at_a_site_is_the_sites_own_choice(tmp_path: Path, config_of: ConfigOf) -> None:
    run = config_of({"augmentation": {"views": 2, "paraphrases": 1, "paraphraser": "/of/the/server"}})
    assert load(tmp_path).carried_out(run).augmentation.paraphraser is None
    for name, found in (("writer", str(tmp_path / "writer")), ("smollm2-135m", "smollm2-135m"), ("/srv/m", "/srv/m")):
        here = load(tmp_path, f'{GOOD}[model]\nparaphraser = "{name}"\n').carried_out(run)
        assert here.augmentation.paraphraser == found
        assert here.augmentation.paraphrases == 1


def test_the_second_head_lies_beside_the_file_and_never_in_the_ledgers_folder(tmp_path: Path) -> None:
    site = load(tmp_path)
    assert site.site.ledger_head == tmp_path / "ledger_head.json"
    apart = load(tmp_path, GOOD.replace('id = "north"', 'id = "north"\nledger_head = "/mnt/other/head.json"'))
    assert apart.site.ledger_head == Path("/mnt/other/head.json")
    with pytest.raises(ConfigError, match=r"site\.ledger_head: lies in the ledger's own folder"):
        load(tmp_path, GOOD.replace('id = "north"', 'id = "north"\nledger_head = "state/ledger/head.json"'))


def test_a_site_asks_the_hub_only_for_models_that_its_own_file_names(tmp_path: Path, config_of: ConfigOf) -> None:
    named, other = f"org/named@{'a' * 40}", f"org/other@{'b' * 40}"
    site = load(tmp_path, GOOD + f'[model]\nhub = ["{named}"]\n')
    run = config_of({"model.sha256": MINILM})
    for name, allowed in ((named, True), (other, False), (f"org/named@{'c' * 40}", False)):
        asked = run.model_copy(update={"model": ModelSection(name=name, sha256=MINILM)})
        if allowed:
            assert site.carried_out(asked).model.name == name
        else:
            with pytest.raises(ModelError, match=r"hub of \[model\]"):
                site.carried_out(asked)
    assert load(tmp_path).model.hub == ()


@pytest.mark.parametrize(
    ("own", "found"), [("", 4096), ("micro_batch_tokens = 128", 128), ('micro_batch_tokens = "auto"', "auto")]
)
def test_a_site_may_compute_fewer_tokens_at_once_than_the_run_says(
    config_of: ConfigOf, tmp_path: Path, own: str, found: int | str
) -> None:
    site = load(tmp_path, f"{GOOD}\n[model]\n{own}\n")
    assert site.carried_out(config_of({})).training.micro_batch_tokens == found


def test_a_site_keeps_the_ranks_of_the_run(config_of: ConfigOf, tmp_path: Path) -> None:
    run = config_of({"aggregation.method": "partitioned_mean", "data.sites.0.rank": 2})
    here = load(tmp_path).carried_out(run)
    assert here.at_site("north").adapter == run.at_site("north").adapter
    assert here.at_site("north").adapter.rank == 2
