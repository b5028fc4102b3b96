# Types of hushtune.py for type checkers: PEP 561 has no marker for a single module, so its types come as a stub package.
from privacy.accounting import Accountant as Accountant
from privacy.anonymise.texts import Scrubber as Scrubber
from privacy.dp.plan import PrivacyPlan as PrivacyPlan
from privacy.dp.training import make_private as make_private
from privacy.mechanism_event import MechanismEvent as MechanismEvent
from server.report.result import load_report as load_report
from shared.config.run import RunConfig as RunConfig
from simulations.run import simulate as simulate
from simulations.studies.compare import compare as compare

__version__: str

def main() -> None: ...
