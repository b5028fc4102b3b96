import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fixture_types import ConfigOf
from hypothesis import given
from hypothesis import strategies as st

from shared.config.aggregation import GRADIENT_OPTIMISERS
from shared.config.run import RunConfig
from shared.errors import ConfigError

REPOSITORY = Path(__file__).parents[4]

BAD = [
    # (field, value, what the one line must hold)
    ("run.name", "../up", "run.name"),
    ("run.name", "", "run.name"),
    ("run.seed", -1, "run.seed"),
    ("run.seed", 2**31, "run.seed"),
    ("run.seed", "seven", "run.seed"),
    ("model.name", "", "model.name"),
    ("model.sha256", "abc", "model.sha256"),
    ("model.device", "cud", "nearest is 'cuda'"),
    ("model.dtype", "float23", "nearest is 'float32'"),
    ("model.max_length", 7, "model.max_length"),
    ("adapter.rank", -1, "adapter.rank"),
    ("adapter.alpha", float("inf"), "adapter.alpha"),
    ("adapter.alpha", 1.1e4, "adapter.alpha"),
    ("adapter.dropout", 1.0, "adapter.dropout"),
    ("adapter.train", "A", "adapter.train"),
    ("adapter.targets", "query", "adapter.targets"),
    ("task.name", "clasification", "nearest is 'classification'"),
    ("task.labels", ["one"], "task.labels"),
    ("task.labels", ["x", "x"], "task.labels"),
    ("task.labels", [1, 2], "task.labels.0"),
    ("data.sites", [], "data.sites"),
    ("data.sites.1.id", "north", "data.sites: two sites have the same id"),
    ("data.sites.1.id", "North Hospital", "data.sites.1.id"),
    ("data.sites.0.file", "", "data.sites: site 'north' needs 'file'"),
    ("data.sites.0.declared_size", 0, "data.sites.0.declared_size"),
    ("data.sites.0.declaredsize", 9, "nearest is 'data.sites.0.declared_size'"),
    ("data.source", "synthetic", "needs 'records'"),
    ("data.split", "dirichlet(1.2.3)", "data.split"),
    ("data.held_out", 1.0, "data.held_out"),
    ("data.held_out", float("nan"), "data.held_out"),
    ("data.cut_chars", 15, "data.cut_chars"),
    ("data.planted_bias", 1.5, "data.planted_bias"),
    ("data.planted_bias", 0.5, "data.planted_bias: works only in generated messages"),
    ("data.label_bins", [{"label": "no", "low": 2.0, "high": 1.0}], "data.label_bins"),
    ("data.label_bins", [{"label": "no", "low": float("nan"), "high": 1.0}], "data.label_bins"),
    ("data.label_bins", [{"label": "no", "low": 0.5, "high": float("inf")}], "high"),  # JSON has no infinity
    ("data.label_bins", [{"label": "maybe", "low": 0.0, "high": 1.0}], "data.label_bins: label 'maybe'"),
    ("cohort.quorum", 3, "cohort.quorum = 3: data.sites has only 2 sites"),
    ("cohort.deadline", 0, "cohort.deadline"),
    ("training.rounds", 0, "training.rounds"),
    ("training.rouns", 3, "nearest is 'training.rounds'"),
    ("training.sampling_rate", 0, "training.sampling_rate"),
    ("training.sampling_rate", 1.01, "training.sampling_rate"),
    ("training.learning_rate", float("nan"), "training.learning_rate"),
    ("training.learning_rate", 1e4, "training.learning_rate"),
    ("training.head_learning_rate", 1e4, "training.head_learning_rate"),
    ("training.warmup", 1.0, "training.warmup"),
    ("training.micro_batch_tokens", 1, "training.micro_batch_tokens"),
    ("privacy.epsilon", 0, "privacy.epsilon"),
    ("privacy.epsilon", 101, "privacy.epsilon"),
    ("privacy.target_delta", 1.0, "privacy.target_delta"),
    ("privacy.clipping_norm", -0.5, "privacy.clipping_norm"),
    ("privacy.clipping_norm", 9e-7, "privacy.clipping_norm = 9e-07: must be greater than or equal to 0.000001"),
    ("privacy.clipping_norm", 1.1e6, "privacy.clipping_norm = 1100000.0: must be less than or equal to 1000000"),
    ("privacy.clipping_norm", float("inf"), "privacy.clipping_norm = inf: must be a finite number"),
    ("privacy.trust", "central", "privacy.unit = 'record': under trust = 'central' use unit = 'site'"),
    ("privacy", {"trust": "distributed", "clipping": "adaptive"}, "no site releases the count that C follows"),
    ("privacy", {"trust": "distributed", "release": "metrics"}, "a site releases only its part of the sum; set 'none'"),
    ("aggregation.optimiser", "adamw", "optimiser = 'adamw': privacy.trust = 'local' gives the server no gradient"),
    ("privacy.unit", "site", "privacy.unit = 'site': under trust = 'local' use unit = 'record' or 'person'"),
    ("privacy.unit", "person", "privacy.unit"),
    (
        "privacy",
        {"trust": "central", "unit": "site", "clipping": "adaptive"},
        "clipping = 'adaptive': under trust = 'central' the server clips whole deltas",
    ),
    ("privacy.accountant", "gdp", "privacy.accountant = 'gdp': refused: its central-limit epsilon lies 3 to 16 % below"),
    ("privacy.accountant", "rdp", "privacy.accountant = 'rdp': refused"),
    ("privacy.site_rate", 1.5, "privacy.site_rate"),
    ("privacy.release_noise", 0, "privacy.release_noise"),
    ("adapter", {"train": "AB"}, "adapter.train = 'AB'"),
    ("anonymise.language", "it", "anonymise.language"),
    ("aggregation.method", "median", "aggregation.method"),
    ("aggregation.weights", "unifrom", "nearest is 'uniform'"),
    ("aggregation.optimiser", "adam", "aggregation.optimiser"),
    ("evaluation.bootstrap", 99, "evaluation.bootstrap"),
    ("evaluation.confidence", 1.0, "evaluation.confidence"),
    ("report.html", "perhaps", "report.html"),
    ("trainig", {}, "nearest is 'training'"),
    ("training", 5, "training"),
]


@pytest.mark.parametrize(("field", "value", "says"), BAD, ids=[f"{field}={value}" for field, value, _ in BAD])
def test_a_bad_value_is_one_line_that_names_its_field(config_of: ConfigOf, field: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of({field: value})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("test: ")


def test_sites_of_unequal_weight_are_refused_under_the_noise_of_a_trusted_server(config_of: ConfigOf) -> None:
    """Seen before: a site that declared 50 records moved the sum by 50 times what the noise was for."""
    trusted = {"privacy.trust": "central", "privacy.unit": "site", "aggregation.weights": "declared"}
    with pytest.raises(ConfigError, match=r"aggregation\.weights = 'declared': the noise of privacy\.trust = 'central'"):
        config_of(trusted)
    config_of({**trusted, "privacy.enabled": False})


def test_a_byte_budget_is_refused_where_the_bytes_would_tell_how_many_sites_were_sampled(config_of: ConfigOf) -> None:
    trusted = {"privacy.trust": "central", "privacy.unit": "site", "training.byte_budget": 10**6}
    with pytest.raises(ConfigError, match=r"training\.byte_budget: under privacy\.trust = 'central'"):
        config_of(trusted)
    assert config_of({**trusted, "privacy.enabled": False}).training.byte_budget == 10**6


SHARED = {
    "privacy.trust": "distributed",
    "privacy.colluders": 0,
    "training.steps": 1,
    "aggregation.weights": "declared",
    "aggregation.optimiser": "adamw",
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"training.steps": 2}, "training.steps = 2: under privacy.trust = 'distributed' a round is one step, because"),
        ({"training.proximal": 0.1}, "training.proximal: under privacy.trust = 'distributed'"),
        ({"balance.weights": "counts"}, "balance.weights = 'counts': under privacy.trust = 'distributed'"),
        ({"privacy.colluders": 1}, "privacy.colluders = 1: needs 3 sites"),
        ({"aggregation.weights": "uniform"}, "aggregation.weights = 'uniform': under privacy.trust = 'distributed'"),
        ({"aggregation.encoding": "int8"}, "aggregation.encoding = 'int8': under privacy.trust = 'distributed'"),
        ({"aggregation.encoding": "int4"}, "aggregation.encoding = 'int4': under privacy.trust = 'distributed'"),
        ({"aggregation.optimiser": "momentum"}, "gives the server a gradient; set 'adamw' or 'sgd'"),
        ({"aggregation.method": "trimmed_mean"}, "shows only their sum"),
        ({"aggregation.method": "stacked"}, "needs LoRA's A and B trained at once"),
        ({"adapter.train": "AB"}, "adapter.train = 'AB'"),
        ({"privacy.unit": "site"}, "under trust = 'distributed' use unit = 'record' or 'person'"),
        *(({"aggregation": {"optimiser": kind}}, "aggregation.optimiser") for kind in (["adamw"], {"a": 1}, 3, None)),
    ],
    ids=str,
)
def test_what_a_shared_noise_cannot_cover_is_refused(config_of: ConfigOf, changes: dict[str, Any], says: str) -> None:
    assert config_of(SHARED).privacy.trust == "distributed"
    with pytest.raises(ConfigError) as caught:
        config_of({**SHARED, **changes})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shared_noise_has_defaults_of_its_own_and_a_given_value_counts(config_of: ConfigOf) -> None:
    shared = {"privacy.trust": "distributed", "privacy.colluders": 0, "aggregation": {}, "training": {"rounds": 4}}
    config = config_of(shared)
    assert (config.aggregation.optimiser, config.aggregation.weights, config.training.steps) == ("sgd", "declared", 1)
    for name, (adapter, head) in GRADIENT_OPTIMISERS.items():
        training = config_of({**shared, "aggregation": {"optimiser": name}}).training
        assert (training.learning_rate, training.head_learning_rate) == (adapter, head)
    assert (config.training.schedule, config.aggregation.momentum) == ("constant", 0.7)
    adamw = config_of({**shared, "aggregation": {"optimiser": "adamw"}})
    assert (adamw.training.schedule, adamw.aggregation.momentum) == ("linear", 0.9)
    assert config_of({**shared, "training": {"rounds": 4, "learning_rate": 0.5}}).training.learning_rate == 0.5
    assert config_of({**shared, "privacy.enabled": False}).training.steps == 1
    assert RunConfig.parse(config.model_dump(mode="json"), "again") == config


def test_a_head_alone_is_for_a_classification_only(config_of: ConfigOf) -> None:
    assert config_of({"adapter.rank": 0}).adapter.rank == 0
    with pytest.raises(ConfigError, match=r"adapter\.rank = 0"):
        config_of({"adapter.rank": 0, "task": {"name": "instruction"}})


@pytest.mark.parametrize("missing", ["task", "data"])
def test_a_missing_section_is_named(tree: dict[str, Any], missing: str) -> None:
    del tree[missing]
    with pytest.raises(ConfigError, match=f"{missing}: missing"):
        RunConfig.parse(tree, "test")


@pytest.mark.parametrize("field", ["training.rounds", "cohort.quorum", "data.sites.0.declared_size", "privacy.epsilon"])
def test_a_boolean_is_no_number(config_of: ConfigOf, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        config_of({field: True})


def toml(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def written(tmp_path: Path) -> Path:
    sites = '[[data.sites]]\nid = "north"\nfile = "n.jsonl"\ndeclared_size = 100\n'
    sites += '[[data.sites]]\nid = "south"\nfile = "s.jsonl"\ndeclared_size = 150\n'
    return toml(tmp_path, f'[run]\nname = "x"\n[task]\nlabels = ["no", "yes"]\n{sites}')


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("run.seed=5", lambda c: c.run.seed, 5),
        ("run.name=north-wing", lambda c: c.run.name, "north-wing"),
        ('run.name="quoted"', lambda c: c.run.name, "quoted"),
        ("privacy.enabled=false", lambda c: c.privacy.enabled, False),
        ("training.sampling_rate = 0.5", lambda c: c.training.sampling_rate, 0.5),
        ("data.sites.1.declared_size=7", lambda c: c.data.sites[1].declared_size, 7),
        ("data.root=/tmp/a=b", lambda c: c.data.root, Path("/tmp/a=b")),  # noqa: S108
        ('task.labels=["a", "b", "c"]', lambda c: c.task.labels, ("a", "b", "c")),
        ("privacy.target_delta=1e-6", lambda c: c.privacy.target_delta, 1e-6),
    ],
)
def test_an_override_sets_one_field(written: Path, override: str, read: Callable[[RunConfig], Any], value: Any) -> None:
    assert read(RunConfig.load(written)) != value
    assert read(RunConfig.load(written, [override])) == value


def test_the_last_override_wins(written: Path) -> None:
    assert RunConfig.load(written, ["run.seed=1", "run.seed=2"]).run.seed == 2


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("run.seed", "write it as section.key=value"),
        ("=5", "write it as section.key=value"),
        ("run..seed=5", "write it as section.key=value"),
        ("run.sed=5", "nearest is 'run.seed'"),
        ("data.sites.2.id=x", "not an index from 0 to 1"),
        ("data.sites.-1.id=x", "not an index from 0 to 1"),
        ("data.sites.first.id=x", "not an index from 0 to 1"),
        ("data.sites.\N{SUPERSCRIPT TWO}.id=x", "not an index from 0 to 1"),
        ("data.sites.0=x", "name a field of an entry"),
        ("run.name.first=x", "'name' is a value, not a section"),
        ("task.labels.0.first=x", "'0' is a value, not a section"),
        ("task.labels.0.first.more=x", "'0' is a value, not a section"),
        ("training.rounds=many", "training.rounds = 'many'"),
    ],
)
def test_a_bad_override_is_one_line(written: Path, override: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.load(written, [override])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[run", "seed = ", 'a = "\n"', "[run]\nseed = 1\nseed = 2\n"])
def test_a_file_that_is_no_toml_is_one_line_that_names_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml: not valid TOML") as caught:
        RunConfig.load(toml(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_a_binary_and_a_folder_config_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for path, says in (
        (tmp_path / "none.toml", "cannot read"),
        (tmp_path / "binary.toml", "UTF-8"),
        (tmp_path, "cannot read"),
    ):
        with pytest.raises(ConfigError, match=says):
            RunConfig.load(path)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_config_loads_and_says_how_to_run_it(path: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("text,category\na,yes\nb,no\n", encoding="utf-8")  # where labels come from one
    public = [f"evaluation.file={tmp_path / 'test.csv'}"] if "evaluation.file" in path.read_text(encoding="utf-8") else []
    config = RunConfig.load(path, public)
    assert config.run.name == path.stem.replace("_", "-")
    assert re.search(rf"hushtune (simulate|compare|sweep) configs/{path.name}", path.read_text(encoding="utf-8"))


def test_a_config_cannot_be_changed(config_of: ConfigOf) -> None:
    config = config_of()
    for section, field, value in ((config, "task", config.task), (config.run, "seed", 1), (config.data.sites[0], "id", "x")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(section, field, value)


def test_nothing_inside_a_config_can_be_changed(config_of: ConfigOf) -> None:
    tables = {"gate": {}, "adversary": {"column": "sex", "groups": ["f", "m"]}, "evaluation.probes": {}, "compare": {}}
    assert isinstance(hash(config_of(tables)), int)  # a list or a dict in it would have no hash


def reordered(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: reordered(node[key]) for key in reversed(node)}
    return [reordered(item) for item in node] if isinstance(node, list) else node


def test_the_digest_does_not_depend_on_the_order_of_keys(config_of: ConfigOf) -> None:
    config = config_of(
        {
            "run.seed": 3,
            "data.label_bins": [{"label": "no", "low": 0.0, "high": 1.0}, {"label": "yes", "low": 2.0, "high": 3.0}],
        }
    )
    assert RunConfig.parse(reordered(config.model_dump(mode="json")), "test").digest() == config.digest()


def test_a_value_that_is_spelt_out_has_the_digest_of_the_default(config_of: ConfigOf) -> None:
    assert config_of({"adapter.alpha": 16, "training.rounds": 3}).digest() == config_of().digest()


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(node, dict | list) and node:
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(inner, (*path, key))
    else:
        yield path, node


CANDIDATES = (
    *("x", "y.csv", "cpu", "bfloat16", "AB", "redact", "declared", "metrics", "automatic", "strict", "shift", "0" * 64),
    *(0.25, 0.75, 2, 3, 70, 500, False, True, ["query"]),
)


def test_the_digest_changes_with_every_value(config_of: ConfigOf) -> None:
    # AB and a synthetic source are only valid together with other changes, so privacy is off and records are given.
    config = config_of({"privacy.enabled": False, "data.sites.0.records": 5, "data.sites.1.records": 5})
    plain = config.model_dump(mode="json")
    seen = {config.digest()}
    for path, value in leaves(plain):
        for candidate in sorted(CANDIDATES, key=lambda one: type(one) is not type(value)):  # the likely ones first
            other = copy.deepcopy(plain)
            node = other
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = candidate
            try:
                changed = RunConfig.parse(other, "test")
            except ConfigError:
                continue
            if changed != config:
                assert changed.digest() not in seen, f"{path} = {candidate!r} does not change the digest ({value!r})"
                seen.add(changed.digest())
                break
    assert len(seen) > 60  # most fields; some have one value, or need others to change with them


letters = st.characters(exclude_categories=("C", "Zl", "Zp"))
texts = st.text(letters, max_size=20)
labels = st.lists(texts, min_size=2, max_size=5, unique=True)
rates = st.floats(min_value=0, max_value=1, exclude_min=True, allow_subnormal=False)
positives = st.floats(min_value=1e-30, max_value=1e30)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(labels)
    low, high = sorted(draw(st.tuples(*[st.floats(-1e300, 1e300)] * 2)))
    return {
        "run": {
            "name": draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)),
            "seed": draw(st.integers(0, 2**31 - 1)),
        },
        "model": {"name": draw(st.text(letters, min_size=1, max_size=30))},
        "adapter": {"alpha": draw(st.floats(min_value=1e-30, max_value=1e4)), "targets": draw(st.lists(texts, max_size=2))},
        "task": {"labels": names, "system": draw(texts)},
        "data": {
            "sites": [
                {"id": "a", "file": draw(st.text(letters, min_size=1)), "declared_size": draw(st.integers(1, 10**12))}
            ],
            "label_bins": [{"label": names[0], "low": low, "high": high}],
            "columns": {"text": draw(texts), "spans": draw(st.none() | texts)},
        },
        "training": {"sampling_rate": draw(rates), "learning_rate": draw(st.floats(1e-30, 1000))},
        "privacy": {"epsilon": draw(st.floats(1e-6, 100)), "target_delta": draw(st.none() | st.floats(1e-300, 0.5))},
    }


@given(trees())
def test_a_config_survives_its_canonical_json(tree: dict[str, Any]) -> None:
    config = RunConfig.parse(tree, "test")
    again = RunConfig.model_validate_json(config.canonical())
    assert again == config
    assert again.digest() == config.digest()
    assert json.loads(config.canonical())["task"]["labels"] == tree["task"]["labels"]


def test_rounds_that_are_compared_are_all_evaluated(config_of: ConfigOf) -> None:
    assert config_of({"evaluation.every": 7}).evaluation.every == 7
    with pytest.raises(ConfigError, match=r"evaluation\.every = 1"):
        config_of({"evaluation.every": 2, "evaluation.validation": 0.3})


THREE = [{"id": name, "file": "x.jsonl", "declared_size": 100} for name in "abc"]
SUMS = {"data.sites": THREE, "cohort.quorum": 3, "aggregation.secure_sums": True}
UNFIT_FOR_SUMS: dict[str, tuple[dict[str, Any], str]] = {
    "no privacy": ({"privacy.enabled": False}, "sums of changing sites give single deltas away"),
    "central": ({"privacy.trust": "central", "privacy.unit": "site"}, "clips each site's own delta, which masks would hide"),
    "distributed": (
        {
            "privacy.trust": "distributed",
            "training.steps": 1,
            "aggregation.optimiser": "adamw",
            "aggregation.weights": "declared",
        },
        "'distributed' adds up under masks already; set secure_sums = false",
    ),
    "another method": ({"aggregation.method": "median"}, "method = 'median' needs each site's own delta"),
    "another encoding": ({"aggregation.encoding": "int8"}, "cannot be rounded to encoding = 'int8'"),
    "4 bits": ({"aggregation.encoding": "int4"}, "cannot be rounded to encoding = 'int4'"),
    "a sum of two": ({"cohort.quorum": 2}, "a sum of two shows each of them the other's delta; set cohort.quorum to 3"),
    "two sites": ({"data.sites": THREE[:2], "cohort.quorum": 2}, r"data\.sites has fewer than 3 sites"),
    "a coarse grid": ({"aggregation.max_norm": 1e6}, "makes the grid of whole numbers too coarse"),
    "released metrics": ({"privacy.release": "metrics"}, "would send sums of its own beside the masked vector"),
}


@pytest.mark.parametrize("name", UNFIT_FOR_SUMS)
def test_secure_sums_of_deltas_are_refused_where_they_would_not_hide_or_not_add_up(config_of: ConfigOf, name: str) -> None:
    changes, reason = UNFIT_FOR_SUMS[name]
    assert config_of(SUMS).adds_up_under_masks
    with pytest.raises(ConfigError, match=reason) as caught:
        config_of({**SUMS, **changes})
    assert "\n" not in str(caught.value)
