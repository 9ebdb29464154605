#!/bin/busybox sh
B=/bin/busybox
$B mount -t devtmpfs dev /dev
$B mount -t proc proc /proc
@MODULES@
root=$($B sed -n 's/.*root=\([^ ]*\).*/\1/p' /proc/cmdline)
i=0
while [ ! -e "$root" ] && [ $i -lt 200 ]; do $B sleep 0.05; i=$((i+1)); done
$B mount -t ext4 -o rw,noatime "$root" /new || exec $B sh
$B umount /proc
$B mount --move /dev /new/dev
exec $B switch_root /new /sbin/init-emulated
