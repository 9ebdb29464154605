from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.devices.target import AdbTarget, LocalTarget, SshTarget
from edgekit.devices.target_files import load_target, target_names
from edgekit.errors import UsageError
from tests.support.yaml_faults import FAULTS, assert_reported, places

HEAD = "edgekit: 1\nname: board\n"
SHIPPED = sorted(Path(__file__).parents[2].joinpath("targets").glob("**/*.yaml"))
SECRET = "hunter2-canary"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and a home without targets."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refused(path: Path, text: str) -> UsageError:
    with pytest.raises(UsageError) as raised:
        load_target(write(path, text))
    return raised.value


def test_an_ssh_target(home: Path) -> None:
    path = write(
        home / "targets" / "pi.yaml",
        HEAD
        + "kind: ssh\nhost: pi.local\nport: 2222\nuser: pi\nidentity_file: ~/.ssh/id\nknown_hosts:"
        " keys/known\nrequire_signature: /etc/edgekit/a.pub\nworkdir: ~/models\ntimeouts:"
        " {connect_seconds: 3}\nrunners: {litert: {python: /usr/bin/python3.11, package:"
        " tflite_runtime}}\n",
    )
    target = load_target(path)
    assert isinstance(target, SshTarget)
    assert (target.host, target.port, target.user, target.workdir) == (
        "pi.local",
        2222,
        "pi",
        "~/models",
    )
    assert target.identity_file == str(home / "home/.ssh/id")
    assert target.known_hosts == str(home / "targets/keys/known"), "relative to the target file"
    assert target.require_signature == "/etc/edgekit/a.pub"
    assert (target.timeouts.connect_seconds, target.timeouts.no_progress_seconds) == (3, 30)
    assert (target.runners.executorch.program, target.runners.litert.package) == (
        None,
        "tflite_runtime",
    )
    assert load_target("pi") == target


def test_a_core_named_twice(home: Path) -> None:
    error = refused(home / "a.yaml", HEAD + "kind: local\ncontrol: {cpus: [2, 3, 2]}\n")
    assert "a.yaml:4:17" in error.message
    assert "a core is named twice" in error.message
    text = HEAD + "kind: local\ncontrol: {cpus: [3, 2]}\n"
    assert load_target(write(home / "b.yaml", text)).control.cpus == (3, 2)


def test_an_adb_target(home: Path) -> None:
    target = load_target(
        write(
            home / "a.yaml",
            HEAD
            + "kind: adb\nserial: emulator-5554\ntimings: meaningless\ntimings_reason: emulated\n",
        )
    )
    assert isinstance(target, AdbTarget)
    assert (target.serial, target.allow_network, target.workdir) == (
        "emulator-5554",
        False,
        "/data/local/tmp/edgekit",
    )
    assert (target.timings, target.timings_reason) == ("meaningless", "emulated")


def test_a_device_on_the_network_by_consent(home: Path) -> None:
    target = load_target(
        write(home / "a.yaml", HEAD + "kind: adb\nserial: 192.168.1.7:5555\nallow_network: true\n")
    )
    assert isinstance(target, AdbTarget)
    assert target.serial == "192.168.1.7:5555"


def test_where_targets_are_looked_for(home: Path) -> None:
    assert isinstance(load_target("local"), LocalTarget)
    assert target_names() == ["local"]
    write(home / "home/.config/edgekit/targets/mine.yaml", HEAD + "kind: adb\n")
    assert isinstance(load_target("mine"), AdbTarget)
    write(home / "targets/mine.yaml", HEAD + "kind: local\n")
    assert isinstance(load_target("mine"), LocalTarget), "the project's own come first"
    write(home / "targets/local.yaml", HEAD + "kind: ssh\nhost: h\n")
    assert isinstance(load_target("local"), SshTarget)
    assert target_names() == ["local", "mine"]


@pytest.mark.parametrize("name", ["lcoal", "", "a\0b", "a\nb", ".."])
def test_an_unknown_target_lists_what_there_is(home: Path, name: str) -> None:
    write(home / "targets" / "pi.yaml", HEAD + "kind: local\n")
    with pytest.raises(UsageError) as raised:
        load_target(name)
    assert raised.value.message == f"no target is called {name!r}" + (
        " (did you mean 'local'?)" if name == "lcoal" else ""
    )
    assert raised.value.hint.startswith("there are: local, pi;")


@pytest.mark.parametrize("name", ["targets/none.yaml", "none.yml", "./x"])
def test_a_file_that_is_not_there(home: Path, name: str) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_target(name)


@pytest.mark.parametrize(("content", "line", "column", "text"), FAULTS)
def test_no_yaml_for_a_target(
    tmp_path: Path, content: bytes, line: int | None, column: int | None, text: str
) -> None:
    path = tmp_path / "target.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        load_target(path)
    assert_reported(raised.value, path, line, column, text)


def test_everything_wrong_at_once(tmp_path: Path) -> None:
    text = (
        HEAD + "kind: ssh\nhots: pi\nport: 99999\nuser: -oProxyCommand=x\nidentity_file:"
        " $HOME/key\nworkdir: /a/../b\ntimeouts: {connect_seconds: 0, run_seconds: 1:30}\nruners:"
        " {}\nrunners: {litert: {package: tflite}, executorch: {program: a/b}}\ntimings:"
        " never\nallow_network: yes\n"
    )
    assert places(refused(tmp_path / "t.yaml", text)) == {
        "1:1": "missing key 'host'",
        "4:1": "unknown key 'hots' (did you mean 'host'?)",
        "5:7": "port must be at most 65535, got 99999",
        "6:7": "user: expected a user name: letters, digits, '.', '_', '@' and '-'",
        "7:16": "identity_file: a path with the variable $HOME, which is never expanded",
        "8:10": (
            "workdir: expected /A/B or ~/A/B, of letters, digits, '.', '_', '+', '@', '=' and '-',"
            " without '.' or '..' as a part"
        ),
        "9:29": "connect_seconds must be more than 0, got 0",
        "9:45": "run_seconds: expected a number of seconds, got the text '1:30'",
        "10:1": "unknown key 'runers' (did you mean 'runners'?)",
        "11:29": (
            "package: expected one of auto, ai_edge_litert, tflite_runtime, got the text 'tflite'"
            " (did you mean 'tflite_runtime'?)"
        ),
        "11:60": (
            "program: expected /A/B or ~/A/B, of letters, digits, '.', '_', '+', '@', '=' and '-',"
            " without '.' or '..' as a part"
        ),
        "12:10": "timings: expected one of meaningful, meaningless, got the text 'never'",
        "13:1": "unknown key 'allow_network'",
    }


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 1, 1, "missing key 'kind'"),
        (
            "kind: shs\n",
            3,
            7,
            "kind: expected one of local, ssh, adb, got the text 'shs' (did you mean 'ssh'?)",
        ),
        ("kind: local\nhost: x\n", 4, 1, "unknown key 'host'"),
        (
            "kind: adb\nallow_network: yes\n",
            4,
            16,
            "allow_network: expected true or false, got the text 'yes'",
        ),
        (
            "kind: adb\nserial: 192.168.1.7:5555\n",
            4,
            9,
            "serial: a device on the network, which is not allowed by default",
        ),
        (
            "kind: adb\nserial: adb-X._adb-tls-connect._tcp\n",
            4,
            9,
            "serial: a device on the network",
        ),
        ("kind: adb\nworkdir: ~/x\n", 4, 10, "workdir: adb knows no home directory"),
        (
            "kind: local\ntimings: meaningless\n",
            4,
            10,
            "`timings: meaningless` and `timings_reason` go together",
        ),
        (
            "kind: local\ntimings_reason: x\n",
            4,
            17,
            "`timings: meaningless` and `timings_reason` go together",
        ),
        ("kind: ssh\nhost: -oProxyCommand=x\n", 4, 7, "host: expected a host name"),
        ("kind: ssh\nhost: a b\n", 4, 7, "host: expected a host name"),
        (
            "kind: local\nrunners: {litert: {python: python3; id}}\n",
            4,
            28,
            "python: expected the name of a program",
        ),
        (
            "kind: local\nrunners: {litert: {python: ../python3}}\n",
            4,
            28,
            "python: expected the name of a program",
        ),
    ],
)
def test_rules_of_targets(tmp_path: Path, text: str, line: int, column: int, message: str) -> None:
    path = tmp_path / "t.yaml"
    assert_reported(refused(path, HEAD + text), path, line, column, message)


NO_WORKDIRS = [
    *(
        "",
        "/",
        "~",
        "~/",
        "//a",
        "/a/",
        "/a//b",
        "/a/./b",
        "/a/..",
        "/..",
        "~/../x",
        "~root/x",
        "a/b",
        "/" + "x" * 101,
        "/a" * 17,
    ),
    *("/a b", "/a\\nb", "/a\\n", "/a;b", "/$(id)", "/`id`", "/a'b", "/a*", "/é"),
]


@pytest.mark.parametrize("workdir", NO_WORKDIRS)
def test_workdirs_that_are_refused(tmp_path: Path, workdir: str) -> None:
    path = tmp_path / "t.yaml"
    assert_reported(
        refused(path, HEAD + f'kind: ssh\nhost: h\nworkdir: "{workdir}"\n'),
        path,
        5,
        10,
        "workdir: expected /A/B or ~/A/B",
    )


@pytest.mark.parametrize(
    "workdir",
    ["/a", "~/a", "/data/local/tmp/edgekit-1.0", "~/.cache/x", "/..a/b..", "/a/-b", "/opt/a+b@c=d"],
)
def test_workdirs_that_are_taken(tmp_path: Path, workdir: str) -> None:
    assert (
        load_target(
            write(tmp_path / "t.yaml", HEAD + f"kind: ssh\nhost: h\nworkdir: {workdir}\n")
        ).workdir
        == workdir
    )


@pytest.mark.parametrize(
    "host", ["pi", "pi.local", "192.168.1.2", "::1", "fe80::1%eth0", "_alias", "2001:db8::7"]
)
def test_hosts_that_are_taken(tmp_path: Path, host: str) -> None:
    target = load_target(write(tmp_path / "t.yaml", HEAD + f'kind: ssh\nhost: "{host}"\n'))
    assert isinstance(target, SshTarget)
    assert target.host == host


SECRETS = (
    "password",
    "PASSWORD",
    "passwd",
    "ssh-password",
    "passphrase",
    "key_passphrase",
    "token",
    "secret",
    "api-key",
    "private_key",
)


@pytest.mark.parametrize("key", SECRETS)
def test_secrets_are_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    """Case 12 of the faults."""
    path = tmp_path / "t.yaml"
    for line, column, text in [
        (4, 1, f"kind: local\n{key}: {SECRET}\n"),
        (4, 1, f"kind: local\n{key}: {{a: {SECRET}}}\n"),
        (4, 12, f"kind: local\ntimeouts: {{{key}: {SECRET}}}\n"),
        (3, 1, f"{key}: {SECRET}\nkind: {{}}\n"),
        (3, 1, f"{key}: {SECRET}\n{key}: {SECRET}\n"),
        (4, 1, f"kind: local\n{key}: !{SECRET} x\n"),
    ]:
        error = refused(path, HEAD + text)
        assert_reported(
            error,
            path,
            line,
            column,
            "a secret does not belong in a target file, which is shared and logged",
        )
        assert "agent" in error.hint + error.message
        assert SECRET not in f"{error.message}{error.hint}{error.details}"
    for text in (
        f"kind: local\n{key}: *{SECRET}\n",
        f"kind: local\n{key}: '{SECRET}\n",
        f"kind: local\n{key}: {SECRET}: {SECRET}\n",
    ):
        error = refused(path, HEAD + text)
        assert SECRET not in f"{error.message}{error.hint}{error.details}"
    error = refused(path, HEAD + f"kind: ssh\nhost: me:{SECRET}@pi\nuser: 'me:{SECRET}'\n")
    assert SECRET not in f"{error.message}{error.hint}{error.details}"


KEYS = st.sampled_from(
    [*SshTarget.model_fields, *AdbTarget.model_fields, "litert", "python", "password"]
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.text(max_size=8),
        st.sampled_from(["local", "ssh", "adb", "~", "/a", "~/a"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_loading_raises_only_usage_errors(tmp_path: Path, data: dict[str, object]) -> None:
    try:
        load_target(write(tmp_path / "t.yaml", json.dumps({"edgekit": 1, "name": "a", **data})))
    except UsageError as error:
        problems = error.details["problems"]
    else:
        return
    assert problems


def test_targets_are_shipped() -> None:
    assert {"emulated-pi", "local"} <= {path.stem for path in SHIPPED}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_targets_load(path: Path) -> None:
    target = load_target(path)
    assert target.name == path.stem
    schema, command = path.read_text().splitlines()[:2]
    assert schema == "# yaml-language-server: $schema=target.schema.json"
    assert command.startswith("# edgekit "), "a target opens with a command that uses it"
