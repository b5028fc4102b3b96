"""Run a comparison: every row on the same records, with paired tests; an interrupted comparison resumes."""

import hashlib
import json
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from server.evaluation import split_validation
from server.report.comparison import write_page
from server.report.result import Row, Rows, flat
from shared.config.model import ModelSection
from shared.config.run import RunConfig
from shared.config.studies import CompareSection
from shared.errors import ConfigError
from shared.models.folders import locate
from shared.ops.progress import Progress, silent
from shared.records.types import RawRecord
from shared.tasks import TASKS
from simulations.assembly import held_out_records
from simulations.reading import read_sites
from simulations.sites import scrub_sites
from simulations.studies.arms import Material, arms_of, run_arm
from simulations.studies.conclusions import conclusions, rows_of
from simulations.studies.disparity import Grouping, disparities, groupings
from simulations.studies.results import Arm, Result, Results
from simulations.training import refuse_lasting_ledger

FORMAT = 1  # version of the stored results; increase it to invalidate them


@dataclass(frozen=True)
class Comparison(Rows):
    """A finished comparison.

    Attributes
    ----------
    folder
        Its folder, with ``compare.html`` and the stored results of each row.
    document
        Everything that ``compare.json`` holds.
    """

    folder: Path
    document: Mapping[str, Any] = field(repr=False)

    @property
    def rows(self) -> tuple[Row, ...]:
        """One row for each method, model and epsilon: ``value`` with ``value_low`` and ``value_high``, and its cost."""
        return tuple(flat(row) for row in self.document["rows"])

    @property
    def conclusions(self) -> tuple[Row, ...]:
        """The paired tests: whether training pays, whether federating pays, and what privacy costs."""
        return tuple(self.document["conclusions"])


def compare(config: RunConfig, progress: Progress = silent) -> Comparison:
    """Train and measure every row of a comparison on the same records, and reuse the rows that are already finished.

    A row is kept in ``compare.sqlite`` as soon as it is finished, so an interrupted comparison resumes there.

    Parameters
    ----------
    config
        The run; its section ``compare`` chooses the rows.
    progress
        Called at the start of the stages ``anonymise`` and ``compare``; by default nothing is shown.

    Raises
    ------
    HushtuneError
        A row cannot be run, or the config names a lasting ledger (``privacy.ledger``).

    Examples
    --------
    >>> from hushtune import RunConfig, compare
    >>> config = RunConfig.load("configs/demo.toml", ['compare.arms=["base", "federation"]', "compare.seeds=1"])
    >>> found = compare(config)
    >>> best = max(found.rows, key=lambda row: row["value"])
    >>> best["value_low"] <= best["value"] <= best["value_high"]
    True
    >>> table = found.to_frame()
    """
    section = config.compare or CompareSection()
    _refuse(config, section)
    folder = config.run.output / config.run.name
    results = Results(folder / "compare.sqlite", TASKS[config.task.name].outcome_type)
    with tempfile.TemporaryDirectory() as scratch:
        raw = read_sites(config, Path(scratch))
    keys = {arm: _key(config, section, arm, raw) for arm in arms_of(config, section)}
    missing = [arm for arm, key in keys.items() if results.get(key) is None]
    material = _material(config, raw, folder, progress)
    by = groupings(config, material)  # refuses before anything is trained
    advance = progress("compare", len(keys))
    advance(len(keys) - len(missing))
    for arm in missing:
        own = folder / "arms" / f"{keys[arm][:12]}-{secrets.token_hex(4)}"
        results.put(keys[arm], run_arm(config, section, arm, material, own))
        advance(1)
    document = _document(config, [found for key in keys.values() if (found := results.get(key))], material, by)
    (folder / "compare.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    write_page(document, folder / "compare.html")
    done = Comparison(folder, document)
    done.to_csv(folder / "compare.csv")
    return done


def _refuse(config: RunConfig, section: CompareSection) -> None:
    """Refuse what would fail late, or would use private records beyond their ledger."""
    refuse_lasting_ledger(config, "hushtune compare")
    if config.privacy.trust == "central":
        raise ConfigError("privacy.trust = 'central': a comparison also trains single sites; set 'local' or 'distributed'")
    if "prompts" in section.arms and config.task.declared.target != "label":
        raise ConfigError("compare.arms: prompts are scored by labels, which this task does not have; leave 'prompts' out")
    for model in {*(section.models or (config.model.name,)), *([section.prompt_model] if "prompts" in section.arms else [])}:
        locate(ModelSection(name=model))


def _material(config: RunConfig, raw: Mapping[str, Sequence[RawRecord]], folder: Path, progress: Progress) -> Material:
    """Scrub the records, and divide the held-out ones into public records for choices and test records."""
    data = scrub_sites(config, raw, folder, progress)
    return Material(data, *split_validation(config, held_out_records(config, data)))


def _key(config: RunConfig, section: CompareSection, arm: Arm, raw: Mapping[str, Sequence[RawRecord]]) -> str:
    """Return the digest of everything that a row's result depends on: its arm, the run's config, and the records."""
    tree = config.model_dump(mode="json")
    prompts = section.model_dump(mode="json") if arm.method == "prompt" else None
    for name in ("compare", "report"):
        del tree[name]
    for name in ("name", "output"):
        del tree["run"][name]
    digest = hashlib.sha256(json.dumps([FORMAT, asdict(arm), tree, prompts], sort_keys=True).encode())
    if config.evaluation.file is not None:
        digest.update(config.evaluation.file.read_bytes())
    for site_id, records in raw.items():
        digest.update(site_id.encode())
        for record in records:
            digest.update(repr((sorted(record.fields.items()), record.label, record.tags)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _document(config: RunConfig, results: Sequence[Result], material: Material, by: Sequence[Grouping]) -> dict[str, Any]:
    """Return the comparison as plain values."""
    owners = [owner for owner, _ in material.test]
    return {
        "run": config.run.name,
        "task": config.task.name,
        "config": config.model_dump(mode="json"),
        "config_digest": config.digest(),
        "confidence": config.evaluation.confidence,
        "records": {"test": len(material.test), "public": len(material.public)},
        "rows": list(rows_of(config, results)),
        "conclusions": list(conclusions(config, results, owners)),
        "disparities": list(disparities(config, results, by)),
    }
