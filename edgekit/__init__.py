"""edgekit: one recipe takes a PyTorch model, prunes and quantizes it, exports it to ExecuTorch and
LiteRT, and measures it on your own board.

This is the public API: everything in `__all__`, and nothing else. The functions do what the
commands of the same names do. Start with `run`, which does all of it:

    result = edgekit.run("recipes/quickstart.yaml", targets="pi5")
    for check in result.checks:
        print(check.artifact, check.limit, check.measured)

Every name but the errors is imported when it is first used. `import edgekit` takes a few
milliseconds and loads neither numpy nor torch, so `edgekit --help` answers at once and the machine
that measures needs no torch. Python has one way to import a class on use, a module's `__getattr__`
(PEP 562), so there is one here, and it does nothing but look a name up in `HOMES`: one line a name,
with the module to read. The imports above the table say the same to type checkers and editors; a
test keeps the two alike."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgekit.errors import (
    BusyError,
    DeadlinePassed,
    DeviceError,
    EdgekitError,
    ExportError,
    GateFailed,
    IdentityError,
    Interrupted,
    ModelError,
    ResultError,
    RunnerError,
    StoreError,
    TransportError,
    UsageError,
)
from edgekit.version import __version__

if TYPE_CHECKING:
    from edgekit.boards.adding import add_target as add_target
    from edgekit.boards.adding import list_targets as list_targets
    from edgekit.boards.adding import trust as trust
    from edgekit.boards.check import check as check
    from edgekit.boards.deploying import deploy as deploy
    from edgekit.boards.deploying import rollback as rollback
    from edgekit.boards.deploying import setup as setup
    from edgekit.boards.deploying import verify as verify
    from edgekit.bundle.directory import Bundle as Bundle
    from edgekit.bundle.directory import open_bundle as open_bundle
    from edgekit.bundle.foreign_model import open_model as open_model
    from edgekit.bundle.manifest import Artifact as Artifact
    from edgekit.bundle.manifest import Manifest as Manifest
    from edgekit.bundle.signing import keygen as keygen
    from edgekit.bundle.signing import sign as sign
    from edgekit.bundle.signing import verify_signature as verify_signature
    from edgekit.deployment import DeployReport as DeployReport
    from edgekit.devices import Device as Device
    from edgekit.devices import connect as connect
    from edgekit.devices.target import AdbTarget as AdbTarget
    from edgekit.devices.target import LocalTarget as LocalTarget
    from edgekit.devices.target import SshTarget as SshTarget
    from edgekit.devices.target import Target as Target
    from edgekit.devices.target import target_json_schema as target_json_schema
    from edgekit.devices.target_files import load_target as load_target
    from edgekit.host_check import doctor as doctor
    from edgekit.linting.model_rules import lint as lint
    from edgekit.measure.measurement import Measurement as Measurement
    from edgekit.measure.settings import Settings as Settings
    from edgekit.metrics import MetricKind as MetricKind
    from edgekit.metrics import MetricValue as MetricValue
    from edgekit.pipeline.build import BuildResult as BuildResult
    from edgekit.pipeline.build import build as build
    from edgekit.pipeline.estimates import estimate as estimate
    from edgekit.pipeline.sensitivity import sensitivity as sensitivity
    from edgekit.progress import Progress as Progress
    from edgekit.recipe.explain import explain as explain
    from edgekit.recipe.json_schema import recipe_json_schema as recipe_json_schema
    from edgekit.recipe.limits import Gate as Gate
    from edgekit.recipe.load import LoadedRecipe as LoadedRecipe
    from edgekit.recipe.load import load_recipe as load_recipe
    from edgekit.recipe.scaffold import new_recipe as new_recipe
    from edgekit.recipe.schema import Recipe as Recipe
    from edgekit.reporting.export import write_csv as write_csv
    from edgekit.reporting.export import write_jsonl as write_jsonl
    from edgekit.reporting.export import write_parquet as write_parquet
    from edgekit.reporting.mlflow_log import log_mlflow as log_mlflow
    from edgekit.reporting.page import report as report
    from edgekit.store import open_store as open_store
    from edgekit.store.baselines import list_baselines as list_baselines
    from edgekit.store.baselines import open_baseline as open_baseline
    from edgekit.store.baselines import remove_baseline as remove_baseline
    from edgekit.store.baselines import set_baseline as set_baseline
    from edgekit.store.results import Store as Store
    from edgekit.verdict.budget import Check as Check
    from edgekit.verdict.rules import Finding as Finding
    from edgekit.workflow.bench import BenchFailed as BenchFailed
    from edgekit.workflow.bench import bench as bench
    from edgekit.workflow.compare import Compared as Compared
    from edgekit.workflow.compare import compare as compare
    from edgekit.workflow.compare import compare_stored as compare_stored
    from edgekit.workflow.deploy import DeployFailed as DeployFailed
    from edgekit.workflow.deploy import deploy_each as deploy_each
    from edgekit.workflow.fleet import TargetsFailed as TargetsFailed
    from edgekit.workflow.gate import Gated as Gated
    from edgekit.workflow.gate import gate as gate
    from edgekit.workflow.run import RunFailed as RunFailed
    from edgekit.workflow.run import RunResult as RunResult
    from edgekit.workflow.run import judge as judge
    from edgekit.workflow.run import run as run
    from edgekit.workflow.selftest import SelfTest as SelfTest
    from edgekit.workflow.selftest import selftest as selftest
    from edgekit.workflow.sweep import Candidate as Candidate
    from edgekit.workflow.sweep import Swept as Swept
    from edgekit.workflow.sweep import sweep as sweep

HOMES = {
    # Recipes
    "load_recipe": "edgekit.recipe.load",
    "new_recipe": "edgekit.recipe.scaffold",
    "lint": "edgekit.linting.model_rules",
    "explain": "edgekit.recipe.explain",
    "estimate": "edgekit.pipeline.estimates",
    "sensitivity": "edgekit.pipeline.sensitivity",
    "recipe_json_schema": "edgekit.recipe.json_schema",
    # From a recipe to a verdict
    "build": "edgekit.pipeline.build",
    "run": "edgekit.workflow.run",
    "judge": "edgekit.workflow.run",
    "sweep": "edgekit.workflow.sweep",
    # Bundles
    "open_bundle": "edgekit.bundle.directory",
    "open_model": "edgekit.bundle.foreign_model",
    "keygen": "edgekit.bundle.signing",
    "sign": "edgekit.bundle.signing",
    "verify_signature": "edgekit.bundle.signing",
    # Targets and boards
    "add_target": "edgekit.boards.adding",
    "list_targets": "edgekit.boards.adding",
    "load_target": "edgekit.devices.target_files",
    "target_json_schema": "edgekit.devices.target",
    "trust": "edgekit.boards.adding",
    "check": "edgekit.boards.check",
    "setup": "edgekit.boards.deploying",
    "connect": "edgekit.devices",
    "deploy": "edgekit.boards.deploying",
    "deploy_each": "edgekit.workflow.deploy",
    "verify": "edgekit.boards.deploying",
    "rollback": "edgekit.boards.deploying",
    "doctor": "edgekit.host_check",
    # Measuring and deciding
    "bench": "edgekit.workflow.bench",
    "compare": "edgekit.workflow.compare",
    "compare_stored": "edgekit.workflow.compare",
    "gate": "edgekit.workflow.gate",
    "selftest": "edgekit.workflow.selftest",
    "set_baseline": "edgekit.store.baselines",
    "open_baseline": "edgekit.store.baselines",
    "list_baselines": "edgekit.store.baselines",
    "remove_baseline": "edgekit.store.baselines",
    # Results
    "open_store": "edgekit.store",
    "report": "edgekit.reporting.page",
    "write_csv": "edgekit.reporting.export",
    "write_jsonl": "edgekit.reporting.export",
    "write_parquet": "edgekit.reporting.export",
    "log_mlflow": "edgekit.reporting.mlflow_log",
    # Values
    "Artifact": "edgekit.bundle.manifest",
    "Bundle": "edgekit.bundle.directory",
    "Manifest": "edgekit.bundle.manifest",
    "Recipe": "edgekit.recipe.schema",
    "LoadedRecipe": "edgekit.recipe.load",
    "Gate": "edgekit.recipe.limits",
    "Target": "edgekit.devices.target",
    "LocalTarget": "edgekit.devices.target",
    "SshTarget": "edgekit.devices.target",
    "AdbTarget": "edgekit.devices.target",
    "Device": "edgekit.devices",
    "Settings": "edgekit.measure.settings",
    "Measurement": "edgekit.measure.measurement",
    "MetricKind": "edgekit.metrics",
    "MetricValue": "edgekit.metrics",
    "BuildResult": "edgekit.pipeline.build",
    "RunResult": "edgekit.workflow.run",
    "Compared": "edgekit.workflow.compare",
    "Gated": "edgekit.workflow.gate",
    "SelfTest": "edgekit.workflow.selftest",
    "Swept": "edgekit.workflow.sweep",
    "Candidate": "edgekit.workflow.sweep",
    "Check": "edgekit.verdict.budget",
    "Finding": "edgekit.verdict.rules",
    "DeployReport": "edgekit.deployment",
    "Progress": "edgekit.progress",
    "Store": "edgekit.store.results",
    # Errors of several targets
    "TargetsFailed": "edgekit.workflow.fleet",
    "BenchFailed": "edgekit.workflow.bench",
    "DeployFailed": "edgekit.workflow.deploy",
    "RunFailed": "edgekit.workflow.run",
}
"""The module that each name is imported from."""

__all__ = [
    "BusyError",
    "DeadlinePassed",
    "DeviceError",
    "EdgekitError",
    "ExportError",
    "GateFailed",
    "IdentityError",
    "Interrupted",
    "ModelError",
    "ResultError",
    "RunnerError",
    "StoreError",
    "TransportError",
    "UsageError",
    "__version__",
    *HOMES,
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
    value = getattr(importlib.import_module(HOMES[name]), name)
    globals()[name] = value  # from now on an ordinary name
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *HOMES])
