"""The shell programs for bundles and runtimes: trees of links to content, which of them is current,
and what none of them needs."""

from __future__ import annotations

from edgekit.deployment.scripts import HEAD

PLANT = (
    HEAD
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
  echo "${target##*/}" && echo "$name" >&3 || exit 65
  [ "$mode" != 755 ] || [ -x "$object" ] || { changed=yes && chmod 755 "$object"; } || exit 65
  if [ -L "$tree/$name" ] && [ "$tree/$name" -ef "$object" ]; then continue; fi
  changed=yes
  case $name in */*) [ -d "$tree/${name%/*}" ] || mkdir -p "$tree/${name%/*}" || exit 65 ;; esac
  rm -f "$tree/$name" && ln -s "$target" "$tree/$name" || exit 65
done >"staging/list.$$" 3>"staging/names.$$" || exit 65
set +f
unset IFS
if [ "$tree" = "$2" ] && [ "${2%/*}" = bundles ]; then
  echo .objects >>"staging/names.$$"
  find "$tree" ! -type d | while IFS= read -r path; do echo "${path#"$tree"/}"; done |
    grep -vxFf "staging/names.$$" | while IFS= read -r name; do rm -f "$tree/$name"; done
fi
if [ ! -f "$tree/.objects" ] || [ "$(cat "staging/list.$$")" != "$(cat "$tree/.objects")" ]; then
  changed=yes
  mv -f "staging/list.$$" "$tree/.objects" || exit 65
fi
rm -f "staging/lines.$$" "staging/list.$$" "staging/names.$$"
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
there. What a bundle's tree holds besides is removed; a runtime may have written to its own. That
one is the last used then, also where the clock was set back since."""
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
    HEAD
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
    HEAD
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
    HEAD
    + r"""
cd "$root" || exit 65
tree=$(readlink "$2") || fail "no bundle is $2"
echo "tree $tree"
cd "$tree" || exit 65
find . ! -type d | while IFS= read -r name; do echo "link $(readlink "$name") ${name#./}"; done
cd "$root/objects" && hashes <"$root/$tree/.objects"
"""
)
"""WORKDIR current|previous. Prints `tree TREE`, `link TARGET NAME` for whatever is in it (without a
TARGET what is no link), and `HASH  OBJECT` as read from the disk."""
COLLECT = (
    HEAD
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
