"""What the shell programs that deployment runs on a device have in common. The programs are in
lock_scripts.py, object_scripts.py and tree_scripts.py; calling.py runs them.

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

HEAD = r"""
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
