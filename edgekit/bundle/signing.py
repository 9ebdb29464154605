"""Signatures of bundles: Ed25519 (RFC 8032) over the bytes of the manifest, which names every other
file by its hash. Owns key files and `manifest.json.sig`.

Keys are PEM files, and the signature is 64 raw bytes, so that OpenSSL can check it too:
`openssl pkeyutl -verify -pubin -inkey KEY.pub -rawin -in manifest.json -sigfile manifest.json.sig`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edgekit.bundle.directory import MANIFEST, SIGNATURE, Bundle, open_bundle, read_manifest
from edgekit.devices.target import Target
from edgekit.errors import ResultError, UsageError
from edgekit.whole_file import whole_file

SIGNATURE_BYTES = 64
KEYGEN = "`edgekit bundle keygen FILE` makes a pair"


def keygen(file: str | Path) -> tuple[Path, Path]:
    """Write a new pair of Ed25519 keys as PEM.

    Args:
        file: Where the private key goes, not encrypted, with mode 0600. The public key goes to
            `file`.pub.

    Returns:
        The files of the private and of the public key.

    Raises:
        UsageError: One of them is there already, or cannot be written.

    Example:
        >>> private, public = edgekit.keygen("release-key")
        >>> public.name
        'release-key.pub'
    """
    private = Path(file)
    public = Path(f"{file}.pub")
    key = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    public_bytes = key.public_key().public_bytes(
        pem, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private_bytes = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    _write_new({public: (public_bytes, 0o644), private: (private_bytes, 0o600)})
    return private, public


def sign(bundle: str | Path, key: str | Path) -> Path:
    """Check a bundle whole and sign its manifest.

    Args:
        bundle: The bundle's directory.
        key: The file of an Ed25519 private key, PEM without a passphrase.

    Returns:
        The signature's file, beside the manifest.

    Raises:
        UsageError: Not a bundle, not a private key, or the signature cannot be written.
        ResultError: The bundle is damaged.

    Example:
        >>> private, public = edgekit.keygen("release-key")
        >>> edgekit.sign("net", private).parent.name
        'net'
    """
    opened = open_bundle(bundle)
    private = _load(key, lambda data: serialization.load_pem_private_key(data, None))
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError(
            f"{key}: not an Ed25519 private key in PEM, without a passphrase", hint=KEYGEN
        )
    signature = private.sign((opened.path / MANIFEST).read_bytes())
    staged = (
        opened.path.parent / f".{opened.path.name}.{SIGNATURE}.{os.getpid()}"
    )  # not in the bundle, which holds nothing else
    try:
        staged.write_bytes(signature)
        staged.replace(opened.path / SIGNATURE)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise UsageError(
            f"{opened.path / SIGNATURE}: cannot be written: {error.strerror}"
        ) from None
    return opened.path / SIGNATURE


def require_signature(bundle: Bundle, target: Target) -> None:
    """Refuse a bundle that is not signed as a target demands, before anything is sent. A target
    without `require_signature` takes any.

    What is deployed is what was checked: the manifest on disk is the opened one, and the device
    compares every file with the hash in it. Raises ResultError (no signature, one by another key,
    an altered manifest), UsageError (the public key cannot be read)."""
    if target.require_signature is None:
        return
    verify_signature(bundle, target.require_signature, wanted_by=f"{target.name}: ")


def verify_signature(bundle: Bundle, public_key: str | Path, *, wanted_by: str = "") -> None:
    """Check that a bundle's manifest is signed with the private key that belongs to a public one.

    Args:
        bundle: An open bundle.
        public_key: The file of an Ed25519 public key, PEM.
        wanted_by: Who demands the signature; the start of the error's message.

    Returns:
        Nothing: a signature that is right raises no error.

    Raises:
        UsageError: No such key.
        ResultError: The bundle is not signed, or not with that key.

    Example:
        >>> private, public = edgekit.keygen("release-key")
        >>> signature = edgekit.sign("net", private)
        >>> edgekit.verify_signature(edgekit.open_bundle("net"), public)
    """
    key = _load(public_key, serialization.load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{public_key}: not an Ed25519 public key in PEM", hint=KEYGEN)
    sign_it = f"edgekit bundle sign {bundle.path} --key FILE"
    try:
        signature = (bundle.path / SIGNATURE).read_bytes()[: SIGNATURE_BYTES + 1]
        manifest = (bundle.path / MANIFEST).read_bytes()
    except OSError:
        raise ResultError(
            f"{wanted_by}the bundle {bundle.path} is not signed", hint=sign_it
        ) from None
    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        hint = (
            f"it was altered, or signed with another key than that of {public_key}; if you trust"
            f" it: {sign_it}"
        )
        raise ResultError(
            f"{wanted_by}the signature of the bundle {bundle.path} is not valid", hint=hint
        ) from None
    if read_manifest(manifest) != bundle.manifest:
        raise ResultError(
            f"{wanted_by}the manifest of the bundle {bundle.path} changed since it was opened",
            hint="open it again",
        )


def _load(file: str | Path, load: Callable[[bytes], object]) -> object:
    """The key in a file, of whatever kind; None for what is no key."""
    try:
        return load(Path(file).read_bytes())
    except OSError as error:
        raise UsageError(f"{file}: the key cannot be read: {error.strerror}", hint=KEYGEN) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: encrypted
        return None


def _write_new(files: Mapping[Path, tuple[bytes, int]]) -> None:
    """Write all files with their modes, or none. Raises UsageError: one is there already, or cannot
    be written."""
    named: list[Path] = []
    try:
        with ExitStack() as stack:
            for path, (content, mode) in files.items():
                # The name is taken first, so that a file of somebody else's is never replaced.
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
                named.append(path)
                stack.enter_context(whole_file(path)).write_bytes(content)
    except OSError as error:
        for ours in named:
            ours.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            raise UsageError(
                f"{path} is there already, and a key is never overwritten",
                hint="choose another name",
            ) from None
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
