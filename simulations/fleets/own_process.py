"""Train many sites in this process; each is built from its folder when it is asked, which keeps memory constant."""

from collections.abc import Iterable, Sequence

from privacy.accounting import Accountant
from shared.tasks.base import Learner
from shared.wire.messages import Envelope
from simulations.fleets.hosting import Host, Response, Task
from simulations.fleets.pool import Pool
from simulations.site_builder import SiteBuilder


class OwnProcess(Pool):
    """This process as the only worker, with the model that the run is measured with."""

    def __init__(self) -> None:
        super().__init__()
        self._host: Host | None = None
        self._responses: Sequence[Response] = ()

    def _open(self, builder: SiteBuilder, accountant: Accountant, learner: Learner, sites: int) -> int:
        self._host = Host(builder, learner, accountant)
        return 1

    def _give(self, seat: int, envelope: Envelope) -> None:
        assert self._host is not None  # noqa: S101  a pool is asked after its start
        self._host.take(envelope)

    def _send(self, seat: int, tasks: Sequence[tuple[str, Task]]) -> None:
        assert self._host is not None  # noqa: S101  a pool is asked after its start
        self._responses = [self._host.answer(site, task) for site, task in tasks]

    def _finished(self, seats: Sequence[int]) -> Iterable[tuple[int, Sequence[Response]]]:
        return [(seat, self._responses) for seat in seats]

    def _close(self) -> None:
        """Nothing runs besides this process."""
