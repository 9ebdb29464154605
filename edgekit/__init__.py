"""edgekit: one recipe takes a PyTorch model, prunes and quantizes it, exports it to ExecuTorch and
LiteRT, and measures it on your own board.

The public API, one function per command:

    new_recipe, load_recipe                         recipes, without training
    lint, explain, estimate                         what one will not do, means, and comes to
    recipe_json_schema                              what editors know about them
    sensitivity                                     which layers int8 costs precision in
    build, run, judge, open_bundle                  recipes to bundles, measurements and a verdict
    doctor                                          this machine, and what to install on it
    add_target, trust, check, setup                 boards, from the first contact to ready
    list_targets, load_target, target_json_schema   targets
    connect, deploy, verify, rollback, bench        bundles on boards
    keygen, sign, verify_signature                  signed bundles
    open_model                                      a model that edgekit did not build, as a bundle
    compare, compare_stored, gate                   which of two is better, and whether one may go out
    sweep                                           which of many settings
    set_baseline, open_baseline, list_baselines, remove_baseline
    selftest                                        how often that errs on a board
    open_store, report                              what was measured, in a program or on a page
    write_csv, write_jsonl, write_parquet, log_mlflow
                                                    the same for other programs

Names are imported on first use: `import edgekit` costs nothing, and torch is only imported by
`build` when something is to be trained or exported."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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
    from edgekit.bundle.foreign_model import open_model as open_model
    from edgekit.bundle.manifest import open_bundle as open_bundle
    from edgekit.bundle.signing import keygen as keygen
    from edgekit.bundle.signing import sign as sign
    from edgekit.bundle.signing import verify_signature as verify_signature
    from edgekit.devices import connect as connect
    from edgekit.devices.target import target_json_schema as target_json_schema
    from edgekit.devices.target_files import load_target as load_target
    from edgekit.host_check import doctor as doctor
    from edgekit.linting.model_rules import lint as lint
    from edgekit.measure.session import bench as bench
    from edgekit.pipeline.build import build as build
    from edgekit.pipeline.estimates import estimate as estimate
    from edgekit.pipeline.sensitivity import sensitivity as sensitivity
    from edgekit.recipe.explain import explain as explain
    from edgekit.recipe.json_schema import recipe_json_schema as recipe_json_schema
    from edgekit.recipe.load import load_recipe as load_recipe
    from edgekit.recipe.scaffold import new_recipe as new_recipe
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
    from edgekit.workflow.compare import compare as compare
    from edgekit.workflow.compare import compare_stored as compare_stored
    from edgekit.workflow.gate import gate as gate
    from edgekit.workflow.run import judge as judge
    from edgekit.workflow.run import run as run
    from edgekit.workflow.selftest import selftest as selftest
    from edgekit.workflow.sweep import sweep as sweep

_PUBLIC = {
    "add_target": "edgekit.boards.adding",
    "bench": "edgekit.measure.session",
    "build": "edgekit.pipeline.build",
    "check": "edgekit.boards.check",
    "compare": "edgekit.workflow.compare",
    "compare_stored": "edgekit.workflow.compare",
    "connect": "edgekit.devices",
    "deploy": "edgekit.boards.deploying",
    "doctor": "edgekit.host_check",
    "estimate": "edgekit.pipeline.estimates",
    "explain": "edgekit.recipe.explain",
    "gate": "edgekit.workflow.gate",
    "judge": "edgekit.workflow.run",
    "keygen": "edgekit.bundle.signing",
    "list_baselines": "edgekit.store.baselines",
    "lint": "edgekit.linting.model_rules",
    "list_targets": "edgekit.boards.adding",
    "load_recipe": "edgekit.recipe.load",
    "load_target": "edgekit.devices.target_files",
    "log_mlflow": "edgekit.reporting.mlflow_log",
    "new_recipe": "edgekit.recipe.scaffold",
    "open_baseline": "edgekit.store.baselines",
    "open_bundle": "edgekit.bundle.manifest",
    "open_model": "edgekit.bundle.foreign_model",
    "open_store": "edgekit.store",
    "recipe_json_schema": "edgekit.recipe.json_schema",
    "remove_baseline": "edgekit.store.baselines",
    "report": "edgekit.reporting.page",
    "rollback": "edgekit.boards.deploying",
    "run": "edgekit.workflow.run",
    "sensitivity": "edgekit.pipeline.sensitivity",
    "selftest": "edgekit.workflow.selftest",
    "set_baseline": "edgekit.store.baselines",
    "setup": "edgekit.boards.deploying",
    "sign": "edgekit.bundle.signing",
    "sweep": "edgekit.workflow.sweep",
    "target_json_schema": "edgekit.devices.target",
    "trust": "edgekit.boards.adding",
    "verify": "edgekit.boards.deploying",
    "verify_signature": "edgekit.bundle.signing",
    "write_csv": "edgekit.reporting.export",
    "write_jsonl": "edgekit.reporting.export",
    "write_parquet": "edgekit.reporting.export",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
