#!/bin/busybox sh
B=/bin/busybox
$B mount -t devtmpfs dev /dev
$B mount -t proc proc /proc
@MODULES@
i=0
while [ ! -e /dev/vda ] && [ $i -lt 200 ]; do $B sleep 0.05; i=$((i+1)); done
$B mount -t ext4 -o rw,noatime /dev/vda /new || exec $B sh
$B umount /proc
$B mount --move /dev /new/dev
exec $B switch_root /new /sbin/init-emulated
