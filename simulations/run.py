"""Start a simulation: refuse a bad request at once, and let the anonymiser work while other libraries are imported."""

from contextlib import closing
from typing import TYPE_CHECKING

from privacy.anonymise.pipeline import Anonymiser
from shared.config.run import RunConfig
from shared.errors import ConfigError
from shared.ops.extras import require, require_for
from shared.ops.imports import uncollected
from shared.ops.progress import Progress, silent
from simulations.reading import begin_scrubbing

if TYPE_CHECKING:
    from server.report.result import RunResult


def simulate(
    config: RunConfig,
    progress: Progress = silent,
    workers: int = 1,
    ray: str | None = None,
    personal: bool = False,
) -> "RunResult":
    """Run the federation of a config on this machine, and write its report.

    Parameters
    ----------
    config
        The run, from `RunConfig.load`.
    progress
        Called at the start of the stages ``calibrate``, ``assess``, ``anonymise``, ``paraphrase``, ``model``, ``baselines``,
        ``train`` and ``report``, as far as the run has them; by default nothing is shown.
    workers
        Processes that train the sites, each with a base model of its own and an equal share of the processor's threads; 1
        trains all sites in this process. Without privacy the result does not depend on the number of workers, bit for bit,
        as long as each process computes with the same number of threads.
    ray
        Address of a Ray cluster that trains the sites instead, one process of one thread for each of its processors;
        ``"local"`` starts a cluster of this machine. All machines must share the working folder and ``run.output``.
    personal
        After the run, each site trains a personal adapter for one more round, which is charged to its ledger; the report
        compares it with the published adapter on the site's own held-out records.

    Returns
    -------
    RunResult
        Metrics with intervals, rows by round, and the epsilon of each site.

    Raises
    ------
    HushtuneError
        The data are unusable, the model is unknown, no plan meets the target, or a round found no quorum.

    Examples
    --------
    >>> from hushtune import RunConfig, simulate
    >>> config = RunConfig.load("configs/demo.toml", ["training.rounds=2"])
    >>> result = simulate(config)
    >>> accuracy = result.metrics["accuracy"]
    >>> 0 <= accuracy.low <= accuracy.value <= accuracy.high <= 1
    True
    >>> [row["round"] for row in result.rounds]
    [1, 2]
    >>> result.privacy["north"].epsilon <= config.privacy.epsilon
    True
    """
    require_for(config)
    if ray is not None:
        require(f"--ray {ray}", "ray")
    if ray is not None and workers > 1:
        raise ConfigError("--ray: trains with one process for each processor of the cluster; leave --workers out")
    with closing(Anonymiser(config.anonymise)) as anonymiser:
        if config.data.cache is None:  # a cache may hold all records already
            begin_scrubbing(config, anonymiser)
        with uncollected():
            from simulations.pipeline import run_pipeline  # takes seconds to import
        return run_pipeline(config, anonymiser, progress, workers, ray, personal)
