"""Signed bundles: what a target that demands a signature takes and refuses, and that OpenSSL
agrees."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import edgekit
from edgekit.bundle.directory import MANIFEST, SIGNATURE, Bundle, open_bundle, write_manifest
from edgekit.cli import run
from edgekit.devices.target import LocalTarget
from edgekit.errors import ResultError, UsageError
from tests.support.measured import make_bundle
from tests.support.tiers import cannot_run


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def strict(tmp_path: Path) -> LocalTarget:
    """A target that takes only what `release` signed."""
    edgekit.keygen(tmp_path / "release")
    file = tmp_path / "strict.yaml"
    file.write_text(
        "edgekit: 1\nname: strict\nkind: local\nworkdir: "
        + str(tmp_path / "device")
        + "\nrequire_signature: release.pub\n"
    )
    target = edgekit.load_target(file)
    assert isinstance(target, LocalTarget)
    return target


def test_a_signed_bundle_is_deployed_with_its_signature(
    bundle: Bundle, strict: LocalTarget, tmp_path: Path
) -> None:
    key = tmp_path / "release"
    assert key.stat().st_mode & 0o777 == 0o600
    assert run(["bundle", "sign", str(bundle.path), "--key", str(key)]) == 0
    assert run(["deploy", str(bundle.path), "--target", str(tmp_path / "strict.yaml")]) == 0
    current = tmp_path / "device" / "current"
    assert (current / SIGNATURE).read_bytes() == (bundle.path / SIGNATURE).read_bytes()
    edgekit.verify_signature(
        Bundle(path=current, manifest=bundle.manifest), tmp_path / "release.pub"
    )
    assert edgekit.verify(strict).files == len(bundle.files()) + 2
    assert open_bundle(bundle.path) == bundle


def test_openssl_agrees(bundle: Bundle, tmp_path: Path) -> None:
    openssl = shutil.which("openssl") or cannot_run("needs openssl: apt-get install openssl")
    edgekit.keygen(tmp_path / "key")
    edgekit.sign(bundle.path, tmp_path / "key")
    command = [
        openssl,
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        str(tmp_path / "key.pub"),
        "-rawin",
        "-in",
        str(bundle.path / MANIFEST),
    ]
    assert (
        subprocess.run(
            [*command, "-sigfile", str(bundle.path / SIGNATURE)], capture_output=True
        ).returncode
        == 0
    )
    made = [openssl, "genpkey", "-algorithm", "ed25519", "-out", str(tmp_path / "other")]
    subprocess.run(made, check=True, capture_output=True)
    edgekit.sign(bundle.path, tmp_path / "other")
    assert (
        subprocess.run(
            [*command, "-sigfile", str(bundle.path / SIGNATURE)], capture_output=True
        ).returncode
        != 0
    )


def refused(bundle: Bundle, strict: LocalTarget, message: str) -> None:
    """By deployment and by measuring, with nothing sent."""
    for attempt in (edgekit.deploy, edgekit.bench):
        with pytest.raises(ResultError, match=message) as raised:
            attempt(bundle, strict)
        assert "strict" in raised.value.message
        assert raised.value.hint
    assert not Path(strict.workdir).exists()


def test_no_signature(
    bundle: Bundle, strict: LocalTarget, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(bundle, strict, "is not signed")
    assert run(["deploy", str(bundle.path), "-t", str(tmp_path / "strict.yaml")]) == 9
    assert f"edgekit bundle sign {bundle.path} --key" in "".join(
        capsys.readouterr().err.splitlines()
    )


def test_another_key(bundle: Bundle, strict: LocalTarget, tmp_path: Path) -> None:
    edgekit.keygen(tmp_path / "mine")
    edgekit.sign(bundle.path, tmp_path / "mine")
    refused(bundle, strict, "is not valid")


@pytest.mark.parametrize("damage", ["name", "space", "short", "long", "empty"])
def test_an_altered_manifest_or_signature(
    bundle: Bundle, strict: LocalTarget, tmp_path: Path, damage: str
) -> None:
    """Also an alteration by someone who writes the manifest's own hash anew."""
    edgekit.sign(bundle.path, tmp_path / "release")
    manifest, signature = bundle.path / MANIFEST, bundle.path / SIGNATURE
    good = signature.read_bytes()
    if damage == "name":
        write_manifest(bundle.path, bundle.manifest.model_copy(update={"name": "tony"}))
    elif damage == "space":
        manifest.write_bytes(manifest.read_bytes() + b" ")
    else:
        signature.write_bytes({"short": good[:-1], "long": good + b"\0", "empty": b""}[damage])
    refused(open_bundle(bundle.path), strict, "is not valid")


def test_a_manifest_that_changed_after_it_was_opened(
    bundle: Bundle, strict: LocalTarget, tmp_path: Path
) -> None:
    other = make_bundle(tmp_path / "other", ["fp32.pte"])
    edgekit.sign(other.path, tmp_path / "release")
    for name in (MANIFEST, SIGNATURE):
        shutil.copyfile(other.path / name, bundle.path / name)
    refused(bundle, strict, "changed since it was opened")


def test_an_altered_artifact_is_not_signed(bundle: Bundle, tmp_path: Path) -> None:
    edgekit.keygen(tmp_path / "key")
    (bundle.path / "fp32.pte").write_bytes(b"x")
    with pytest.raises(ResultError, match="does not match its hash"):
        edgekit.sign(bundle.path, tmp_path / "key")


def test_keys_that_cannot_be_used(bundle: Bundle, tmp_path: Path) -> None:
    private, public = edgekit.keygen(tmp_path / "key")
    with pytest.raises(UsageError, match="never overwritten"):
        edgekit.keygen(tmp_path / "key")
    (tmp_path / "junk").write_text("junk")
    for file in (public, tmp_path / "junk", tmp_path / "none", tmp_path):
        with pytest.raises(UsageError):
            edgekit.sign(bundle.path, file)
    edgekit.sign(bundle.path, private)
    for file in (private, tmp_path / "junk", tmp_path / "none"):
        with pytest.raises(UsageError):
            edgekit.verify_signature(bundle, file)


def test_targets_that_demand_nothing_take_any_bundle(bundle: Bundle, tmp_path: Path) -> None:
    target = LocalTarget(edgekit=1, name="lax", kind="local", workdir=str(tmp_path / "device"))
    edgekit.deploy(bundle, target)
    assert not os.path.exists(tmp_path / "device" / "current" / SIGNATURE)
