from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from edgekit.cli import run
from edgekit.data import FOLDERS, SOURCES
from edgekit.models import MODELS
from edgekit.recipe.load import load_recipe
from edgekit.recipe.scaffold import data_choices, default_data, new_recipe, unknown_data
from edgekit.recipe.starters import STARTERS


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_source_can_be_chosen_or_says_what_it_needs() -> None:
    built_in = {
        *("diabetes", "digits", "fashion_mnist", "japanese_vowels", "lfw_faces"),
        *("sample_photos", "spoken_words"),
    }
    assert set(data_choices()) == built_in
    assert FOLDERS in SOURCES
    for name in set(SOURCES) - set(data_choices()):
        assert "needs arguments: begin with other data" in unknown_data(name)


def test_a_source_of_files_is_refused_with_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipe", "new", "mine.yaml", "--from", "small_cnn", "--data", "yolo"]) == 2
    assert "data.args" in capsys.readouterr().err


@pytest.mark.parametrize("method", STARTERS)
@pytest.mark.parametrize("model", [*MODELS, "mobilenet_v2", "my_nets:build"])
def test_whatever_is_chosen_is_a_recipe(model: str, method: str) -> None:
    data = default_data(model)
    text = new_recipe("mine.yaml", model=model, data=data, method=method)
    Path("mine.yaml").write_text(text)
    recipe = load_recipe("mine.yaml").recipe
    assert (recipe.name, recipe.model.name, recipe.data.name) == ("mine", model, data)
    assert text.count("#") > 8, "it is commented"
    assert "{}" not in text.replace("fp32: {}", "")


def test_a_folder_with_a_sign_beyond_16_bits() -> None:
    text = new_recipe("mine.yaml", data="photos 📶/", weights="b 📶/w.pt", shape=(3, 32, 32))
    written = YAML(typ="safe").load(text)
    assert written["data"]["args"]["path"] == "photos 📶/"
    assert written["model"]["weights"] == "b 📶/w.pt"


def test_from_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(
            [
                "recipe",
                "new",
                "recipes/mine.yaml",
                "--from",
                "resnet8",
                "--data",
                "fashion_mnist",
                "--method",
                "pruned-qat",
            ]
        )
        == 0
    )
    recipe = load_recipe("recipes/mine.yaml").recipe
    assert (recipe.model.name, recipe.data.name, recipe.input.shape, len(recipe.stages)) == (
        "resnet8",
        "fashion_mnist",
        (1, 32, 32),
        4,
    )
    assert "edgekit run recipes/mine.yaml" in capsys.readouterr().out
    assert json.loads(Path("recipes/recipe.schema.json").read_text())["title"] == "edgekit recipe"
    assert run(["recipe", "new", "recipes/mine.yaml"]) == 2, "it is there already"
    assert run(["recipe", "new", "recipes/mine.yaml", "--replace", "--json"]) == 0
    assert load_recipe("recipes/mine.yaml").recipe.model.name == "small_cnn"


def test_from_a_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    Path("nets").mkdir()
    assert run(["recipe", "new", "a.yaml", "--from", "nets/net.safetensors"]) == 2
    assert "--model" in capsys.readouterr().err
    assert (
        run(
            [
                "recipe",
                "new",
                "a.yaml",
                "--from",
                "nets/net.safetensors",
                "--model",
                "resnet8",
                "--data",
                "photos/",
                "--shape",
                "3,48,48",
            ]
        )
        == 0
    )
    recipe = load_recipe("a.yaml").recipe
    assert (recipe.model.weights, recipe.stages[0].stage, recipe.data.args) == (
        "nets/net.safetensors",
        "import",
        {"path": "photos/"},
    )


def test_classes_of_a_folder_and_of_torchvisions_models() -> None:
    for name in ("cat", "dog", "eel"):
        Path("photos", name).mkdir(parents=True)
        Path("photos", name, "1.jpg").touch()
    assert run(["recipe", "new", "a.yaml", "--from", "mobilenet_v2", "--data", "photos/"]) == 0
    assert load_recipe("a.yaml").recipe.model.args == {"num_classes": 3}
    assert (
        run(
            ["recipe", "new", "b.yaml", "--from", "torchvision.models:resnet18", "--data", "digits"]
        )
        == 0
    )
    assert load_recipe("b.yaml").recipe.model.args == {"num_classes": 10}
    assert run(["recipe", "new", "c.yaml", "--from", "my_nets:build", "--data", "photos/"]) == 0
    assert "# args: {num_classes: 10}" in Path("c.yaml").read_text()


def test_a_finished_model_needs_no_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    Path("net.tflite").write_bytes(b"")
    assert run(["recipe", "new", "a.yaml", "--from", "net.tflite"]) == 0
    assert "edgekit bench net.tflite --target local" in capsys.readouterr().out
    assert not Path("a.yaml").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--method", "qta"], "did you mean 'qat'?"),
        (["--data", "digit"], "did you mean 'digits'?"),
        (["--from", "lstm", "--data", "digits"], "do not fit"),
        (["--shape", "a,b"], "numbers with commas"),
    ],
)
def test_mistakes(options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipe", "new", "a.yaml", *options]) == 2
    assert says in capsys.readouterr().err
    assert not Path("a.yaml").exists()


def test_it_asks_on_a_terminal_and_again_for_what_cannot_be() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-m", "edgekit.cli", "recipe", "new", "a.yaml"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    )
    os.write(ours, b"ds_cnn\ndigit\n\nfp61\nfp16\n")
    assert process.wait(60) == 0
    output = os.read(ours, 10000).decode()
    assert "did you mean 'digits'?" in output
    assert "did you mean 'fp16'?" in output
    recipe = YAML(typ="safe").load(Path("a.yaml"))
    assert (recipe["model"]["name"], recipe["data"]["name"], recipe["stages"][-1]["method"]) == (
        "ds_cnn",
        "digits",
        "fp16",
    )


@pytest.mark.parametrize("method", STARTERS)
def test_no_limit_stands_in_a_new_recipe_that_a_small_net_misses(method: str) -> None:
    """What a net shrinks to is not known before it is built: limits are written as comments."""
    text = new_recipe("mine.yaml", method=method)
    Path("mine.yaml").write_text(text)
    budget = load_recipe("mine.yaml").recipe.budget
    assert {
        name: limits.model_dump(exclude_defaults=True) for name, limits in budget.variants.items()
    } == {"fp32": {}}
    assert ("# " in text.partition("fp32: {}")[2]) or method == "none"


@pytest.mark.parametrize(
    ("shape", "samples"), [((1, 8, 8), 1000), ((3, 224, 224), 33), ((3, 2000, 2000), 20)]
)
def test_a_new_recipe_has_an_evaluation_set(shape: tuple[int, ...], samples: int) -> None:
    Path("mine.yaml").write_text(new_recipe("mine.yaml", model="mobilenet_v2", shape=shape))
    assert load_recipe("mine.yaml").recipe.export.evaluation_set == samples


def test_a_folder_that_cannot_be_used_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train/cat/1.jpg", "dev1/cat/1.jpg"):
        Path("photos", name).parent.mkdir(parents=True)
        Path("photos", name).touch()
    assert run(["recipe", "new", "a.yaml", "--from", "mobilenet_v2", "--data", "photos/"]) == 3
    assert "no folder of samples for testing" in " ".join(capsys.readouterr().err.split())
    assert not Path("a.yaml").exists()


def test_what_is_given_with_from_is_used_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(["recipe", "new", "a.yaml", "--from", "lightning.ckpt", "--model", "nets:build"]) == 0
    )
    text = Path("a.yaml").read_text()
    assert 'weights: "lightning.ckpt"' in text
    assert "stage: import" in text
    assert run(["recipe", "new", "b.yaml", "--from", "lightning.ckpt"]) == 2
    for source in ("net.onnx", "weights/net", "net.keras"):
        command = ["recipe", "new", "b.yaml", "--from", source, "--model", "nets:build"]
        assert run(command) == 2
        assert "neither a model's name nor a checkpoint" in capsys.readouterr().err
    assert not Path("b.yaml").exists()
