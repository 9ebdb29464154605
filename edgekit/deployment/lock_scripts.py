"""The shell programs that make a store and lock it."""

from __future__ import annotations

from edgekit.deployment.scripts import HEAD

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
    HEAD
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
SWAP_LOCK = (
    HEAD
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
