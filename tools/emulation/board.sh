# the emulated board: fixed network, sshd
hostname -F /etc/hostname
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
/usr/sbin/sshd
