"""The shell programs that deployment runs on a device. Owns their text and how they are called;
decides nothing.

They are constants: data comes as positional parameters and on standard input, never in the text.
They keep to POSIX sh and what coreutils, busybox and toybox have in common. Entries of the store
are named by hexadecimal digits or checked names: words and lines are safe to split. Long input is
taken by `$(cat)`, as `read` asks the kernel for every single byte.

    WORKDIR/objects/SHA256          content, named by its hash; one rename puts it there after the
                                    hash was checked
    WORKDIR/staging/SHA256[.tail]   content on its way, maybe a part of it; .tail is the rest when
                                    an interrupted upload is resumed
    WORKDIR/bundles/NAME/…          a tree of symbolic links into objects, and .objects, the list
                                    of the content it needs
    WORKDIR/runtimes/NAME/…         the same for runtimes
    WORKDIR/current, previous       symbolic links to bundles/NAME
    WORKDIR/lock.N                  who holds the store, see lock.py

A script may outlive the host that started it, while the next host is already at work. So a script
that changes more than one entry runs `alone`: the device's kernel locks the store's directory until
the script ends. It does so only after it has read its input, which may never come. Where a device
has no `flock`, two scripts at once still do no harm that a retry does not undo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from edgekit.devices import Device
from edgekit.errors import DeviceError, TransportError
from edgekit.sanitize import printable

TIMEOUT_S = 120.0
HASHING_S = 1800.0
"""For scripts that read all objects: 20 GB at 10 MB/s."""
REFUSED, TAKEN = 65, 75

_HEAD = r"""
LC_ALL=C; export LC_ALL; umask 077
fail() { echo "$1" >&2; exit 65; }
case $1 in "~/"*) root=$HOME/${1#"~/"} ;; *) root=$1 ;; esac
to_disk() { sync -f . 2>/dev/null || sync; }
alone() { exec 9<. && { flock 0 <&9; } 2>/dev/null; }
hashes() {
  if openssl dgst -sha256 -r /dev/null >/dev/null 2>&1; then
    xargs openssl dgst -sha256 -r | sed 's/ \*stdin$/  -/; s/ \*/  /'
  else
    xargs sha256sum
  fi
}
"""
"""`hashes` prints what sha256sum does of the files named on standard input. OpenSSL uses the
processor's own instructions for it, where it has them."""

_NEWEST = r"""
newest() {
  highest=0
  for entry in lock.*; do
    number=${entry#lock.}
    case $number in '' | *[!0-9]*) continue ;; esac
    [ "$number" -le "$highest" ] || highest=$number
  done
}
"""
"""Sets `highest` to the number of the newest entry of the lock; 0 where there is none."""

PREPARE = (
    _HEAD
    + _NEWEST
    + r"""
mkdir -p "$root" && cd "$root" || exit 65
[ -w . ] || fail "$root: not writable"
for place in objects staging bundles runtimes; do
  [ ! -L "$place" ] || fail "$root/$place is a symbolic link"
  [ -d "$place" ] || mkdir -p "$place" || exit 65
done
for place in current previous; do
  [ -L "$place" ] || [ ! -e "$place" ] || fail "$root/$place is not a symbolic link"
done
pwd -P
newest
read -r uptime rest </proc/uptime
read -r boot_id </proc/sys/kernel/random/boot_id
echo "${uptime%%.*} $boot_id $highest $(readlink "lock.$highest")"
"""
)
"""WORKDIR. Makes the store. Prints its absolute path, and of the newest lock entry `UPTIME_S
BOOT_ID NUMBER CONTENT`, number 0 if there is none."""

SURVEY = (
    _HEAD
    + r"""
names=$(cat)
mend=$2
tree=$3
place=$root
while [ ! -d "$place" ] && [ -n "$place" ]; do place=${place%/*}; done
set -- $(df -Pk "${place:-/}" 2>/dev/null | tail -n 1)
echo "free ${4:-}"
[ -d "$root" ] && cd "$root" || exit 0
[ "$mend" != mend ] || alone
echo "current $(readlink current)"
[ ! -d "$tree" ] || echo tree
for name in $names; do
  for file in "objects/$name" "staging/$name"; do
    if [ -L "$file" ] || [ -d "$file" ]; then fail "$root/$file is not a plain file"; fi
  done
  if [ "$mend" = mend ] && [ -f "staging/$name.tail" ]; then
    cat "staging/$name.tail" >>"staging/$name" && rm -f "staging/$name.tail" || exit 65
  fi
done
for name in $names; do
  if [ -f "objects/$name" ]; then echo "objects/$name"; fi
  if [ -f "staging/$name" ]; then echo "staging/$name"; fi
done | hashes
cd staging && for name in $names; do
  if [ -f "$name" ]; then echo "$name"; fi
done | xargs wc -c
"""
)
"""WORKDIR mend|look TREE; hashes of the content on standard input.

Prints `free KIB`, `current LINK`, `tree` if TREE is there, `HASH  objects/NAME` and
`HASH  staging/NAME` for what is there, and `BYTES NAME` for what an upload left behind. `mend` also
appends the tail of a resumed upload that was interrupted; `look` changes nothing."""

APPEND = (
    _HEAD
    + r"""
cd "$root" && alone
cd staging && cat "$2.tail" >>"$2" && rm -f "$2.tail"
"""
)
"""WORKDIR HASH. Completes a resumed upload."""

DISCARD = (
    _HEAD
    + r"""
cd "$root/staging" &&
  for name in $(cat); do echo "$name"; echo "$name.tail"; done | xargs rm -f
"""
)
"""WORKDIR; hashes on standard input. Gives up uploads."""

UNPACK = (
    _HEAD
    + r"""
umask 022
cd "$root/staging" || exit 65
[ -z "$2" ] || { rm -rf "$2" && mkdir "$2" && cd "$2"; } || exit 65
case $(tar --version 2>/dev/null) in *GNU*) directly=P ;; *) directly= ;; esac
problem=$(tar "-xmo${directly}f" - 2>&1) && exit 0
case $problem in *"No space left"*) problem="No space left on device" ;; esac
fail "cannot write to $root: ${problem%%
*}"
"""
)
"""WORKDIR DIRECTORY; a tar archive on standard input. Unpacks it in staging, or in a fresh
DIRECTORY there: one program for any number of files. Without -P, GNU tar makes and removes a file
for every link that leads upwards."""

ADMIT = (
    _HEAD
    + r"""
names=$(cat)
cd "$root" || exit 65
alone
cd staging || exit 65
to_disk &
sum=
intact=$(for word in $(echo "$names" | hashes); do
  if [ -z "$sum" ]; then sum=$word; continue; fi
  if [ "$sum" = "$word" ]; then echo "$word"; elif [ "$word" != - ]; then rm -f "$word"; fi
  sum=
done)
wait
echo "$intact" | xargs sh -c '
  [ $# = 0 ] || { mv -f "$@" ../objects/ && for name; do echo "ok $name"; done; }
' edgekit
"""
)
"""WORKDIR; hashes on standard input. Moves staged content that is what it is called to objects and
deletes the rest; prints `ok HASH` for what it moved. The data is on the disk before it gets its
name."""

PLANT = (
    _HEAD
    + r"""
cd "$root" || exit 65
[ ! -L "$2" ] || fail "$root/$2 is a symbolic link"
cat >"staging/lines.$$" || exit 65
[ "$(wc -l <"staging/lines.$$")" -eq "$3" ] || fail "the list of files was cut short"
alone
changed=
tree=$2
if [ ! -d "$2" ]; then
  tree=staging/tree changed=yes
  [ -d "$tree" ] || mkdir "$tree" || exit 65
fi
lines=$(cat "staging/lines.$$")
set -f
IFS="
"
for line in $lines; do
  mode=${line%% *} line=${line#* }
  target=${line%% *} name=${line#* }
  object=objects/${target##*/}
  [ -f "$object" ] || fail "$root/$object is gone"
  echo "${target##*/}" || exit 65
  [ "$mode" != 755 ] || [ -x "$object" ] || { changed=yes && chmod 755 "$object"; } || exit 65
  if [ -L "$tree/$name" ] && [ "$tree/$name" -ef "$object" ]; then continue; fi
  changed=yes
  case $name in */*) [ -d "$tree/${name%/*}" ] || mkdir -p "$tree/${name%/*}" || exit 65 ;; esac
  rm -f "$tree/$name" && ln -s "$target" "$tree/$name" || exit 65
done >"staging/list.$$" || exit 65
set +f
unset IFS
if [ ! -f "$tree/.objects" ] || [ "$(cat "staging/list.$$")" != "$(cat "$tree/.objects")" ]; then
  changed=yes
  mv -f "staging/list.$$" "$tree/.objects" || exit 65
fi
rm -f "staging/lines.$$" "staging/list.$$"
[ -z "$changed" ] || to_disk
[ "$tree" = "$2" ] || mv "$tree" "$2" || exit 65
touch "$2"
for other in "${2%/*}"/*; do
  if [ "$other" -nt "$2" ]; then touch -t 197001020000 "$other"; fi
done
"""
)
"""WORKDIR TREE COUNT; COUNT lines `MODE LINK NAME` on standard input. Makes a tree of links by one
rename, from those that were unpacked to staging/tree and what they lack, or mends the one that is
there. That one is the last used then, also where the clock was set back since."""

_SWITCH = r"""
link() { rm -f "$2.new" && ln -s "$1" "$2.new" || exit 65; }
swap() {
  mv -fT "$1.new" "$1" 2>/dev/null ||
    { to=$(readlink "$1.new") && ln -sfn "$to" "$1" && rm -f "$1.new"; } || exit 65
}
"""
"""`mv` without -T (Android before 10) would move into the old bundle; there a moment without a link
remains."""

ACTIVATE = (
    _HEAD
    + _SWITCH
    + r"""
cd "$root" || exit 65
alone
old=$(readlink current)
if [ "$old" != "$2" ]; then
  link "$2" current
  [ -z "$old" ] || link "$old" previous
  to_disk
  [ -z "$old" ] || swap previous
  swap current
  to_disk
fi
"""
)
"""WORKDIR TREE. Makes a bundle the current one by one rename; what was current becomes the previous
one, before that. Everything is on the disk before, and the switch itself before this returns."""

ROLL_BACK = (
    _HEAD
    + _SWITCH
    + r"""
cd "$root" || exit 65
alone
new=$(readlink previous) || fail "there is no previous bundle"
old=$(readlink current)
[ -d "$new" ] || fail "the previous bundle is gone: $new"
link "$new" current
[ -z "$old" ] || link "$old" previous
to_disk
swap current
[ -z "$old" ] || swap previous
to_disk
echo "$new"
"""
)
"""WORKDIR. Swaps current and previous; prints what is current now."""

READ_BACK = (
    _HEAD
    + r"""
cd "$root" || exit 65
tree=$(readlink "$2") || fail "no bundle is $2"
echo "tree $tree"
cd "$tree" || exit 65
find . -type l | while read -r name; do echo "link $(readlink "$name") ${name#./}"; done
cd "$root/objects" && hashes <"$root/$tree/.objects"
"""
)
"""WORKDIR current|previous. Prints `tree TREE`, `link TARGET NAME` for every file of the bundle,
and `HASH  OBJECT` as read from the disk."""

COLLECT = (
    _HEAD
    + r"""
cd "$root" || exit 65
alone
current=$(readlink current); previous=$(readlink previous)
if [ -n "$current" ]; then
  for tree in bundles/*; do
    [ "$tree" = "$current" ] || [ "$tree" = "$previous" ] || rm -rf "$tree"
  done
fi
ls -t runtimes | tail -n "+$(($2 + 1))" | while read -r name; do rm -rf "runtimes/$name"; done
for tree in bundles/* runtimes/*; do
  [ ! -d "$tree" ] || [ -f "$tree/.objects" ] || exit 0
done
for tree in bundles/* runtimes/*; do
  [ ! -d "$tree" ] || cat "$tree/.objects"
done | sort -u >"staging/keep.$$"
[ -s "staging/keep.$$" ] || exit 0
ls objects | grep -vxFf "staging/keep.$$" | { cd objects && xargs rm -f; }
rm -rf staging/*
"""
)
"""WORKDIR COUNT. Removes all bundles but current and previous, all runtimes but the COUNT last
used, what no other needs, and staging."""

SWAP_LOCK = (
    _HEAD
    + _NEWEST
    + r"""
cd "$root" || exit 65
read -r boot_id </proc/sys/kernel/random/boot_id
[ "$boot_id" = "$4" ] || exit 75
next=$(($2 + 1))
if ! ln -s "$3" "lock.$next" 2>/dev/null; then
  newest
  [ "$highest" -lt "$next" ] || exit 75
  fail "$root: cannot write a lock"
fi
newest
if [ "$highest" -gt "$next" ]; then rm -f "lock.$next"; exit 75; fi
for entry in lock.*; do
  number=${entry#lock.}
  case $number in '' | *[!0-9]*) continue ;; esac
  [ "$number" -ge "$next" ] || rm -f "$entry"
done
"""
)
"""WORKDIR NUMBER CONTENT BOOT_ID. Puts the entry after NUMBER, if that is still the newest and the
device still up; exit code 75 otherwise. An entry in the way may be gone a moment later, because a
newer one has come."""

_STEPS = {
    PREPARE: "looking for the store",
    SURVEY: "checking what is there",
    APPEND: "putting an upload together",
    DISCARD: "giving up an upload",
    UNPACK: "sending small files",
    ADMIT: "checking what arrived",
    PLANT: "linking the files",
    ACTIVATE: "switching over",
    ROLL_BACK: "switching back",
    READ_BACK: "reading the bundle",
    COLLECT: "removing old files",
    SWAP_LOCK: "locking",
}
"""What each script is for, in the message of a connection lost there."""


def call(
    device: Device,
    script: str,
    *arguments: str,
    lines: Iterable[str] = (),
    data: bytes = b"",
    timeout_s: float = TIMEOUT_S,
) -> list[str]:
    """Run a script and return the lines it printed. Raises DeviceError with the last line of its
    error output, and what `device.run` raises."""
    code, output = attempt(device, script, *arguments, lines=lines, data=data, timeout_s=timeout_s)
    if code:
        raise DeviceError(
            f"{device.name}:"
            f" {printable(output[-1]) if output else f'a command of edgekit ended with {code}'}"
        )
    return output


def attempt(
    device: Device,
    script: str,
    *arguments: str,
    lines: Iterable[str] = (),
    data: bytes = b"",
    timeout_s: float = TIMEOUT_S,
) -> tuple[int, list[str]]:
    """Run a script with `data` or `lines` as its input: its exit code, and the lines of standard
    output, or of standard error when it is not 0."""
    data = data or "".join(f"{line}\n" for line in lines).encode()
    with during(device, _STEPS[script]):
        done = device.run(
            ["sh", "-c", script, "edgekit", *arguments], timeout_s=timeout_s, stdin=data
        )
    if done.exit_code is None:
        raise DeviceError(f"{device.name}: a command of edgekit was ended by signal {done.signal}")
    text = done.stderr if done.exit_code else done.stdout
    return done.exit_code, text.decode("utf-8", "replace").splitlines()


@contextmanager
def during(device: Device, step: str) -> Iterator[None]:
    """A TransportError from the block names the step."""
    try:
        yield
    except TransportError as error:
        message = error.message.removeprefix(f"{device.name}: ")
        raise type(error)(
            f"{device.name}: {step}: {message}", hint=error.hint, details=error.details
        ) from None
