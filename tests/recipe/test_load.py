from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.compress.quantize.qat import QuantizeQat
from edgekit.compress.training.stages import Train
from edgekit.errors import UsageError
from edgekit.recipe.load import DEFAULT, LoadedRecipe, load_recipe, recipe_sha256, resolved
from edgekit.recipe.schema import Recipe
from edgekit.yaml_documents.problems import Origin
from tests.support.recipes import BASE, HEAD, SHIPPED, write
from tests.support.yaml_faults import FAULTS, assert_reported, places


def refused(path: Path, *overrides: str) -> UsageError:
    with pytest.raises(UsageError) as raised:
        load_recipe(path, overrides=overrides)
    return raised.value


def refused_places(directory: Path, text: str, *overrides: str) -> dict[str, str]:
    return places(refused(write(directory, text), *overrides))


def origin(loaded: LoadedRecipe, *path: str | int) -> str:
    return str(loaded.origins[path]).replace(str(loaded.path.parent) + "/", "")


def test_a_recipe_and_the_origin_of_every_value(tmp_path: Path) -> None:
    loaded = load_recipe(write(tmp_path, BASE))
    train, quantize = loaded.recipe.stages
    assert isinstance(train, Train)
    assert isinstance(quantize, QuantizeQat)
    assert (train.epochs, train.lr, quantize.train.epochs, quantize.train.lr) == (2, 1e-3, 1, 1e-4)
    assert loaded.path == tmp_path / "recipe.yaml"
    assert origin(loaded, "stages", 0, "epochs") == "recipe.yaml:8:13"
    assert origin(loaded, "inputs", "input", "shape", 1) == "recipe.yaml:4:20"
    assert loaded.origins["stages", 0, "lr"] == loaded.origins["bench", "runs"] == DEFAULT
    data = resolved(loaded.recipe)
    assert loaded.origins.keys() >= {(key,) for key in data} | {
        ("stages", 1, "train", key) for key in data["stages"][1]["train"]
    }


def test_a_resolved_recipe_is_the_same_recipe(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, BASE)).recipe
    assert Recipe.model_validate_json(json.dumps(resolved(recipe))) == recipe
    assert Recipe.model_validate(resolved(recipe)) == recipe


def test_defaults_have_the_declared_type(tmp_path: Path) -> None:
    quantize = load_recipe(write(tmp_path, BASE.replace("{epochs: 1}", "{}"))).recipe.stages[1]
    assert isinstance(quantize, QuantizeQat)
    assert isinstance(quantize.train.epochs, float)


def test_the_hash_is_of_the_meaning(tmp_path: Path) -> None:
    def sha(text: str, *overrides: str) -> str:
        return recipe_sha256(load_recipe(write(tmp_path, text), overrides=overrides).recipe)

    same = BASE.replace("epochs: 2\n", "epochs: 2.0 # twice\n    lr: 1e-3\n").replace(
        "{name: resnet8}", "\n  name: 'resnet8'\n  args: {}"
    )
    assert sha(BASE) == sha(same) == sha(BASE, "bench.runs=10")
    assert sha(BASE) != sha(BASE, "seed=1")
    assert sha(BASE.replace("{epochs: 1}", "{}")) == sha(BASE), (
        "a default and the same value written are one meaning"
    )


# ---- faults 1 to 9 ------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "line", "column", "text"), FAULTS)
def test_no_yaml_for_a_recipe(
    tmp_path: Path, content: bytes, line: int | None, column: int | None, text: str
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    assert_reported(refused(path), path, line, column, text)


def test_unknown_keys_come_with_a_suggestion(tmp_path: Path) -> None:
    text = (
        BASE.replace("epochs: 2", "epoch: 2")
        .replace("{epochs: 1}", "{epochs: 1, zzz: 1}")
        .replace("model:", "modle:")
        + "bech: {run: 1}\n"
    )
    messages = refused_places(tmp_path, text)
    assert messages == {
        "1:1": "missing key 'model'",
        "3:1": "unknown key 'modle' (did you mean 'model'?)",
        "8:5": "unknown key 'epoch' (did you mean 'epochs'?)",
        "13:24": "unknown key 'zzz'",
        "14:1": "unknown key 'bech' (did you mean 'bench'?)",
    }
    problems = refused(tmp_path / "recipe.yaml").details["problems"]
    [zzz] = [problem for problem in problems if "zzz" in problem["message"]]
    assert zzz["hint"].startswith("allowed here: epochs, batch_size, optimizer")


def test_python_names_of_keys_are_not_keys(tmp_path: Path) -> None:
    assert refused_places(
        tmp_path, HEAD + "stages: [{stage: train, export: a}, {stage: train, from_: a}]"
    ) == {"6:52": "unknown key 'from_' (did you mean 'from'?)"}


WRONG_TYPES = """\
deterministic: yes
seed: true
description: 5
stages:
  - {stage: train, epochs: 1:30, lr: '1e-3', batch_size: 1e3, export: a}
  - {stage: train, epochs: two, gradient_clip_norm: [1], augment: [5, {MixUp: 0.2}], distill: yes}
  - 7
  - {stage: trian}
  - {epochs: 1}
  - {stage: prune}
  - {stage: prune, method: unstructred, sparsity: 0.5}
  - {stage: prune, method: structured, ratio: 0.5, schedule: {kind: polynomial}}
  - {stage: train, optimizer: adamm}
export: {formats: [tflite, litert], backend: }
budget: {variants: {a: {size_max_bytes: 2 MB, latency_p50_max_ms: 5ms}}}
bench:
"""


def test_wrong_types(tmp_path: Path) -> None:
    assert refused_places(tmp_path, HEAD + WRONG_TYPES) == {
        "6:16": "deterministic: expected true or false, got the text 'yes'",
        "7:7": "seed: expected a whole number, got true",
        "8:14": "description: expected text, got 5",
        "10:28": "epochs: expected a number of epochs, got the text '1:30'",
        "10:38": "lr: expected a number, got the text '1e-3'",
        "10:58": "batch_size: expected a whole number, got 1000.0",
        "11:28": "epochs: expected a number of epochs, got the text 'two'",
        "11:53": "gradient_clip_norm: expected a number, got a list",
        "11:68": "augment[0]: expected text or a mapping (key: value), got 5",
        "11:79": "MixUp: expected a mapping (key: value), got 0.2",
        "11:95": "distill: expected a mapping (key: value), got the text 'yes'",
        "12:5": "stages[2]: expected a mapping (key: value), got 7",
        "13:13": (
            "stage: expected one of train, finetune, import, prune, quantize, got the text 'trian'"
            " (did you mean 'train'?)"
        ),
        "14:5": "missing key 'stage' in stages[4]",
        "15:5": "missing key 'method' in stages[5]",
        "16:28": (
            "method: expected one of unstructured, n_m, structured, got the text 'unstructred' (did"
            " you mean 'unstructured'?)"
        ),
        "17:69": "kind: expected one of one_shot, iterative, got the text 'polynomial'",
        "18:31": (
            "optimizer: expected one of sgd, adam, adamw, rmsprop, got the text 'adamm' (did you"
            " mean 'adam'?)"
        ),
        "19:20": (
            "formats[0]: expected one of executorch, litert, got the text 'tflite' (did you mean"
            " 'litert'?)"
        ),
        "19:37": "backend: expected one of xnnpack, portable, got nothing",
        "20:41": "size_max_bytes: expected a whole number of bytes, got the text '2 MB'",
        "20:67": "latency_p50_max_ms: expected a number of milliseconds, got the text '5ms'",
        "21:1": "bench: expected a mapping (key: value), got nothing",
    }


def test_hints_say_how_to_write_it(tmp_path: Path) -> None:
    def hint(*overrides: str) -> str:
        return refused(write(tmp_path, BASE), *overrides).hint

    assert hint("stages.fp32.lr='1e-3'") == "write it without quotes"
    assert hint("stages.fp32.batch_size=1e3") == "write 1000"
    assert hint("deterministic=yes") == "YAML 1.2 knows only `true` and `false`"
    assert hint("description=5") == "put it in quotes"
    assert (
        hint('stages.0={"stage": "prune"}', "stages.0.export=a")
        == "add `method: ` and one of unstructured, n_m, structured"
    )
    assert hint("model={}") == 'for instance `name: "resnet8"`'


RANGES = """\
stages:
  - {stage: train, epochs: -1, lr: 0, momentum: 1, batch_size: 0, warmup_epochs: .nan, export: a}
  - {stage: prune, method: unstructured, sparsity: 1}
  - {stage: prune, method: unstructured, sparsity: 50}
  - {stage: prune, method: structured, ratio: .inf, per_layer: {"": 0.1, "a.*": 2}}
  - {stage: prune, method: structured, macs: 1.5}
  - {stage: prune, method: n_m, m: 1}
  - {stage: train, name: "a b"}
seed: 4294967296
input: {shape: [3, 0, 5]}
verify: {cosine_min: 2, samples: -5}
budget: {variants: {a: {top1_min_percent: 101, size_max_bytes: 0}}}
"""


def test_only_float_inputs_are_normalised(tmp_path: Path) -> None:
    text = BASE.replace("edgekit: 1", "edgekit: 2").replace(
        "input: {shape: [3, 32, 32]}", "inputs: {ids: {shape: [8], dtype: int64, mean: [0]}}"
    )
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"mean: only float32 inputs are normalised, not int64"):
        load_recipe(tmp_path / "recipe.yaml")


def test_ranges(tmp_path: Path) -> None:
    text = HEAD.replace("input: {shape: [3, 32, 32]}\n", "") + RANGES
    assert refused_places(tmp_path, text) == {
        "6:28": "epochs must be more than 0, got -1",
        "6:36": "lr must be more than 0, got 0",
        "6:49": "momentum must be less than 1, got 1",
        "6:64": "batch_size must be at least 1, got 0",
        "6:82": "expected a finite number, got NaN or infinity",
        "7:52": "sparsity must be less than 1, got 1",
        "8:52": "sparsity must be less than 1, got 50",
        "9:47": "expected a finite number, got NaN or infinity",
        "9:65": "'' must not be empty",
        "9:81": "a.* must be less than 1, got 2",
        "10:46": "macs must be less than 1, got 1.5",
        "11:36": "m must be at least 2, got 1",
        "12:26": (
            "name: expected up to 64 letters, digits, '.', '_' or '-', the first a letter or a"
            " digit"
        ),
        "13:7": "seed must be less than 4294967296, got 4294967296",
        "14:20": "shape[1] must be at least 1, got 0",
        "15:22": "cosine_min must be at most 1, got 2",
        "15:34": "samples must be at least 1, got -5",
        "16:43": "top1_min_percent must be at most 100, got 101",
        "16:64": "size_max_bytes must be at least 1, got 0",
    }
    assert (
        "8:52: sparsity must be less than 1, got 50 (it is a fraction: write 0.5 for 50 %)"
        in refused(tmp_path / "recipe.yaml").message
    )


@pytest.mark.parametrize(
    ("stage", "column", "text"),
    [
        (
            "{stage: prune, method: n_m, n: 4, export: a}",
            36,
            "n: must be less than m 4, got 4: else nothing is pruned",
        ),
        (
            "{stage: prune, method: structured, export: a}",
            5,
            "stages[0]: structured pruning needs a goal: `ratio` or `macs`",
        ),
        (
            "{stage: prune, method: structured, ratio: 0.1, macs: 0.5, export: a}",
            58,
            "macs: give `ratio` or `macs`, not both",
        ),
        (
            (
                "{stage: prune, method: unstructured, sparsity: 0.2, schedule: {kind: polynomial,"
                " initial_sparsity: 0.3, train: {}}, export: a}"
            ),
            52,
            "sparsity: the final sparsity must be at least the initial_sparsity 0.3, got 0.2",
        ),
        (
            (
                "{stage: prune, method: unstructured, sparsity: 0.2, schedule: {kind: polynomial,"
                " begin_step: 5, end_step: 5, train: {}}, export: a}"
            ),
            111,
            "end_step: must come after begin_step 5, got 5",
        ),
        (
            "{stage: train, epochs: 1, warmup_epochs: 2, export: a}",
            46,
            "warmup_epochs: the warm-up is longer than the training of 1 epochs",
        ),
    ],
)
def test_rules_within_a_stage(tmp_path: Path, stage: str, column: int, text: str) -> None:
    path = write(tmp_path, HEAD + f"stages:\n  - {stage}\n")
    assert_reported(refused(path), path, 7, column, text)


@pytest.mark.parametrize(
    ("old", "new", "place", "text"),
    [
        (
            "[3, 32, 32]",
            "[3, 32, 32], mean: [0.5]",
            "4:35",
            "mean: expected one value per channel: 3, got 1",
        ),
        (
            "[3, 32, 32]",
            "[29, 12], std: [1, 1, 1]",
            "4:31",
            "std: expected one value per channel: 12, got 3",
        ),
        (
            "stages:",
            "export: {formats: [litert, litert]}\nstages:",
            "6:19",
            "formats: a format is named twice",
        ),
        (
            "stages:",
            "bench: {min_seconds: 3, max_seconds: 2}\nstages:",
            "6:38",
            "max_seconds: must be at least min_seconds 3, got 2",
        ),
        ("stages:\n", "stages: []\nx:\n", "6:9", "stages: expected at least 1 items, got 0"),
    ],
)
def test_rules_within_a_section(tmp_path: Path, old: str, new: str, place: str, text: str) -> None:
    line, column = map(int, place.split(":"))
    path = write(tmp_path, BASE.replace(old, new, 1))
    assert_reported(refused(path), path, line, column, text)


def test_what_is_not_a_readable_file(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.yaml").message
    assert "it is a directory" in refused(tmp_path).message


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ("package:x/../../y.pt", "a path that leaves its package"),
        ("$HOME/x", "the variable $HOME, which is never expanded"),
        ("%USERPROFILE%/x", "the variable %USERPROFILE%, which is never expanded"),
        ("a\\nb", "a newline or another control character"),
        ("$(touch x)", "shell syntax"),
        ("${HOME}/x", "shell syntax"),
        ("`id`", "shell syntax"),
        ("~root/x", "the home of another user"),
        ("", "must not be empty"),
        ("package:x", "expected `package:NAME/FILE`"),
        ("package:/x", "expected `package:NAME/FILE`"),
    ],
)
def test_paths_that_are_refused(tmp_path: Path, weights: str, text: str) -> None:
    path = write(
        tmp_path, BASE.replace("{name: resnet8}", f'{{name: resnet8, weights: "{weights}"}}')
    )
    assert_reported(refused(path), path, 3, 33, text)
    if not weights.startswith("package:") and weights:
        path = write(
            tmp_path,
            BASE.replace(
                "{name: fashion_mnist}", f'{{name: image_folder, args: {{path: "{weights}"}}}}'
            ),
        )
        assert_reported(refused(path), path, 5, 41, text)


@pytest.mark.parametrize(
    "weights",
    [
        "net.pt",
        "a/b/../net.pt",
        "/opt/../net.pt",
        "package:a_b/c/d.pth",
        "./x $1.pt",
        "a..b",
        "../net.pt",
        "a/../../net.pt",
        "~/net.pt",
    ],
)
def test_paths_that_are_taken(tmp_path: Path, weights: str) -> None:
    loaded = load_recipe(
        write(tmp_path, BASE.replace("{name: resnet8}", f'{{name: resnet8, weights: "{weights}"}}'))
    )
    assert loaded.recipe.model.weights == weights


# ---- extends ------------------------------------------------------------------------------------


def test_extends_merges_mappings_and_replaces_the_rest(tmp_path: Path) -> None:
    write(
        tmp_path,
        BASE.replace("{name: resnet8}", "{name: resnet8, args: {a: 1, b: [1, 2]}}"),
        "bases/base.yaml",
    )
    write(tmp_path, "extends: bases/base.yaml\nseed: 1\nname: middle\n", "middle.yaml")
    child = write(
        tmp_path,
        "extends: middle.yaml\nname: child\nmodel:\n  args: {b: [3], c: {d: 4}}\nstages: [{stage:"
        " import, export: raw}]\n",
    )
    loaded = load_recipe(child)
    recipe = loaded.recipe
    assert (recipe.name, recipe.seed, recipe.model.args) == (
        "child",
        1,
        {"a": 1, "b": [3], "c": {"d": 4}},
    )
    assert len(recipe.stages) == 1
    assert origin(loaded, "name") == "recipe.yaml:2:7"
    assert origin(loaded, "seed") == "middle.yaml:2:7"
    assert origin(loaded, "model", "name") == "bases/base.yaml:3:15"
    assert origin(loaded, "model", "args", "a") == "bases/base.yaml:3:34"
    assert origin(loaded, "model", "args", "b") == "recipe.yaml:4:13"
    assert origin(loaded, "stages", 0, "stage") == "recipe.yaml:5:18"


def test_problems_are_reported_in_the_file_that_has_them(tmp_path: Path) -> None:
    base = write(tmp_path, BASE.replace("epochs: 2", "epochs: two"), "base.yaml")
    path = write(tmp_path, "extends: base.yaml\nseed: -1\nseed: 2\n")
    error = refused(path)
    assert_reported(error, base, 8, 13, "epochs: expected a number of epochs, got the text 'two'")
    assert_reported(error, path, 2, 7, "seed must be at least 0")
    assert_reported(error, path, 3, 1, "duplicate key 'seed'")


def test_places_of_what_was_replaced_are_forgotten(tmp_path: Path) -> None:
    write(tmp_path, BASE, "base.yaml")
    path = write(
        tmp_path,
        "extends: base.yaml\nstages:\n  - {stage: train, export: a}\n  - {stage: quantize}\n",
    )
    assert_reported(refused(path), path, 4, 5, "missing key 'method' in stages[1]")
    write(
        tmp_path, HEAD + "stages:\n  - {stage: prune, method: n_m, n: 1, export: a}\n", "base.yaml"
    )
    path = write(
        tmp_path, "extends: base.yaml\nstages:\n  - {stage: prune, method: n_m, m: 2, export: a}\n"
    )
    assert_reported(refused(path), path, 3, 5, "n: must be less than m 2, got 2")


@pytest.mark.parametrize(
    ("extends", "column", "text"),
    [
        ("none.yaml", 10, "cannot read"),
        ("5", 10, "extends: expected the file name of another recipe, got 5"),
        ("[a, b]", 10, "extends: expected the file name of another recipe, got a list"),
        ("", 1, "extends: expected the file name of another recipe, got nothing"),
        ("$HOME/x.yaml", 10, "extends: a path with the variable $HOME, which is never expanded"),
        ("recipe.yaml", 10, "extends: a circle: recipe.yaml → recipe.yaml"),
        (".", 10, "it is a directory"),
    ],
)
def test_what_cannot_be_extended(tmp_path: Path, extends: str, column: int, text: str) -> None:
    path = write(tmp_path, f"seed: 1\nextends: {extends}\n")
    assert_reported(refused(path), path, 2, column, text)


def test_a_base_that_links_to_itself(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").symlink_to("base.yaml")
    path = write(tmp_path, "extends: base.yaml\n")
    assert_reported(refused(path), path, 1, 10, "Too many levels of symbolic links")


def test_circles_and_long_chains_of_extends(tmp_path: Path) -> None:
    write(tmp_path, "extends: b.yaml\n", "a.yaml")
    write(tmp_path, "extends: ./c.yaml\n", "b.yaml")
    last = write(tmp_path, "extends: a.yaml\n", "c.yaml")
    assert_reported(
        refused(tmp_path / "a.yaml"), last, 1, 10, "a circle: a.yaml → b.yaml → c.yaml → a.yaml"
    )
    for index in range(20):
        write(tmp_path, f"extends: n{index + 1}.yaml\n", f"n{index}.yaml")
    assert "more than 8 recipes extend each other" in refused(tmp_path / "n0.yaml").message


# ---- --set --------------------------------------------------------------------------------------


def test_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, BASE)
    overrides = [
        "seed=7",
        "stages.0.epochs=0.5",
        "stages.int8.train.lr=1e-5",
        "stages.fp32.augment=[RandomHorizontalFlip, {MixUp: {alpha: 0.2}}]",
        "input.shape.0=1",
        'budget.variants."int8".top1_min_percent=90',
        "model.args={}",
        "model.args.width=8",
        "description=a = b",
        "bench.runs=3",
        "bench.runs=4",
    ]
    loaded = load_recipe(path, overrides=overrides)
    recipe, data = loaded.recipe, resolved(loaded.recipe)
    assert (recipe.seed, recipe.input.shape, recipe.model.args, recipe.bench.runs) == (
        7,
        (1, 32, 32),
        {"width": 8},
        4,
    )
    assert data["stages"][0]["epochs"] == 0.5
    assert data["stages"][0]["augment"] == ["RandomHorizontalFlip", {"MixUp": {"alpha": 0.2}}]
    assert data["stages"][1]["train"]["lr"] == 1e-5
    assert data["budget"]["variants"]["int8"]["metrics"]["top1"]["min"] == 90
    assert data["description"] == "a = b"
    assert loaded.origins["seed",] == Origin("--set seed=7")
    assert str(loaded.origins["bench", "runs"]) == "--set bench.runs=4"
    assert str(loaded.origins["stages", 0, "augment", 1, "MixUp", "alpha"]).startswith(
        "--set stages.fp32.augment="
    )
    assert origin(loaded, "stages", 1, "train", "epochs") == "recipe.yaml:13:21"
    assert load_recipe(path).recipe.seed == 0, "the file is as it was"


def test_a_stage_can_be_named_as_the_trace_names_it(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        HEAD + "stages: [{stage: train}, {stage: train}, {stage: quantize, method: ptq, export:"
        " int8}]\n",
    )
    assert (
        resolved(load_recipe(path, overrides=["stages.train-2.lr=1"]).recipe)["stages"][1]["lr"]
        == 1
    )


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("seed", "expected KEY=VALUE"),
        ("=1", "expected KEY=VALUE"),
        ("a..b=1", "expected KEY=VALUE"),
        ('a."b=1', "expected KEY=VALUE"),
        ("stages.fp23.epochs=1", "no stage is called 'fp23' (did you mean 'fp32'?)"),
        ("stages.2.epochs=1", "`stages` has 2 items, the first has index 0"),
        ("stages.-1.epochs=1", "no stage is called '-1'"),
        ("input.shape.x=1", "`input.shape` is a list, and 'x' is not an index"),
        ("name.x=1", "`name` is the text 'net', and has no key 'x'"),
        (".".join("a" * 3000) + "=1", "more than 64 keys deep"),
        ("extends=x.yaml", "`extends` can only be written in a recipe"),
        ("seed=[1", "not YAML"),
        ("seed=!!int 1", "tags (`!…`) are not allowed"),
        ("seed=.nan", "expected a finite number"),
        ("seed=1.5", "seed: expected a whole number, got 1.5"),
        ("seeds=1", "unknown key 'seeds' (did you mean 'seed'?)"),
        ("bnech.runs=1", "unknown key 'bnech' (did you mean 'bench'?)"),
        ("stages.int8.train.epoch=1", "unknown key 'epoch' (did you mean 'epochs'?)"),
        ("stages.0.stage=prune", "missing key 'method' in stages[0]"),
    ],
)
def test_overrides_that_are_refused(tmp_path: Path, override: str, text: str) -> None:
    path = write(tmp_path, BASE)
    file = path if override == "stages.0.stage=prune" else f"--set {override}"
    problems = refused(path, override).details["problems"]
    assert [p for p in problems if p["file"] == str(file) and text in p["message"]], problems


def test_deep_overrides_are_taken(tmp_path: Path) -> None:
    override = "model.args." + ".".join("a" * 60) + "=" + "[" * 60 + "]" * 60
    assert load_recipe(write(tmp_path, BASE), overrides=[override]).recipe.model.args


def test_problems_of_file_and_overrides_together(tmp_path: Path) -> None:
    messages = refused_places(tmp_path, BASE + "seed: x\n", "a", "bench.runs=0", "stages.0.lr=0")
    assert list(messages) == ["14:7", "--set a", "--set bench.runs=0", "--set stages.0.lr=0"]


def test_control_characters_of_an_override_are_escaped(tmp_path: Path) -> None:
    error = refused(write(tmp_path, BASE), "seed=\x1b[31m")
    assert "\x1b" not in error.message


# ---- never anything else ------------------------------------------------------------------------

KEYS = st.sampled_from(
    [
        *Recipe.model_fields,
        *Train.model_fields,
        "extends",
        "from",
        "method",
        "kind",
        "train",
        "teacher",
        "variants",
        "mean",
        "shape",
        "per_layer",
    ]
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), KEYS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_loading_raises_only_usage_errors(tmp_path: Path, data: dict[str, object]) -> None:
    path = write(tmp_path, json.dumps(data))
    with pytest.raises(UsageError) as raised:
        load_recipe(path)
    assert raised.value.details["problems"]


STAGE = st.fixed_dictionaries(
    {"stage": st.sampled_from(["train", "finetune", "import", "prune", "quantize"])},
    optional={
        "method": st.sampled_from(["unstructured", "n_m", "structured", "ptq", "qat"]),
        "name": st.sampled_from("abc"),
        "from": st.sampled_from("abcde"),
        "export": st.sampled_from("abcde"),
        "sparsity": VALUES,
        "ratio": st.just(0.5),
        "schedule": VALUES,
        "train": VALUES,
        "distill": st.fixed_dictionaries({"teacher": st.sampled_from("abcde")}),
    },
)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(
    st.lists(STAGE, max_size=6),
    st.lists(
        st.sampled_from(["stages.a.lr=1", "stages.0=x", "stages=", "budget.baseline=a", "a.0.b=1"]),
        max_size=2,
    ),
)
def test_stages_of_any_kind_load_or_are_refused(
    tmp_path: Path, stages: list[object], overrides: list[str]
) -> None:
    path = write(tmp_path, HEAD + f"stages: {json.dumps(stages)}\n")
    try:
        loaded = load_recipe(path, overrides=overrides)
    except UsageError as error:
        problems = error.details["problems"]
    else:
        assert Recipe.model_validate_json(json.dumps(resolved(loaded.recipe))) == loaded.recipe
        return
    assert problems


def test_thousands_of_stages_end_soon(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "stages:\n" + "- {stage: train, name: a, from: b}\n" * 2000)
    assert_reported(refused(path), path, 7, 1, "stages: expected at most 100 items, got")


def test_torch_is_not_imported() -> None:
    program = (
        "import sys, edgekit.recipe.load, edgekit.recipe.explain, edgekit.recipe.json_schema,"
        " edgekit.devices.target; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


# ---- what is shipped ----------------------------------------------------------------------------


def test_recipes_are_shipped() -> None:
    assert len(SHIPPED) >= 2


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_load(path: Path) -> None:
    load_recipe(path)
    schema, command = path.read_text().splitlines()[:2]
    assert schema == "# yaml-language-server: $schema=recipe.schema.json"
    assert command.startswith("# edgekit "), "a recipe opens with the command that runs it"
    assert path.name in command
