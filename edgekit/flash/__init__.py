"""Flashing: an operating system's image onto a card, and what a board needs for its first boot and
its first measurement onto that.

    disk            which disks may be written to, and which never
    image           writing an image, plain or compressed, and reading it back
    filesystem      files inside the partitions of a card, without mounting it
    platform        what system is on a card: architecture, C library, Python, emulated or not
    store           a device's store placed on a card
    names           what a board and its first user may be called
    wifi            a wireless network, as each reader of it takes it
    firstboot       user, key, network and host key, by the image's own first-boot mechanism

Needs sfdisk, lsblk, mtools and e2fsprogs. Nothing is mounted, and an image file needs no root.
"""

from edgekit.flash.disk import GB, Disk, open_disk
from edgekit.flash.firstboot import (
    FirstBoot,
    HostKey,
    new_host_key,
    prepare_first_boot,
    read_public_keys,
)
from edgekit.flash.image import Written, write_image
from edgekit.flash.platform import read_emulation, read_platform
from edgekit.flash.store import install_store
from edgekit.flash.wifi import Wifi

__all__ = [
    "GB",
    "Disk",
    "FirstBoot",
    "HostKey",
    "Wifi",
    "Written",
    "install_store",
    "new_host_key",
    "open_disk",
    "prepare_first_boot",
    "read_emulation",
    "read_platform",
    "read_public_keys",
    "write_image",
]
