#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each service of tests/lab/services works, goes away and comes back, as tests of pools count on."""
# lab-long: -m 2048 -d 256M -d 256M

import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kit import (MIB, Stock, case, disk, expect, expect_in, main, out, read_at, run,  # noqa: E402
                 wait, wait_until, write, write_at)
from services import faults, gluster, iscsi, nfs, scsi, smb, zfs  # noqa: E402

STOCK = Stock()


def mount(kind, source, options="", where="/mnt/lab"):
    os.makedirs(where, exist_ok=True)
    words = ["-o", options] if options else []
    run("mount", "-t", kind, *words, source, where)
    return where


def umount(where="/mnt/lab", *words):
    run("umount", *words, where)


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


@case
def nfs_exports_folders_to_clients_of_both_versions():
    nfs.start()
    path = nfs.export("one")
    write(f"{path}/file", "by NFS")
    for version in ("3", "4.2"):
        where = mount("nfs", "127.0.0.1:/one", f"vers={version}")
        expect(read(f"{where}/file") == "by NFS", version)
        run("flock", f"{where}/file", "true")
        umount()
    expect_in("/one ", out("showmount", "-e", "127.0.0.1"))
    nfs.unexport("one")
    expect("/one " not in out("showmount", "-e", "127.0.0.1"), "still exported")


@case
def nfs_stops_freezes_and_comes_back():
    nfs.export("two")
    where = mount("nfs", "127.0.0.1:/two", "vers=4.2,soft,timeo=5,retrans=1")
    nfs.freeze()
    expect(run("stat", f"{where}/missing", check=False)[0] != 0, "a frozen server answered")
    nfs.thaw()
    write(f"{where}/file", "again")
    nfs.stop()
    expect(run("mount", "-t", "nfs", "-o", "vers=4.2,soft,retry=0,timeo=5,retrans=1",
               "127.0.0.1:/two", "/mnt", check=False)[0] != 0, "a server that is gone")
    nfs.restart()
    expect(wait_until(lambda: read(f"{where}/file") == "again"), "not back")
    umount()


@case
def samba_shares_a_folder_with_a_password():
    smb.start()
    write(f"{smb.ROOT}/file", "by SMB")
    options = f"username={smb.USER},vers=3.1.1,soft"
    source = f"//127.0.0.1/{smb.SHARE}"
    with open("/run/credentials", "w", encoding="ascii") as file:
        file.write(f"password={smb.PASSWORD}\n")
    where = mount("cifs", source, f"{options},credentials=/run/credentials")
    expect(read(f"{where}/file") == "by SMB", "another file")
    umount()
    smb.stop()
    expect(run("mount", "-t", "cifs", "-o", f"{options},password=none", source, where,
               check=False)[0] != 0, "a server that is gone")
    smb.restart()
    expect(run("mount", "-t", "cifs", "-o", f"{options},password=none", source, where,
               check=False)[0] != 0, "a wrong password")


def log_in(target, portal, **settings):
    node = ("-m", "node", "-T", target.iqn, "-p", portal)
    for name, value in settings.items():
        iscsi.iscsiadm(*node, "-o", "update", "-n", f"node.session.auth.{name}", "-v", value)
    return iscsi.iscsiadm(*node, "--login", check=False)[0] == 0


@case
def an_iscsi_target_wants_to_know_who_asks_and_says_who_it_is():
    iscsi.start()
    target = iscsi.Target("one")
    file = target.add_unit(1, 16 * MIB)
    target.require_chap("user", "secretsecret12")
    target.answer_chap("target", "othersecret345")
    # tgt tells of the portal that it is asked at.
    for portal in iscsi.PORTALS:
        expect_in(f"{portal},1 {target.iqn}",
                  iscsi.iscsiadm("-m", "discovery", "-t", "sendtargets", "-p", portal)[1])
    expect(not log_in(target, iscsi.PORTALS[0]), "without a password")
    known = {"authmethod": "CHAP", "username": "user", "password": "secretsecret12",
             "username_in": "target"}
    expect(not log_in(target, iscsi.PORTALS[0], **known, password_in="wrongsecret123"),
           "a target that can't prove who it is")
    for portal in iscsi.PORTALS:
        expect(log_in(target, portal, **known, password_in="othersecret345"), portal)
    run("udevadm", "settle")
    node = f"/dev/disk/by-path/ip-{iscsi.PORTALS[0]}-iscsi-{target.iqn}-lun-1"
    write_at(node, "by iSCSI")
    expect(read_at(file) == "by iSCSI", read_at(file))
    iscsi.kill()
    states = glob.glob("/sys/class/iscsi_session/*/state")
    expect(wait_until(lambda: all(read(path).strip() == "FAILED" for path in states)),
           "sessions go on")
    iscsi.restart(target)
    expect(wait_until(lambda: read_at(node) == "by iSCSI"), "the session is not back")
    target.add_unit(2, 16 * MIB)
    iscsi.iscsiadm("-m", "session", "--rescan")
    run("udevadm", "settle")
    expect(os.path.exists(node.replace("lun-1", "lun-2")), "no second unit")
    iscsi.iscsiadm("-m", "node", "--logoutall", "all")


@case
def gluster_has_a_volume_to_mount():
    gluster.start()
    where = mount("glusterfs", f"{gluster.HOST}:/{gluster.VOLUME}")
    write(f"{where}/file", "by Gluster")
    expect(read(f"{gluster.BRICKS}/{gluster.VOLUME}/file") == "by Gluster", "another brick")
    umount()


@case
def zfs_makes_pools_and_their_disks_fail():
    zfs.create_pool("tank", "mirror", disk(0), disk(1))
    run("zfs", "create", "-V", "32M", "tank/volume")
    expect(wait_until(lambda: os.path.exists("/dev/zvol/tank/volume")), "no node")
    zfs.fail("tank", disk(1))
    expect(out("zpool", "list", "-H", "-o", "health", "tank").strip() == "DEGRADED", "healthy")
    zfs.mend("tank", disk(1))
    expect(wait_until(lambda: out("zpool", "list", "-H", "-o", "health", "tank").strip()
                      == "ONLINE"), "still degraded")
    zfs.destroy_pool("tank")
    run("wipefs", "-aq", disk(0), disk(1))


@case
def scsi_hosts_have_disks_and_two_paths_make_one_map():
    first, second = scsi.start(count=2, same=True)
    expect(len(scsi.disks(first)) == len(scsi.disks(second)) == 1, "other numbers of disks")
    write_at(scsi.disks(first)[0], "by two paths")
    maps = scsi.start_multipath()
    expect(len(maps) == 1, maps)
    expect(read_at(f"/dev/mapper/{maps[0]}") == "by two paths", "another disk")
    scsi.add_host()
    expect(len(scsi.hosts()) == 3, scsi.hosts())
    scsi.remove_host()
    expect(len(scsi.hosts()) == 2, scsi.hosts())


@case
def units_of_a_scsi_host_hold_what_is_theirs():
    nodes = [node for host in scsi.attach(count=2, units=2, mib=8) for node in scsi.disks(host)]
    expect(len(nodes) == 4, nodes)
    for node in nodes:
        write_at(node, node)
    for node in nodes:
        expect(read_at(node) == node, f"{node}: {read_at(node)}")


@case
def a_disk_fails_hangs_and_is_sound_again():
    flaky = faults.Disk("flaky", disk(0))
    write_at(flaky.path, "sound")
    flaky.fail()
    try:
        read_at(flaky.path)
        expect(False, "a broken disk was read")
    except OSError:
        pass
    flaky.mend()
    expect(read_at(flaky.path) == "sound", "another content")
    flaky.hang()
    reader = subprocess.Popen(["dd", f"if={flaky.path}", "of=/dev/null", "iflag=direct", "count=1"],
                              stderr=subprocess.DEVNULL)
    expect(wait_until(lambda: wait.process_state(reader.pid) == "D"), "dd does not wait for it")
    flaky.mend()
    expect(reader.wait() == 0, "what waited was not read")
    flaky.remove()


@case
def stock_libvirtd_has_the_drivers_of_all_types():
    STOCK.start()
    text = STOCK.virsh("pool-capabilities")[0]
    for kind in ("dir", "fs", "netfs", "logical", "disk", "iscsi", "scsi", "mpath", "zfs", "rbd",
                 "gluster", "iscsi-direct"):
        expect_in(f"<pool type='{kind}' supported='yes'>", text)


main()
