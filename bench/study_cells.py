"""Describe a study, a run config with a table [study]: its tasks, its ways of training, and the runs to train."""

import copy
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

from shared.config.explain import first_line
from shared.config.run import RunConfig
from shared.config.section import Section
from shared.config.toml import apply_override, read_toml
from shared.errors import ConfigError
from simulations.data.message_grammar import NEED_LABELS

FORMAT = 3  # version of the kept cells; increase it to train them again


class TaskSection(Section):
    """One set of records: settings of the run, number and size of the sites, and the number of intents."""

    name: str
    sites: int = Field(0, ge=0, le=100, description="generated sites; 0: the sites of the run (data.sites)")
    records: int = Field(1, ge=1, description="records that are generated for each site")
    declared_size: int = Field(1, ge=1)
    epsilons: tuple[float, ...] = Field((), description="epsilons of this task; empty: those of the study")
    intents: int = Field(0, ge=0, le=len(NEED_LABELS))
    split: str = Field("", description="how all records together are dealt out (data.split); empty: as they were generated")
    settings: dict[str, Any] = Field(default_factory=dict)


class WaySection(Section):
    """One way of training: settings of the run; a way without ``private`` is trained once, for all epsilons."""

    name: str
    private: bool = True
    also_without: bool = Field(False, description="whether a private way is trained once without privacy too")
    ranks: tuple[int, ...] = Field((), description="ranks of the sites, in turn; empty: that of the run")
    settings: dict[str, Any] = Field(default_factory=dict)


class StudySection(Section):
    """What a study trains: each way, on each task, at each epsilon, with each seed."""

    epsilons: tuple[float, ...] = Field(min_length=1)
    seeds: int = Field(1, ge=1)
    tasks: tuple[TaskSection, ...] = Field(min_length=1)
    ways: tuple[WaySection, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Cell:
    """One training of a study."""

    task: TaskSection
    way: WaySection
    epsilon: float | None
    seed: int
    config: RunConfig

    @property
    def key(self) -> str:
        """Return the digest of everything that the cell depends on."""
        return hashlib.sha256(f"{FORMAT}:{self.task.split}:{self.config.digest()}".encode()).hexdigest()


@dataclass(frozen=True)
class Study:
    """A study: the tree of its base config, its section, and the folder with finished cells."""

    tree: Mapping[str, Any]
    section: StudySection
    folder: Path

    @classmethod
    def load(cls, file: Path, overrides: Sequence[str] = ()) -> Self:
        """Read a study from a TOML file.

        Raises
        ------
        ConfigError
            The file or a field of it cannot be used.
        """
        tree = read_toml(file)
        for override in overrides:
            apply_override(tree, override, file)
        try:
            section = StudySection.model_validate(tree.pop("study", {}))
        except ValidationError as error:
            raise ConfigError(f"{file}: study: {first_line(StudySection, error)}") from error
        run = tree.get("run", {})
        return cls(tree, section, Path(run.get("output", "runs")) / run.get("name", "study"))

    def cells(self) -> Iterator[Cell]:
        """Yield every cell; those that share records follow each other."""
        for seed in range(self.section.seeds):
            for task in self.section.tasks:
                for epsilon in (None, *(task.epsilons or self.section.epsilons)):
                    for way in (way for way in self.section.ways if _is_trained(way, epsilon)):
                        yield Cell(task, way, epsilon, seed, self.config(task, way, epsilon, seed))

    def config(self, task: TaskSection, way: WaySection | None, epsilon: float | None, seed: int) -> RunConfig:
        """Return the run of a cell; without a way, the run that only reads the records."""
        ranks = itertools.cycle(way.ranks if way and way.ranks else (0,))
        size = {"records": task.records, "declared_size": task.declared_size}
        generated = [{"id": f"site-{number}", **size} for number in range(1, task.sites + 1)]
        sites = [site | {"rank": rank} for site, rank in zip(generated or self.tree["data"]["sites"], ranks, strict=False)]
        labels = {"task.labels": list(NEED_LABELS)[: task.intents]} if task.intents else {}
        given = {"data.sites": sites, **labels, **task.settings, **(way.settings if way else {})}
        given |= {"privacy.enabled": False} if epsilon is None else {"privacy.epsilon": epsilon}
        tree = copy.deepcopy(dict(self.tree))
        tree.setdefault("run", {})["seed"] = tree["run"].get("seed", 0) + seed
        for dotted, value in given.items():
            section, field = dotted.split(".")
            tree.setdefault(section, {})[field] = value
        return RunConfig.parse(tree, f"study, {task.name}, {way.name if way else 'records'}")


def _is_trained(way: WaySection, epsilon: float | None) -> bool:
    """Return whether a way is trained at an epsilon, or without privacy for None."""
    return way.private if epsilon is not None else way.also_without or not way.private
