"""Open a site's ledger and its budgets, within the limits of the site's policy."""

from math import isfinite

from client.site_file import SiteFile
from privacy.accounting import Accountant
from privacy.budget import Budget, Limit
from privacy.fingerprint import Dataset
from privacy.ledger import Ledger
from shared.ops.status import BudgetSeen


def ledger_of(file: SiteFile) -> Ledger:
    """Open the site's ledger."""
    return Ledger(file.ledger, file.site.id, file.site.ledger_head)


def budget_of(file: SiteFile, ledger: Ledger, dataset: Dataset, accountant: Accountant) -> Budget:
    """Return the budget of a dataset on the site's ledger."""
    policy = file.policy
    dataset_delta, site_delta = policy.delta_limits(file.data.declared_size)
    in_all = Limit(policy.site_epsilon or policy.dataset_epsilon, site_delta)
    return Budget(ledger, dataset, Limit(policy.dataset_epsilon, dataset_delta), in_all, accountant)


def unread_budget(file: SiteFile, accountant: Accountant) -> Budget:
    """Return a budget in which no actual record has a part: of a record never used before, and of one in all datasets."""
    return budget_of(file, ledger_of(file), Dataset([()]), accountant)


def budgets_seen(budget: Budget) -> tuple[BudgetSeen, ...]:
    """Return what a dataset and the whole site have spent, for the status file."""
    limits = {budget.dataset.fingerprint[:12]: (budget.limit, budget.spent())}
    if budget.in_all is not None:
        limits["site"] = budget.in_all, budget.spent_in_all()
    return tuple(
        BudgetSeen(
            of=of,
            spent=spent.epsilon if isfinite(spent.epsilon) else None,
            counted_by=spent.counted_by,
            limit=limit.epsilon,
            delta=limit.target_delta,
        )
        for of, (limit, spent) in limits.items()
    )
