# a flashed card: what udev and the units of Debian's cloud-init, ifupdown and ssh do, in their order
mkdir -p /dev/block
for device in /sys/class/block/vd*; do ln -s "/dev/${device##*/}" "/dev/block/$(cat "$device/dev")"; done  # growpart looks there
cloud-init init --local
ifup -a
cloud-init init
/usr/sbin/sshd
cloud-init modules --mode=config
cloud-init modules --mode=final
