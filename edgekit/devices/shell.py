"""The few scripts that transports send to a device. Every POSIX shell understands them, Android's
included. Owns no quoting and no connection."""

from __future__ import annotations

PULL = '[ -f "$1" ] || { echo "not a plain file" >&2; exit 1; }; exec cat "$1"'
"""PATH. Prints a plain file."""

PUSH = 'umask 077; cat >"$1" && chmod "$2" "$1"'
"""PATH MODE. Writes standard input to a file."""

KILL = r"""
same_leader() {
  read -r line <"/proc/$1/stat" && set -- "$1" "$2" ${line##*\) } && [ "${22}" = "$2" ]
}
[ -z "$2" ] || same_leader "$1" "$2" 2>/dev/null || exit 0
kill -TERM "-$1" 2>/dev/null
i=0
while [ $i -lt 10 ] && kill -0 "-$1" 2>/dev/null; do
  sleep 0.1
  i=$((i+1))
  case $(cat "/proc/$1/stat" 2>/dev/null) in *") Z "*) [ $i -lt 2 ] || break ;; esac
done
kill -KILL "-$1" 2>/dev/null
"""
"""GROUP STARTED. Ends a process group: politely, then for good. With STARTED (ticks since boot)
only a group whose leader was started then, because numbers are used again after a reboot. A leader
that is a zombie, as after a crash of its parent, is not waited for."""


def absolute(path: str) -> str:
    """`cat` and the shell must not take a path for an option."""
    return path if path.startswith("/") else f"./{path}"


def last_line(stderr: bytes | bytearray) -> str:
    lines = bytes(stderr).decode(errors="replace").strip().splitlines()
    return "".join(c for c in lines[-1] if c.isprintable())[:200] if lines else "no message"
