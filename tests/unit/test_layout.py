"""The shape of the repository, read from its syntax trees: who imports whom, and what may not be there at all."""

import ast
import importlib.metadata
import importlib.util
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from syntax import REPOSITORY, nodes, tree

PACKAGES = ("shared", "privacy", "client", "server", "simulations")
OURS = (*PACKAGES, "bench")  # what measures us is held to the same rules, and is in no wheel
MAY_IMPORT = {
    "shared": {"shared"},
    "privacy": {"privacy", "shared"},
    "client": {"client", "privacy", "shared"},
    "server": {"server", "privacy", "shared"},
    "simulations": set(PACKAGES),
    "hushtune.py": set(PACKAGES),
    "bench": {*PACKAGES, "bench"},
}
LEARNING = (
    "shared/models/",
    "shared/adapters/",
    "shared/tasks/",
    "privacy/dp/",
    "privacy/audit/rig.py",
    "privacy/audit/secure_rig.py",
    "privacy/audit/canaries.py",
    "privacy/secagg/noise_shares.py",
    "client/exactness.py",
    "client/losses.py",
    "client/optimizer.py",
    "client/trainer.py",
    "client/units.py",
    "client/worker.py",
    "client/workers.py",
    "client/data_stage/augmentation/writer.py",
    "server/aggregation/gradient_step.py",
    "server/evaluation.py",
    "server/export/",
    "server/explanation/attribution.py",
    "server/probes/vocabulary.py",
    "simulations/",
    "bench/",
)
MESSAGING = (
    "shared/wire/messages.py",
    "shared/wire/secure_messages.py",
    "shared/wire/white_list.py",
    "shared/wire/parts.py",
    "client/app.py",
    "client/fleet_client.py",
    "client/connection.py",
    "client/service.py",
    "server/network/superlink.py",
    "server/network/fleet_api.py",
)
COMMANDS = ("shared/commands.py", "client/commands.py", "server/commands.py", "simulations/commands.py")
ROOMS = {
    "flwr": (*MESSAGING, "server/screening.py", "simulations/fleets/local.py", "bench/toy_sites.py"),
    "ray": ("simulations/fleets/ray.py", "bench/thousand.py"),
    "spacy": ("privacy/detect/", "privacy/leakage/"),
    "presidio_analyzer": ("privacy/detect/", "privacy/leakage/"),
    "presidio_anonymizer": ("privacy/replace/",),
    "opacus": ("privacy/dp/", "bench/step.py"),  # the bench measures Opacus itself
    "dp_accounting": (
        "privacy/accounting.py",
        "privacy/calibration.py",
        "privacy/dense_loss.py",
        "privacy/privacy_loss.py",
        "privacy/step_loss.py",
    ),
    "scipy": ("privacy/",),
    "torch": LEARNING,
    "transformers": LEARNING,
    "peft": ("shared/adapters/", "shared/tasks/", "privacy/dp/", "server/export/", "bench/consumer.py"),
    "huggingface_hub": ("shared/models/", "server/export/hub_folder.py"),
    "gguf": ("server/export/gguf_file.py",),
    "pyarrow": ("shared/records/rows.py",),
    "python_calamine": ("shared/records/workbook.py",),
    "ftfy": ("client/data_stage/cleaning.py",),
    "py3langid": ("privacy/detect/languages/identify.py",),
    "rensa": ("client/data_stage/selection.py",),
    "sklearn": ("server/public_baselines.py",),
    "fairlearn": ("server/probes/groups.py",),
    "faker": ("privacy/detect/", "privacy/replace/", "privacy/leakage/", "simulations/", "bench/"),
    "hunspell": ("privacy/detect/languages/",),
    "presidio_evaluator": ("privacy/leakage/span_evaluator.py",),
    "optuna": ("simulations/studies/search.py",),
    "codecarbon": ("shared/ops/energy.py",),
    "captum": ("server/explanation/attribution.py",),
    "mlflow": ("server/tracking/mlflow.py",),
    "tensorboard": ("server/tracking/tensorboard.py",),
    "wandb": ("server/tracking/wandb.py",),
    "nltk": ("server/review/score.py",),
    "sacrebleu": ("shared/metrics/generation.py",),
    "torchmetrics": ("shared/metrics/generation.py",),
    "typer": ("shared/ops/command_group.py", "shared/ops/printing.py", *COMMANDS),
    "rich": (
        "shared/ops/printing.py",
        "shared/ops/terminal.py",
        "shared/ops/status_view.py",
        "shared/ops/config_view.py",
        "client/display.py",
        "server/display.py",
        "simulations/",
        "bench/",
    ),
    "cryptography": (
        "privacy/dp/entropy.py",
        "privacy/secagg/",
        "shared/identity/keys.py",
        "shared/identity/certificates.py",
        "shared/identity/request_signature.py",
        "server/network/request_filter.py",
        "client/server_access.py",
        "client/data_stage/cache.py",
        "client/data_stage/pseudonym_map.py",
        "server/signing.py",
        "bench/toy_sites.py",
    ),
    "jinja2": ("server/report/", "server/review/serve.py"),
    "httpx": (
        "client/fleet_client.py",
        "client/connection.py",
        "client/lost_server.py",
        "server/network/superlink.py",
        "shared/models/registry.py",
    ),
    "uvicorn": ("server/network/loopback.py", "server/network/ports.py"),
    "starlette": ("server/network/loopback.py", "server/live_page.py", "server/review/serve.py", "server/endpoint.py"),
    "grpc": ("server/network/health.py",),
    "grpc_health": ("server/network/health.py",),
    "matplotlib": ("server/report/", "simulations/studies/utility.py"),
    "pickle": ("bench/vocabulary_packages.py",),
    "dill": (),
    "cloudpickle": (),
    "joblib": (),
    "marshal": (),
    "shelve": (),
}

EXECUTING = {"eval", "exec", "compile", "__import__", "torch.load", "torch.save", "yaml.load"}


def modules() -> list[Path]:
    return sorted([*(path for name in OURS for path in (REPOSITORY / name).rglob("*.py")), REPOSITORY / "hushtune.py"])


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@cache
def imports(path: Path) -> frozenset[str]:
    """Top-level names of all imports of a module, wherever they stand in it."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(str(node.module).split(".")[0])
    return frozenset(found)


def everything() -> Iterator[tuple[Path, ast.AST]]:
    return ((path, node) for path in modules() for node in nodes(path))


def test_imports_point_in_one_direction() -> None:
    assert {path.parts[len(REPOSITORY.parts)] for path in modules()} == {*OURS, "hushtune.py"}
    for path in modules():
        ours = imports(path) & set(OURS)
        assert ours <= MAY_IMPORT[path.relative_to(REPOSITORY).parts[0]], name_of(path)


def test_heavy_libraries_stay_in_their_rooms() -> None:
    for path in modules():
        for library in imports(path) & set(ROOMS):
            assert name_of(path).startswith(ROOMS[library] or ("nowhere",)), f"{library} in {name_of(path)}"


def test_no_code_arrives_by_data() -> None:
    for path, node in everything():
        if isinstance(node, ast.keyword):
            assert node.arg != "trust_remote_code" or ast.unparse(node.value) == "False", name_of(path)
            assert not (node.arg == "allow_pickle" and getattr(node.value, "value", None) is not False), name_of(path)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in EXECUTING, f"{called} in {name_of(path)}"
            assert not called.endswith(("import_module", "import_string")), f"{called} in {name_of(path)}"
            # A method of aggregation is found by its name, which is one of a literal list in our own code.
            assert not called.endswith("resolve_name") or name_of(path) == "server/aggregation/__init__.py"


def test_functions_fit_on_a_screen() -> None:
    for path, node in everything():
        if isinstance(node, ast.FunctionDef) and node.name != "run_rounds":  # the round loop is read as one piece
            body = node.body[1:] if ast.get_docstring(node) else node.body
            first = body[0].lineno if body else node.lineno
            assert (node.end_lineno or 0) - first < 39, f"{node.name} in {name_of(path)}"


def test_nothing_happens_at_import_but_definitions() -> None:
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    for path, node in ((each, node) for each in modules() for node in tree(each).body):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        guarded = isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
        assert isinstance(node, allowed) or docstring or guarded, f"{ast.unparse(node)[:80]} in {name_of(path)}"


def test_the_public_face_stays_short() -> None:
    assert len((REPOSITORY / "hushtune.py").read_text(encoding="utf-8").splitlines()) <= 240


def test_no_importable_folder_has_a_name_that_others_use() -> None:
    taken = ("examples", "benchmarks", "utils", "data", "common", "helpers")
    assert [path for name in taken for path in (REPOSITORY / name).glob("**/*.py")] == []


def test_our_packages_are_the_ones_that_are_imported() -> None:
    distributions = importlib.metadata.packages_distributions()
    for name in OURS:
        spec = importlib.util.find_spec(name)
        assert spec is not None, name
        assert Path(str(spec.origin)).is_relative_to(REPOSITORY)
        assert set(distributions.get(name, [])) <= {"hushtune"}, name


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "helpers", "manager", "handler", "processor", "misc", "common"}
    assert not [name_of(path) for path in modules() if path.stem in empty]


def test_tests_have_no_packages_of_their_own() -> None:
    assert not list((REPOSITORY / "tests").rglob("__init__.py"))


def test_the_wheel_holds_our_packages_and_no_others() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert sorted(project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]) == sorted(
        [*PACKAGES, "hushtune.py", "hushtune-stubs"]
    )
