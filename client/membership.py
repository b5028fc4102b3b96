"""Join secure sums as a real site: with the site's own key, its roster of pinned peers, and its own policy."""

from client.site_file import SiteFile
from privacy.secagg.protocol import Participant
from privacy.secagg.roster import Roster
from privacy.secagg.shared_plan import SharedNoise
from shared.config.aggregation import FEWEST_IN_SUM
from shared.config.run import RunConfig
from shared.errors import PolicyRefused
from shared.identity.keys import read_private


def participant_of(file: SiteFile, run: RunConfig, here: RunConfig) -> Participant | None:
    """Return the site's part in the secure sums of a run; None if the run has none. No record is read.

    Parameters
    ----------
    file
        The site's file.
    run
        The run as the server sent it to all sites.
    here
        The run as this site carries it out.

    Raises
    ------
    PolicyRefused
        The site computes in another dtype than the one that the noise of all sites is planned for.
    ConfigError
        The site's key or roster cannot be used.
    """
    if not run.adds_up_under_masks:
        return None
    shared = SharedNoise.of(run) if run.privacy.trust == "distributed" else None
    if shared is not None and SharedNoise.of(here) != shared:
        raise PolicyRefused(
            "model.dtype",
            f"plans one noise for all sites, for model.dtype = '{run.model.dtype}'",
            f"sets '{here.model.dtype}'",
            "set the same in the run's config, or dtype = 'run' in SITE.toml",
        )
    own, policy = read_private(file.server.key), file.policy
    fewest = max(policy.fewest_in_sum, FEWEST_IN_SUM)
    roster = Roster.of_site(file.server.roster, file.site.id, own.public_key(), policy.fewest_in_sum if shared else fewest)
    if shared is not None:
        return Participant(file.site.id, own, roster, policy.min_cohort, shared.colluders)
    return Participant(file.site.id, own, roster, fewest, policy.colluders)
