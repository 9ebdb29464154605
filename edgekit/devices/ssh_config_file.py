"""Reading ssh_config files where no `ssh` can be asked: which settings apply to a host.

What is not known here and changes which machine is reached, as whom or by which way is refused with
its file and line, if it applies. Starts no program, so `Match exec` is refused too. Source:
ssh_config(5) and readconf.c of OpenSSH 9."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.devices.ssh_patterns import listed
from edgekit.errors import IdentityError
from edgekit.places import user_name
from edgekit.sanitize import printable

MAX_INCLUDES = 16
HINT = "mend the line, or install `ssh` on this machine (openssh-client), which is asked then"


def _keywords(text: str) -> frozenset[str]:
    return frozenset(text.split())


HONOURED = _keywords("""
    addressfamily bindaddress bindinterface globalknownhostsfile hostkeyalias hostname
    identitiesonly identityagent identityfile ignoreunknown port proxycommand proxyjump user
    userknownhostsfile
""")
HARMLESS = _keywords("""
    addkeystoagent afstokenpassing batchmode canonicaldomains canonicalizefallbacklocal
    canonicalizemaxdots canonicalizepermittedcnames casignaturealgorithms certificatefile
    challengeresponseauthentication channeltimeout checkhostip cipher ciphers
    clearallforwardings compression compressionlevel connectionattempts connecttimeout
    controlmaster controlpath controlpersist dsaauthentication dynamicforward
    enableescapecommandline enablesshkeysign escapechar exitonforwardfailure fallbacktorsh
    fingerprinthash forkafterauthentication forwardagent forwardx11 forwardx11timeout
    forwardx11trusted gatewayports gssapiauthentication gssapiclientidentity
    gssapidelegatecredentials gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey
    gssapiserveridentity gssapitrustdns hashknownhosts hostbasedacceptedalgorithms
    hostbasedauthentication hostbasedkeytypes hostkeyalgorithms ipqos
    kbdinteractiveauthentication kbdinteractivedevices keepalive kexalgorithms knownhostscommand
    localcommand localforward loglevel logverbose macs nohostauthenticationforlocalhost
    numberofpasswordprompts obscurekeystroketiming passwordauthentication permitlocalcommand
    permitremoteopen pkcs11provider preferredauthentications protocol proxyusefdpass
    pubkeyacceptedalgorithms pubkeyacceptedkeytypes pubkeyauthentication rekeylimit
    remotecommand remoteforward requesttty requiredrsasize rhostsrsaauthentication
    rsaauthentication securitykeyprovider sendenv serveralivecountmax serveraliveinterval
    sessiontype setenv skeyauthentication smartcarddevice stdinnull streamlocalbindmask
    streamlocalbindunlink stricthostkeychecking syslogfacility tag tcpkeepalive tunnel
    tunneldevice updatehostkeys usekeychain useprivilegedport useroaming usersh verifyhostkeydns
    versionaddendum visualhostkey warnweakcrypto xauthlocation
""")
"""They change neither the machine nor the user, and host keys are verified whatever they say."""
OFF = ("no", "none", "false")


@dataclass(frozen=True)
class Line:
    file: Path
    number: int
    keyword: str
    words: tuple[str, ...]

    def refused(self, why: str) -> IdentityError:
        return IdentityError(f"{self.file}:{self.number}: {why}", hint=HINT)


@dataclass
class _Question:
    """A host that is asked for, and the settings that apply to it so far."""

    host: str
    values: dict[str, list[str]]
    final: bool = False
    wants_final: bool = False
    read: list[Path] = field(default_factory=list)
    """The file that is read, and those that include it."""

    @property
    def hostname(self) -> str:
        written = self.values.get("hostname", [self.host])[0]
        return re.sub("%[%h]", lambda m: "%" if m[0] == "%%" else self.host, written).lower()


def settings(
    files: Sequence[tuple[Path, Path]], host: str, overrides: dict[str, list[str]]
) -> dict[str, list[str]]:
    """What applies to a host, by keyword in small letters. The first value counts, and before all
    the `overrides`. Each file comes with the directory that its includes are relative to; one that
    is not there is empty.

    Raises IdentityError (a line cannot be understood), OSError (a file cannot be read), UsageError
    (the system has no name for this user)."""
    question = _Question(host, {keyword: list(words) for keyword, words in overrides.items()})
    for final in (False, True):
        question.final = final
        for file, base in files:
            if file.is_file():
                _apply(file, base, question)
        if not question.wants_final:
            break
    return {**question.values, "hostname": [question.hostname]}


def _apply(file: Path, base: Path, question: _Question) -> None:
    active = True
    question.read.append(file)
    for line in _lines(file):
        if line.keyword == "host":
            name = question.hostname if question.final else question.host
            active = listed(name, line.words)
        elif line.keyword == "match":
            active = _met(line, question)
        elif active and line.keyword == "include":
            if len(question.read) > MAX_INCLUDES:
                raise line.refused("too many files include each other")
            for pattern in line.words:
                for included in sorted(glob.glob(str(base / os.path.expanduser(pattern)))):
                    _apply(Path(included), base, question)
        elif active:
            _keep(line, question.values)
    question.read.pop()


def _met(line: Line, question: _Question) -> bool:
    """Whether all criteria of a Match are met."""
    met, words = True, list(line.words)
    while words:
        word = words.pop(0).lower()
        criterion = word.removeprefix("!")
        if criterion in ("all", "canonical", "final"):
            question.wants_final = question.wants_final or criterion == "final"
            fits = criterion == "all" or question.final
        elif criterion not in ("host", "originalhost", "user", "localuser"):
            if met:
                raise line.refused(f"Match {printable(criterion)}: this is not understood")
            return False
        elif not words:
            raise line.refused(f"Match {criterion}: a pattern is missing")
        else:
            fits = listed(_matched(criterion, question), words.pop(0).split(","))
        met = met and fits != word.startswith("!")
    return met


def _matched(criterion: str, question: _Question) -> str:
    """What the patterns of a criterion are compared with."""
    if criterion == "user" and "user" in question.values:
        return question.values["user"][0]
    if criterion in ("user", "localuser"):
        return user_name()
    return question.hostname if criterion == "host" else question.host


def _keep(line: Line, values: dict[str, list[str]]) -> None:
    keyword, words = line.keyword, list(line.words)
    if keyword in HARMLESS or listed(keyword, _ignored(values)):
        return
    if not words:
        raise line.refused(f"{keyword}: a value is missing")
    if keyword == "identityfile":
        files = values.setdefault(keyword, [])
        files += [file for file in words[:1] if file not in files]
    elif keyword == "proxycommand":  # `ProxyJump none` does not stop it in OpenSSH 9 either
        if values.get("proxyjump", ["none"]) == ["none"] and keyword not in values:
            if words[0].lower() != "none":
                raise line.refused("ProxyCommand is not supported; ProxyJump does the same")
            values[keyword] = ["none"]
    elif keyword == "proxyjump":
        if "proxycommand" not in values:
            values.setdefault(keyword, words[:1])
    elif keyword in HONOURED:
        if keyword == "port" and not re.fullmatch("[0-9]{1,5}", words[0]):
            raise line.refused(f"Port: expected a number, not {printable(words[0])!r}")
        values.setdefault(keyword, words)
    elif words[0].lower() not in OFF:
        raise line.refused(f"{printable(keyword)}: this is not understood")


def _ignored(values: dict[str, list[str]]) -> list[str]:
    """Patterns of keywords that are not to be understood."""
    return [
        pattern.lower() for word in values.get("ignoreunknown", []) for pattern in word.split(",")
    ]


def _lines(file: Path) -> Iterator[Line]:
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    for number, written in enumerate(text.split("\n"), 1):
        line = Line(file, number, "", ())
        if not written.strip() or written.strip().startswith("#"):
            continue
        match = re.match(r"\s*([^\s=#\"]+)(?:\s*=\s*|\s+|$)(.*)", written, re.DOTALL)
        if match is None or "\0" in written:
            raise line.refused("this is not a setting")
        try:
            yield Line(file, number, match[1].lower(), split_words(match[2]))
        except ValueError:
            raise line.refused("a quote is not closed") from None


def split_words(text: str) -> tuple[str, ...]:
    """A line's values as OpenSSH splits them (argv_split in misc.c): quotes of both kinds, escaped
    quotes, backslashes and spaces, and `#` at the start of a word for a comment.

    Raises ValueError: a quote is not closed."""
    words, quote, rest = list[str](), "", text
    word: str | None = None
    while rest:
        char, rest = rest[0], rest[1:]
        if char == "\\" and rest[:1] in ("'", '"', "\\", *(() if quote else (" ",))):
            word, rest = (word or "") + rest[0], rest[1:]
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote, word = char, word or ""
        elif not quote and char.isspace():
            words += [word] if word is not None else []
            word = None
        elif not quote and char == "#" and word is None:
            break
        else:
            word = (word or "") + char
    if quote:
        raise ValueError(text)
    return (*words, word) if word is not None else tuple(words)
