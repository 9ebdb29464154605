"""The shell programs for content: what is there, and how it gets from staging to objects."""

from __future__ import annotations

from edgekit.deployment.scripts import HEAD

SURVEY = (
    HEAD
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
    HEAD
    + r"""
cd "$root" && alone
cd staging && cat "$2.tail" >>"$2" && rm -f "$2.tail"
"""
)
"""WORKDIR HASH. Completes a resumed upload."""
DISCARD = (
    HEAD
    + r"""
cd "$root/staging" &&
  for name in $(cat); do echo "$name"; echo "$name.tail"; done | xargs rm -f
"""
)
"""WORKDIR; hashes on standard input. Gives up uploads."""
UNPACK = (
    HEAD
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
    HEAD
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
