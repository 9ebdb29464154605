"""edgekit: one recipe takes a PyTorch model, prunes and quantizes it, exports it to ExecuTorch and
LiteRT, and measures it on your own board.

This is the public API: everything in `__all__`, and nothing else. The functions do what the
commands of the same names do. Start with `run`, which does all of it:

    result = edgekit.run("recipes/quickstart.yaml", targets="pi5")
    for verdict in result.verdicts:
        print(verdict.artifact, verdict.limit, verdict.measured)

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
    from edgekit.boards.adding import AddedTarget as AddedTarget
    from edgekit.boards.adding import ListedTarget as ListedTarget
    from edgekit.boards.adding import add_target as add_target
    from edgekit.boards.adding import list_targets as list_targets
    from edgekit.boards.adding import trust as trust
    from edgekit.boards.check import CheckReport as CheckReport
    from edgekit.boards.check import check as check
    from edgekit.boards.check_items import CheckItem as CheckItem
    from edgekit.boards.deploying import SetupReport as SetupReport
    from edgekit.boards.deploying import deploy as deploy
    from edgekit.boards.deploying import rollback as rollback
    from edgekit.boards.deploying import setup as setup
    from edgekit.boards.deploying import verify as verify
    from edgekit.bundle.directory import Bundle as Bundle
    from edgekit.bundle.directory import open_bundle as open_bundle
    from edgekit.bundle.foreign_model import model_signatures as model_signatures
    from edgekit.bundle.foreign_model import open_model as open_model
    from edgekit.bundle.manifest import Artifact as Artifact
    from edgekit.bundle.manifest import ArtifactAgreement as ArtifactAgreement
    from edgekit.bundle.manifest import BundleFile as BundleFile
    from edgekit.bundle.manifest import DynamicSize as DynamicSize
    from edgekit.bundle.manifest import Manifest as Manifest
    from edgekit.bundle.manifest import TensorSpec as TensorSpec
    from edgekit.bundle.manifest import TraceRow as TraceRow
    from edgekit.bundle.model_file import ModelSignature as ModelSignature
    from edgekit.bundle.signing import keygen as keygen
    from edgekit.bundle.signing import sign as sign
    from edgekit.bundle.signing import verify_signature as verify_signature
    from edgekit.cancel import Cancel as Cancel
    from edgekit.compress.quantize.layer_sensitivity import LayerSensitivity as LayerSensitivity
    from edgekit.deployment import DeployReport as DeployReport
    from edgekit.deployment import VerifiedBundle as VerifiedBundle
    from edgekit.devices import CompletedProgram as CompletedProgram
    from edgekit.devices import Device as Device
    from edgekit.devices import connect as connect
    from edgekit.devices.facts import DeviceFacts as DeviceFacts
    from edgekit.devices.ssh_login import HostKey as HostKey
    from edgekit.devices.target import AdbTarget as AdbTarget
    from edgekit.devices.target import LocalTarget as LocalTarget
    from edgekit.devices.target import SshTarget as SshTarget
    from edgekit.devices.target import Target as Target
    from edgekit.devices.target import target_json_schema as target_json_schema
    from edgekit.devices.target_files import load_target as load_target
    from edgekit.host_check import doctor as doctor
    from edgekit.linting.document_rules import LintFinding as LintFinding
    from edgekit.linting.model_rules import lint as lint
    from edgekit.measure.measurement import Measurement as Measurement
    from edgekit.measure.measurement import MeasurementNote as MeasurementNote
    from edgekit.measure.protocol_lines import MemoryMark as MemoryMark
    from edgekit.measure.runs import ArtifactResult as ArtifactResult
    from edgekit.measure.runs import MeasuredRun as MeasuredRun
    from edgekit.measure.settings import Settings as Settings
    from edgekit.measure.summary import ArtifactSummary as ArtifactSummary
    from edgekit.measure.summary import MemoryUse as MemoryUse
    from edgekit.metrics import MetricKind as MetricKind
    from edgekit.metrics import MetricValue as MetricValue
    from edgekit.pipeline.build import BuildResult as BuildResult
    from edgekit.pipeline.build import build as build
    from edgekit.pipeline.estimates import estimate as estimate
    from edgekit.pipeline.sensitivity import SensitivityReport as SensitivityReport
    from edgekit.pipeline.sensitivity import sensitivity as sensitivity
    from edgekit.pipeline.stage_estimate import StageEstimate as StageEstimate
    from edgekit.progress import Progress as Progress
    from edgekit.recipe.explain import ExplainedRecipe as ExplainedRecipe
    from edgekit.recipe.explain import ExplainedStage as ExplainedStage
    from edgekit.recipe.explain import ExplainedValue as ExplainedValue
    from edgekit.recipe.explain import explain as explain
    from edgekit.recipe.json_schema import recipe_json_schema as recipe_json_schema
    from edgekit.recipe.limits import Gate as Gate
    from edgekit.recipe.load import LoadedRecipe as LoadedRecipe
    from edgekit.recipe.load import load_recipe as load_recipe
    from edgekit.recipe.scaffold import new_recipe as new_recipe
    from edgekit.recipe.schema import Input as Input
    from edgekit.recipe.schema import Recipe as Recipe
    from edgekit.recipe.upgrade import MovedKey as MovedKey
    from edgekit.recipe.upgrade import UpgradeResult as UpgradeResult
    from edgekit.recipe.upgrade import upgrade_recipe as upgrade_recipe
    from edgekit.reporting.export import write_csv as write_csv
    from edgekit.reporting.export import write_jsonl as write_jsonl
    from edgekit.reporting.export import write_parquet as write_parquet
    from edgekit.reporting.mlflow_log import log_mlflow as log_mlflow
    from edgekit.reporting.page import report as report
    from edgekit.reporting.page.search import report_search as report_search
    from edgekit.searching.applying import apply_search as apply_search
    from edgekit.searching.applying import open_search as open_search
    from edgekit.searching.candidates import SearchCandidate as SearchCandidate
    from edgekit.searching.figures import SearchFigure as SearchFigure
    from edgekit.searching.goals import Objective as Objective
    from edgekit.searching.result import SearchResult as SearchResult
    from edgekit.searching.result import SearchSavings as SearchSavings
    from edgekit.searching.run import search as search
    from edgekit.stats.clusters import ClusteredShare as ClusteredShare
    from edgekit.stats.compare import MedianRatio as MedianRatio
    from edgekit.stats.errors import ErrorRates as ErrorRates
    from edgekit.stats.quantiles import Outliers as Outliers
    from edgekit.stats.quantiles import QuantileEstimate as QuantileEstimate
    from edgekit.store import open_store as open_store
    from edgekit.store.baselines import Baseline as Baseline
    from edgekit.store.baselines import list_baselines as list_baselines
    from edgekit.store.baselines import open_baseline as open_baseline
    from edgekit.store.baselines import remove_baseline as remove_baseline
    from edgekit.store.baselines import set_baseline as set_baseline
    from edgekit.store.results import HistoryEntry as HistoryEntry
    from edgekit.store.results import MeasurementRow as MeasurementRow
    from edgekit.store.results import Store as Store
    from edgekit.verdict.budget import JudgedLimit as JudgedLimit
    from edgekit.verdict.rules import Finding as Finding
    from edgekit.workflow.bench import BenchFailed as BenchFailed
    from edgekit.workflow.bench import bench as bench
    from edgekit.workflow.compare import CompareResult as CompareResult
    from edgekit.workflow.compare import compare as compare
    from edgekit.workflow.compare import compare_stored as compare_stored
    from edgekit.workflow.deploy import DeployFailed as DeployFailed
    from edgekit.workflow.deploy import deploy_each as deploy_each
    from edgekit.workflow.fleet import TargetsFailed as TargetsFailed
    from edgekit.workflow.gate import GateResult as GateResult
    from edgekit.workflow.gate import gate as gate
    from edgekit.workflow.judge import judge as judge
    from edgekit.workflow.run import RunFailed as RunFailed
    from edgekit.workflow.run import RunResult as RunResult
    from edgekit.workflow.run import run as run
    from edgekit.workflow.selftest import SelfTestResult as SelfTestResult
    from edgekit.workflow.selftest import selftest as selftest
    from edgekit.workflow.storing import NotStored as NotStored
    from edgekit.workflow.sweep import SweepCandidate as SweepCandidate
    from edgekit.workflow.sweep import SweepResult as SweepResult
    from edgekit.workflow.sweep import sweep as sweep
    from edgekit.yaml_documents.edits import ValueEdit as ValueEdit
    from edgekit.yaml_documents.problems import Origin as Origin

HOMES = {
    # Recipes
    "load_recipe": "edgekit.recipe.load",
    "new_recipe": "edgekit.recipe.scaffold",
    "lint": "edgekit.linting.model_rules",
    "explain": "edgekit.recipe.explain",
    "upgrade_recipe": "edgekit.recipe.upgrade",
    "estimate": "edgekit.pipeline.estimates",
    "sensitivity": "edgekit.pipeline.sensitivity",
    "recipe_json_schema": "edgekit.recipe.json_schema",
    # From a recipe to a verdict
    "build": "edgekit.pipeline.build",
    "run": "edgekit.workflow.run",
    "judge": "edgekit.workflow.judge",
    "sweep": "edgekit.workflow.sweep",
    "search": "edgekit.searching.run",
    "open_search": "edgekit.searching.applying",
    "apply_search": "edgekit.searching.applying",
    # Bundles
    "open_bundle": "edgekit.bundle.directory",
    "open_model": "edgekit.bundle.foreign_model",
    "model_signatures": "edgekit.bundle.foreign_model",
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
    "report_search": "edgekit.reporting.page.search",
    "write_csv": "edgekit.reporting.export",
    "write_jsonl": "edgekit.reporting.export",
    "write_parquet": "edgekit.reporting.export",
    "log_mlflow": "edgekit.reporting.mlflow_log",
    # What the functions take and give: recipes
    "Recipe": "edgekit.recipe.schema",
    "Input": "edgekit.recipe.schema",
    "Gate": "edgekit.recipe.limits",
    "LoadedRecipe": "edgekit.recipe.load",
    "Origin": "edgekit.yaml_documents.problems",
    "ExplainedRecipe": "edgekit.recipe.explain",
    "ExplainedStage": "edgekit.recipe.explain",
    "ExplainedValue": "edgekit.recipe.explain",
    "UpgradeResult": "edgekit.recipe.upgrade",
    "MovedKey": "edgekit.recipe.upgrade",
    "LintFinding": "edgekit.linting.document_rules",
    "ValueEdit": "edgekit.yaml_documents.edits",
    "StageEstimate": "edgekit.pipeline.stage_estimate",
    "SensitivityReport": "edgekit.pipeline.sensitivity",
    "LayerSensitivity": "edgekit.compress.quantize.layer_sensitivity",
    # … builds and bundles
    "BuildResult": "edgekit.pipeline.build",
    "RunResult": "edgekit.workflow.run",
    "JudgedLimit": "edgekit.verdict.budget",
    "Bundle": "edgekit.bundle.directory",
    "Manifest": "edgekit.bundle.manifest",
    "Artifact": "edgekit.bundle.manifest",
    "ArtifactAgreement": "edgekit.bundle.manifest",
    "BundleFile": "edgekit.bundle.manifest",
    "TensorSpec": "edgekit.bundle.manifest",
    "DynamicSize": "edgekit.bundle.manifest",
    "ModelSignature": "edgekit.bundle.model_file",
    "TraceRow": "edgekit.bundle.manifest",
    "MetricKind": "edgekit.metrics",
    "MetricValue": "edgekit.metrics",
    # … targets and boards
    "Target": "edgekit.devices.target",
    "LocalTarget": "edgekit.devices.target",
    "SshTarget": "edgekit.devices.target",
    "AdbTarget": "edgekit.devices.target",
    "AddedTarget": "edgekit.boards.adding",
    "ListedTarget": "edgekit.boards.adding",
    "HostKey": "edgekit.devices.ssh_login",
    "CheckReport": "edgekit.boards.check",
    "CheckItem": "edgekit.boards.check_items",
    "SetupReport": "edgekit.boards.deploying",
    "DeployReport": "edgekit.deployment",
    "VerifiedBundle": "edgekit.deployment",
    "Device": "edgekit.devices",
    "DeviceFacts": "edgekit.devices.facts",
    "CompletedProgram": "edgekit.devices",
    # … measurements and verdicts
    "Settings": "edgekit.measure.settings",
    "Measurement": "edgekit.measure.measurement",
    "MeasurementNote": "edgekit.measure.measurement",
    "MeasuredRun": "edgekit.measure.runs",
    "ArtifactResult": "edgekit.measure.runs",
    "ArtifactSummary": "edgekit.measure.summary",
    "MemoryMark": "edgekit.measure.protocol_lines",
    "MemoryUse": "edgekit.measure.summary",
    "QuantileEstimate": "edgekit.stats.quantiles",
    "Outliers": "edgekit.stats.quantiles",
    "ClusteredShare": "edgekit.stats.clusters",
    "MedianRatio": "edgekit.stats.compare",
    "CompareResult": "edgekit.workflow.compare",
    "GateResult": "edgekit.workflow.gate",
    "Finding": "edgekit.verdict.rules",
    "SelfTestResult": "edgekit.workflow.selftest",
    "ErrorRates": "edgekit.stats.errors",
    "SweepResult": "edgekit.workflow.sweep",
    "SweepCandidate": "edgekit.workflow.sweep",
    "SearchResult": "edgekit.searching.result",
    "SearchCandidate": "edgekit.searching.candidates",
    "SearchFigure": "edgekit.searching.figures",
    "SearchSavings": "edgekit.searching.result",
    "Objective": "edgekit.searching.goals",
    # … results
    "Store": "edgekit.store.results",
    "MeasurementRow": "edgekit.store.results",
    "HistoryEntry": "edgekit.store.results",
    "Baseline": "edgekit.store.baselines",
    # … progress and the end of work
    "Progress": "edgekit.progress",
    "Cancel": "edgekit.cancel",
    # Errors of several targets
    "TargetsFailed": "edgekit.workflow.fleet",
    "BenchFailed": "edgekit.workflow.bench",
    "DeployFailed": "edgekit.workflow.deploy",
    "NotStored": "edgekit.workflow.storing",
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
