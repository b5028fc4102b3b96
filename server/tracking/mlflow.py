"""MLflow with a local SQLite store; MLflow's telemetry is turned off before its import."""

import logging
import os
import time
from pathlib import Path
from typing import Any

from server.tracking.tracked import Tracked

EXPERIMENT = "hushtune"
RUN_ID = "hushtune.run_id"
AT_ONCE = 100  # settings that MLflow accepts in one batch
LONGEST = 500  # characters; longer settings are cut


class MlflowStore:
    """The file ``mlflow.db`` in the folder of all runs.

    View it with ``mlflow ui --backend-store-uri sqlite:///runs/mlflow.db``.
    """

    def __init__(self, folder: Path) -> None:
        self.uri = f"sqlite:///{(folder / 'mlflow.db').resolve()}"
        self._artifacts = (folder / "mlflow-artifacts").resolve().as_uri()

    def put(self, run: Tracked) -> None:
        """Store a run: settings as params, numbers as metrics by round, the path of the report as a tag."""
        os.environ.update({"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"})
        logging.getLogger("alembic").setLevel(logging.ERROR)  # it logs every table of a new store
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag

        client = MlflowClient(tracking_uri=self.uri)
        experiment = self._experiment(client)
        if client.search_runs([experiment], f"tags.`{RUN_ID}` = '{run.run_id}'", max_results=1):
            return
        made = client.create_run(experiment, run_name=run.name)
        now = int(time.time() * 1000)
        params = [Param(name, value[:LONGEST]) for name, value in run.settings.items()]
        for start in range(0, len(params), AT_ONCE):
            client.log_batch(made.info.run_id, params=params[start : start + AT_ONCE])
        metrics = [Metric(point.name, point.value, now, point.step) for point in run.points]
        tags = [RunTag(RUN_ID, run.run_id), RunTag("hushtune.report", str(run.report.resolve()))]
        client.log_batch(made.info.run_id, metrics=metrics, tags=tags)
        client.set_terminated(made.info.run_id)

    def _experiment(self, client: Any) -> str:
        found = client.get_experiment_by_name(EXPERIMENT)
        if found:
            return str(found.experiment_id)
        return str(client.create_experiment(EXPERIMENT, artifact_location=self._artifacts))
