"""SITE.toml: everything that a site decides for itself, as an immutable tree; the server never sends or sees it."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from client.question_log import SetUps
from client.site_sections import IdentitySection, OwnAnonymiseSection, OwnDataSection, OwnModelSection, ServerSection
from privacy.policy import SitePolicy
from privacy.questions import kind_of
from shared.config.data_stage import CleaningSection
from shared.config.explain import first_line
from shared.config.run import RunConfig
from shared.config.section import Section
from shared.config.task import DECLARED, TaskName
from shared.config.toml import read_toml
from shared.errors import ConfigError, ModelError
from shared.models.catalogue import CATALOGUE, pinned_digest

FEWEST_CHECKED = 4  # records; one alone shows neither whether records influence each other nor what rounding moves


class SiteFile(Section):
    """All settings of one site: identity, server, data, policy, anonymisation, models."""

    site: IdentitySection
    server: ServerSection
    data: OwnDataSection
    cleaning: CleaningSection
    policy: SitePolicy
    anonymise: OwnAnonymiseSection = Field(default_factory=OwnAnonymiseSection)
    model: OwnModelSection = Field(default_factory=OwnModelSection)

    @model_validator(mode="after")
    def _a_task_has_its_labels(self) -> Self:
        for task in self.policy.tasks:
            if len(set(self.data.labels)) < (fewest := DECLARED[task].fewest_labels):
                raise ValueError(
                    f"data.labels: policy.tasks has '{task}', so name the labels that the run's operator gave you, at least "
                    f"{fewest}, or take '{task}' out"
                )
        return self

    @model_validator(mode="after")
    def _second_head_is_apart(self) -> Self:
        if self.site.ledger_head.absolute().is_relative_to(self.ledger.absolute()):
            raise ValueError(
                "site.ledger_head: lies in the ledger's own folder and would be lost or restored with it; set another path"
            )
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a SITE.toml; relative paths are relative to its folder.

        Raises
        ------
        ConfigError
            The file or a value cannot be used; the message is one line and names the field.
        """
        tree = read_toml(path)
        try:
            return cls.model_validate(tree, context={"folder": path.absolute().parent})
        except ValidationError as error:
            raise ConfigError(f"{path}: {first_line(cls, error)}") from error

    @property
    def outbox(self) -> Path:
        """Return the folder of finished replies."""
        return self.site.state / "outbox"

    @property
    def ledger(self) -> Path:
        """Return the folder of the privacy ledger."""
        return self.site.state / "ledger"

    @property
    def status(self) -> Path:
        """Return the file that ``hushtune status`` reads."""
        return self.site.state / "status.json"

    @property
    def set_ups(self) -> SetUps:
        """Return the log of what the server asked about the records."""
        return SetUps(self.site.state / "set_ups.json", self.policy)

    def carried_out(self, run: RunConfig) -> RunConfig:
        """Return the run as this site carries it out: with the site's own settings, and without the sections of the server.

        The check of gradients before training takes at least `FEWEST_CHECKED` records, whatever the run asks for. All other
        fields stay as they are, and no path that the server wrote is ever opened.

        Raises
        ------
        ConfigError
            The privacy unit is the person, but the site has no column that identifies persons.
        ModelError
            The run's base model is a folder at the server for which this site has no folder.
        """
        tree: dict[str, Any] = {k: v for k, v in run.model_dump(mode="json").items() if kind_of(k) != "server"}
        own = self.model_dump(mode="json")
        tree["anonymise"] = self.anonymise.of_a_run()
        tree["data"] |= {
            "root": str(self.data.file.parent),
            **{name: own["data"][name] for name in ("columns", "label_bins")},
        }
        tree["cleaning"] = own["cleaning"]
        tree["cohort"]["min_records"] = self.data.min_records
        tree["privacy"]["self_check"] = max(run.privacy.self_check, FEWEST_CHECKED)
        tree["augmentation"]["paraphraser"] = self.model.paraphraser
        tree["model"] |= {
            "name": self._model_here(run.model.name),
            "sha256": pinned_digest(run.model),  # the digest that the policy permitted, wherever the folder is
            "device": self.model.device,
        }
        if self.model.dtype != "run":
            tree["model"]["dtype"] = self.model.dtype
        if self.model.micro_batch_tokens != "run":
            tree["training"]["micro_batch_tokens"] = self.model.micro_batch_tokens
        parsed = RunConfig.parse(tree, f"site {self.site.id}, this run")
        here = parsed.with_rank(self.site.id, self.rank_in(run)) if run.takes_lower_ranks else parsed
        if here.privacy.unit == "person" and here.data.columns.person is None:
            raise ConfigError(
                f"site {self.site.id}: the run protects persons, but no column identifies them; the steward may set it as "
                "person of data.columns in SITE.toml"
            )
        return here

    def rank_in(self, run: RunConfig) -> int:
        """Return the rank that this site trains in a run: at most ``policy.max_rank``, if the run takes lower ranks.

        The server sees the rank in the shape of the reply. The rank follows from this file and the run alone, and from no
        record.
        """
        asked = run.at_site(self.site.id).adapter.rank
        return min(asked, self.policy.max_rank) if run.takes_lower_ranks and self.policy.max_rank else asked

    def reading(self, task: TaskName, source: str, labelled: bool = True) -> RunConfig:
        """Return a config that reads the site's file as any run with this task does; all other fields have their defaults.

        Parameters
        ----------
        task
            The task.
        source
            Name of the site's file in an error message.
        labelled
            Whether labels are read, so that the site's own are needed.

        Raises
        ------
        ConfigError
            The columns do not fit the task.
        """
        site = {"id": self.site.id, "file": self.data.file.name, "declared_size": self.data.declared_size}
        own = self.data.model_dump(mode="json")
        data: dict[str, Any] = {"root": str(self.data.file.parent), "sites": [site], "columns": own["columns"]}
        labels = ["-", "--"][: DECLARED[task].fewest_labels]  # some are required, even if none is read
        if labelled and DECLARED[task].fewest_labels:
            labels, data["label_bins"] = own["labels"], own["label_bins"] if DECLARED[task].target == "label" else []
        tree = {"task": {"name": task, "labels": labels}, "data": data, "anonymise": self.anonymise.of_a_run()}
        return RunConfig.parse(tree, source)

    def _model_here(self, name: str) -> str:
        """Return the name or folder of the base model at this site."""
        if name in self.model.folders:
            return str(self.model.folders[name])
        if name in CATALOGUE or name in self.model.hub:
            return name
        raise ModelError(
            f"site {self.site.id}: the run's base model is not in the catalogue and this site has no folder for it; the "
            "steward may add one to [model.folders] of SITE.toml, or a hub id to hub of [model]"
        )
