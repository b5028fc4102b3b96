"""Plan a run as a site carries it out, from its config, the site's file and the model's shapes; no record is read."""

from collections.abc import Mapping
from dataclasses import dataclass

from client.data_stage.augmentation.writer import refuse_no_writer
from client.membership import participant_of
from client.metering import engine_device, sizes_of
from client.preflight import refuse_what_does_not_fit, shapes_of
from client.site_file import SiteFile
from privacy.accounting import Accountant
from privacy.audit.meter import meter
from privacy.dp.plan import PrivacyPlan
from privacy.dp.run_plans import plan_for_site
from privacy.secagg.protocol import Participant
from shared.config.run import RunConfig
from shared.models.load import choose_device
from shared.models.memory import free_bytes


@dataclass(frozen=True)
class PlannedRun:
    """A run as this site carries it out, with its tensor shapes and privacy plan.

    Attributes
    ----------
    digest
        Digest of the config that the server sent.
    here
        The config with the site's own settings.
    shapes
        Name and shape of each trained tensor.
    plan
        The site's privacy plan; None if the site adds no noise.
    accountant
        Remembers the epsilons that were computed for the plan.
    participant
        The site's part in secure sums; None if the run has none.
    """

    digest: str
    here: RunConfig
    shapes: Mapping[str, tuple[int, ...]]
    plan: PrivacyPlan | None
    accountant: Accountant
    participant: Participant | None


def planned_run(file: SiteFile, run: RunConfig, here: RunConfig, free: int) -> PlannedRun:
    """Plan a run, and refuse it if it does not fit this machine or if the engine does not do what the plan claims.

    Parameters
    ----------
    file
        The site's file.
    run
        The run as the server sent it.
    here
        The run as this site carries it out.
    free
        Bytes that one process may use on the device that computes.

    Raises
    ------
    HushtuneError
        The run cannot be carried out here, whatever the records are.
    """
    own = here.at_site(file.site.id)
    refuse_what_does_not_fit(own, free)
    refuse_no_writer(here)
    accountant = Accountant()
    participant, shapes = participant_of(file, run, here), shapes_of(own)
    plan = plan_for_site(here, file.data.declared_size, accountant)
    if plan is not None:
        meter(plan, sizes_of(shapes), engine_device(here.model.device)).refuse_failure()
    return PlannedRun(run.digest(), here, shapes, plan, accountant, participant)


def free_for_training(file: SiteFile, here: RunConfig) -> int:
    """Return the bytes that each process of the site may use on the device that computes."""
    device = choose_device(here.model.device)
    return free_bytes(device) // (file.model.processes if device.type == "cpu" else 1)
