# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools on a device's file system, played on every stage. The device is a loop device, called
{f}/disk, as its number differs."""

from harness import space
from harness.compare import scenario

FS = """<pool type='fs'><name>p</name><source><device path='{f}/disk'/>%s</source>
<target><path>{d}/p</path></target></pool>"""
OPTIONS = """<pool type='fs' xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0'><name>p</name>
<source><device path='{f}/disk'/><format type='ext4'/></source><target><path>{d}/p</path></target>
<fs:mount_opts><fs:option name='sync'/><fs:option name='lazytime'/></fs:mount_opts></pool>"""


def with_disk(function):
    """A scenario on an empty disk of 64 MiB."""
    def play(s):
        if not space.private_mounts():
            return
        s.sh("truncate -s 64M {f}/image && ln -s $(losetup -f --show {f}/image) {f}/disk")
        try:
            function(s)
        finally:
            s.sh("umount -q {d}/p; losetup -d $(readlink {f}/disk); rm {f}/disk")
    play.__name__ = function.__name__
    return scenario(play)


@with_disk
def fs_pool_from_the_first_command_to_the_last(s):
    s("pool-define-as p fs --source-dev {f}/disk --target {d}/p --source-format ext4")
    s("pool-dumpxml p")
    s("pool-build p --no-overwrite")
    s.sh("blkid -p -o value -s TYPE {f}/disk; stat -c '%a %u %g' {d}/p")
    s("pool-start p")
    s("pool-dumpxml p --inactive")
    s("pool-refresh p")
    s("vol-create-as p v 1M")
    s("vol-list p")
    s("vol-path v --pool p")
    s("pool-list --all --details")
    s("pool-destroy p")
    s("pool-start p")
    s("vol-list p")
    s("pool-destroy p")
    s("pool-delete p")
    s.sh("ls {d}")
    s("pool-undefine p")


@with_disk
def fs_pool_is_mounted_with_its_options(s):
    s.sh("mkfs.ext4 -q {f}/disk")
    s.file("p.xml", OPTIONS)
    s("pool-define {f}/p.xml")
    s("pool-dumpxml p")
    s("pool-build p")
    s("pool-start p")
    s("pool-destroy p")


@with_disk
def fs_build_makes_a_file_system_only_when_told(s):
    s.file("p.xml", FS % "<format type='xfs'/>")
    s("pool-define {f}/p.xml")
    s("pool-build p")
    s.sh("blkid -p {f}/disk")
    s("pool-build p --overwrite --no-overwrite")
    s.sh("truncate -s 512M {f}/image; losetup -c $(readlink {f}/disk); mkfs.ext4 -q {f}/disk")
    s("pool-build p --no-overwrite")
    s.sh("blkid -p -o value -s TYPE {f}/disk")
    s("pool-build p --overwrite")
    s.sh("blkid -p -o value -s TYPE {f}/disk")
    s("pool-build p --no-overwrite")


@with_disk
def fs_pool_uses_the_right_mount(s):
    s.sh("mkfs.ext4 -q {f}/disk; mkdir {d}/p; mount $(readlink {f}/disk) {d}/p")
    s("pool-define-as p fs --source-dev {f}/disk --target {d}/p")
    s("pool-start p")
    s("pool-destroy p")


@with_disk
def fs_pool_without_its_device(s):
    s("pool-define-as p fs --source-dev {f}/none --target {d}/p")
    s("pool-build p --overwrite")
    s("pool-build p")
    s("pool-start p")
    s("pool-list --all")


@with_disk
def fs_pool_with_several_devices(s):
    s.file("p.xml", FS % "<device path='{f}/other'/>")
    s("pool-define {f}/p.xml")
    s("pool-start p")


@scenario
def netfs_definitions(s):
    s("pool-define-as n netfs --source-host host.example --source-path /srv/x --target {d}/n")
    s("pool-define-as c netfs --source-host host.example --source-path share --target {d}/c"
      " --source-format cifs")
    s("pool-define-as g netfs --source-host host.example --source-path vol --target {d}/g"
      " --source-format glusterfs")
    s("pool-define-as v netfs --source-host host.example --source-path /srv/y --target {d}/v"
      " --source-format nfs --source-protocol-ver 4.1")
    s("pool-define-as a netfs --source-host host.example --source-path /srv/z --target {d}/a"
      " --auth-type chap --auth-username me --secret-usage smb")
    for name in "ncgva":
        s(f"pool-dumpxml {name}")
    s("pool-define-as x netfs --source-host host.example --source-path /srv/x --target {d}/x")
    s("pool-define-as y netfs --source-path /srv/x --target {d}/x")
    s("pool-define-as z netfs --source-host host.example --target {d}/x")
    s("pool-build n")
    s("pool-build n --overwrite")
    s("find-storage-pool-sources netfs")
