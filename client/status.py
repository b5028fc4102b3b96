"""What a client says of itself while it runs, for ``hushtune status`` at the site."""

import time
from collections import deque
from collections.abc import Sequence
from typing import Literal

from client.site_file import SiteFile
from shared.ops.status import BudgetSeen, OrderSeen, Outcome, SiteStatus, StatusFile
from shared.wire.messages import TrainOrder

KEPT = 20  # orders that are shown
REFRESH = 30.0  # seconds after which an unchanged status is written again, so that a reader knows it for fresh

State = Literal["connecting", "connected", "refused", "closed"]


class Telling:
    """The status file of one client; it is rewritten at each change, and by ``refresh`` when it grows old."""

    def __init__(self, file: SiteFile) -> None:
        self._file, self._site = StatusFile(file.status), file
        self._orders: deque[OrderSeen] = deque(maxlen=KEPT)
        self._budgets: tuple[BudgetSeen, ...] = ()
        self._connection: State = "connecting"
        self._since = time.time()
        self._written = 0.0
        self._write()

    def connection(self, state: State) -> None:
        """How it stands with the server now."""
        if state != self._connection:
            self._connection, self._since = state, time.time()
            self._write()

    def order(self, order: TrainOrder, outcome: Outcome, reason: str | None = None) -> None:
        """What became of an order; a later word on the same round replaces the earlier one."""
        seen = OrderSeen(time=time.time(), run_id=order.run_id, round=order.round, outcome=outcome, reason=reason)
        last = self._orders[-1] if self._orders else None
        if last is not None and (last.run_id, last.round, last.outcome) == (order.run_id, order.round, "training"):
            self._orders.pop()
        self._orders.append(seen)
        self._write()

    def budgets(self, budgets: Sequence[BudgetSeen]) -> None:
        """What is left, as the ledger has it."""
        self._budgets = tuple(budgets)
        self._write()

    def refresh(self) -> None:
        """Write again what has not changed for a while."""
        if time.monotonic() - self._written > REFRESH:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        self._file.write(
            SiteStatus(
                site_id=self._site.site.id,
                server=self._site.server.address,
                connection=self._connection,
                since=self._since,
                budgets=self._budgets,
                orders=tuple(self._orders),
            )
        )
