#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools of type netfs on the kernel's NFS server, Samba and Gluster: mounted, named, gone and back."""
# lab: -m 2048

import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kit import (BUILD, WORK, Ours, case, expect, expect_in, long_case, main,  # noqa: E402
                 noticed, out, run, wait_until, write_xml)
from services import gluster, nfs, smb  # noqa: E402

HOST = "127.0.0.1"
daemon = Ours()


def target(name):
    return f"{WORK}/mnt/{name}"


def define(name, path, form="nfs", host=HOST, rest="", options=()):
    """A netfs pool in our namespace's options, built and not started."""
    listed = "".join(f"<fs:option name='{option}'/>" for option in options)
    xml = write_xml(f"{name}.xml",
                    "<pool type='netfs' xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0'>"
                    f"<name>{name}</name><source><host name='{host}'/><dir path='{path}'/>"
                    f"<format type='{form}'/>{rest}</source>"
                    f"<target><path>{target(name)}</path></target>"
                    f"<fs:mount_opts>{listed}</fs:mount_opts></pool>")
    daemon.virsh(f"pool-define {xml}", f"pool-build {name}")
    os.unlink(xml)


def row(name):
    """The kernel's row of what is mounted for the pool; empty when nothing is."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        return "".join(line for line in table if f" {target(name)} " in line)


def problem(name):
    found = re.search(r"^Problem: +(.*)$", daemon.cistern("pool-info", name), re.M)
    return found.group(1) if found else ""


def state(name):
    return daemon.virsh(f"pool-info {name}")[0].split("State:")[1].split()[0]


def forget(name):
    daemon.virsh(f"pool-destroy {name}", f"pool-undefine {name}", check=False)
    expect(not row(name), row(name))


# --- NFS -------------------------------------------------------------------------------------------

@case
def an_nfs_pool_is_mounted_used_and_unmounted():
    nfs.start()
    nfs.export("one")
    nfs.export("two")
    daemon.start()
    define("p", "/one")
    expect("No such" not in daemon.virsh("pool-start p")[0], "does not start")
    expect_in("nfs4 127.0.0.1:/one ", row("p"))
    expect_in("nosuid,nodev,noexec", row("p"))
    daemon.virsh("vol-create-as p v 1M", "vol-create-as p q 1M --format qcow2",
                 "vol-clone v w --pool p", "vol-resize q 2M --pool p", "vol-delete w --pool p")
    expect(sorted(os.listdir(nfs.ROOT + "/one")) == ["q", "v"], os.listdir(nfs.ROOT + "/one"))
    daemon.cistern("snap-create", "q", "s", "--pool", "p")
    expect_in("s", daemon.cistern("snap-list", "q", "--pool", "p"))
    daemon.virsh("pool-destroy p")
    expect(not row("p"), row("p"))
    daemon.virsh("pool-start p")
    expect_in("q ", daemon.virsh("vol-list p")[0])
    # After a restart of the daemon, too.
    daemon.stop()
    daemon.start()
    expect_in("running", daemon.virsh("pool-info p")[0])
    expect_in("q ", daemon.virsh("vol-list p")[0])
    forget("p")


@case
def what_is_left_of_a_deleted_file_that_is_open_is_no_volume():
    define("p", "/one")
    daemon.virsh("pool-start p", "vol-create-as p open 1M")
    with open(target("p") + "/open", "rb"):
        os.unlink(target("p") + "/open")
        left = [name for name in os.listdir(target("p")) if name.startswith(".nfs")]
        expect(len(left) == 1, left)
        daemon.virsh("pool-refresh p")
        said = daemon.virsh("vol-list p")[0]
        expect(".nfs" not in said, said)
    forget("p")


@case
def version_and_options_are_the_definitions():
    define("p", "/one", rest="<protocol ver='3'/>", options=("soft", "timeo=50"))
    daemon.virsh("pool-start p")
    expect_in("- nfs ", row("p"))
    expect_in("vers=3,", row("p"))
    expect_in(",soft,", row("p"))
    expect_in("timeo=50,", row("p"))
    forget("p")


@case
def exports_are_discovered():
    said = daemon.virsh(f"find-storage-pool-sources-as netfs {HOST}")[0]
    for path in ("/one", "/two"):
        expect_in(f"<dir path='{path}'/>", said)
    expect_in("<format type='nfs'/>", said)


@case
def what_is_not_exported_is_refused_with_the_reason():
    define("p", "/none")
    said = daemon.fails("pool-start p")
    expect("denied" in said or "No such file" in said, said)
    daemon.virsh("pool-undefine p")


@case
def the_right_mount_is_used_and_a_wrong_one_refused():
    define("p", "/one")
    run("mount", "-t", "nfs", f"{HOST}:/two", target("p"))
    said = daemon.fails("pool-start p")
    expect_in("'127.0.0.1:/two' is mounted on", said)
    run("umount", target("p"))
    run("mount", "-t", "nfs", f"{HOST}:/one/", target("p"))
    daemon.virsh("pool-start p")
    expect(row("p").count("\n") == 1, row("p"))
    forget("p")


@case
def another_file_system_under_the_same_name_is_refused():
    define("p", "/one")
    daemon.virsh("pool-start p", "pool-destroy p")
    # The server's own disk is not mounted: it exports what lies below.
    nfs.unexport("one")
    run("exportfs", "-o", f"{nfs.OPTIONS},fsid=77", "*:/one")
    expect_in("another file system is mounted", daemon.fails("pool-start p"))
    expect(not row("p"), row("p"))
    daemon.virsh("pool-build p", "pool-start p")
    forget("p")
    nfs.unexport("one")
    nfs.export("one")


@case
def who_keeps_a_mount_busy_is_named():
    define("p", "/one")
    daemon.virsh("pool-start p")
    with subprocess.Popen(["sleep", "100"], cwd=target("p")) as guest:
        said = daemon.fails("pool-destroy p")
        guest.kill()
    expect_in(f"process {guest.pid} (sleep)", said)
    forget("p")


@case
def a_server_that_falls_silent_delays_nobody():
    define("p", "/one")
    define("other", "/two")
    os.makedirs(f"{WORK}/local", exist_ok=True)
    daemon.virsh("pool-start p", f"pool-define-as local dir --target {WORK}/local",
                 "pool-start local", "vol-create-as local v 64k")
    expect(problem("p") == "", problem("p"))
    nfs.freeze()
    # A call that hangs already is answered, and the next ones at once.
    daemon.fails("vol-create-as p n 1M")
    expect(wait_until(lambda: "has not answered" in problem("p")), "no problem is told")
    expect_in("has not answered", daemon.fails("vol-create-as p n 1M"))
    # A look-up in all pools, and an image whose chain leads there, are not held up either.
    daemon.virsh("vol-create-as local w 64k", "vol-delete w --pool local",
                 f"vol-info {WORK}/local/v", "pool-refresh local")
    daemon.fails(f"vol-info {target('p')}/missing")
    expect("has not answered" in problem("p"), "the server has answered meanwhile")
    nfs.thaw()
    expect(wait_until(lambda: problem("p") == ""), problem("p"))
    daemon.virsh("vol-create-as p m 1M", "vol-delete m --pool p")


@long_case
def a_start_from_a_silent_server_ends():
    nfs.freeze()
    expect_in("answer", daemon.fails("pool-start other"))
    expect(not row("other"), row("other"))


@case
def a_pool_of_a_silent_server_is_stopped():
    nfs.freeze()
    daemon.virsh("pool-info p")
    expect(wait_until(lambda: "has not answered" in problem("p")), "no problem is told")
    daemon.virsh("pool-destroy p")
    expect(not row("p"), row("p"))
    nfs.thaw()
    expect(wait_until(lambda: "error:" not in daemon.virsh("pool-start p", check=False)[0]),
           "does not start again")
    forget("p")
    forget("other")
    forget("local")


# The same on FUSE, without a machine: tests/system/netfs_test.py.
@long_case
def an_embedded_command_on_a_silent_server_ends():
    define("p", "/one")
    daemon.virsh("pool-start p")
    daemon.stop()
    nfs.freeze()
    status, said = run(os.path.join(BUILD, "cistern"), "-c",
                       f"storage:///embed?root={daemon.root}", "vol-create-as", "p", "n", "1M",
                       check=False, limit=60)
    expect(status == 6, f"status {status}: {said}")
    expect_in("has not answered", said)
    nfs.thaw()
    expect(nfs.is_heard(), "the server is not back")
    daemon.start()
    forget("p")


# --- CIFS ------------------------------------------------------------------------------------------

# Ends with the name of the first file of a process that has the two arguments in one piece.
WATCH = """
import glob, os, sys
while True:
    for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                if (sys.argv[1] + sys.argv[2]).encode() in file.read():
                    print(path)
                    sys.exit(1)
        except OSError:
            pass
"""


def with_user(name):
    return f"<auth type='chap' username='{name}'><secret usage='smb'/></auth>"


def set_secret(value):
    xml = write_xml("secret.xml", "<secret ephemeral='no' private='yes'><usage type='iscsi'>"
                                  "<target>smb</target></usage></secret>")
    known = daemon.cistern("secret-list")
    if "smb" not in known:
        daemon.cistern("secret-define", xml)
    uuid = re.search(r"([0-9a-f-]{36})\s+iscsi\s+smb", daemon.cistern("secret-list")).group(1)
    path = os.path.join(WORK, "value")
    with open(path, "w", encoding="utf-8") as file:
        file.write(value)
    daemon.cistern("secret-set-value", uuid, "--file", path, "--plain")
    os.unlink(path)


@case
def a_cifs_pool_takes_its_password_from_a_secret():
    smb.start()
    set_secret(smb.PASSWORD)
    define("c", smb.SHARE, "cifs", rest=with_user(smb.USER))
    # Whatever runs meanwhile shows its arguments and its environment.
    watch = subprocess.Popen([sys.executable, "-c", WATCH, smb.PASSWORD[:7], smb.PASSWORD[7:]],
                             stdout=subprocess.PIPE, text=True)
    daemon.virsh("pool-start c")
    seen = watch.poll()
    watch.kill()
    expect(seen is None, watch.communicate()[0])
    expect_in(f"cifs //{HOST}/{smb.SHARE} ", row("c"))
    expect("several words" not in row("c") + out("cat", "/proc/mounts"), "the password is shown")
    expect(not glob.glob("/run/mount/*") or "several words" not in
           out("sh", "-c", "cat /run/mount/*; true"), "utab shows it")
    expect("several words" not in daemon.logged(), "the log shows it")
    daemon.virsh("vol-create-as c v 1M", "pool-refresh c")
    expect(os.listdir(smb.ROOT) == ["v"], os.listdir(smb.ROOT))
    daemon.virsh("vol-delete v --pool c", "pool-destroy c")
    expect(not row("c"), row("c"))


@case
def a_wrong_password_is_denied():
    set_secret("not the password")
    expect_in("ermission denied", daemon.fails("pool-start c"))
    set_secret("two\nlines")
    expect_in("control characters", daemon.fails("pool-start c"))
    set_secret(smb.PASSWORD)
    daemon.virsh("pool-start c")


@long_case
def a_samba_server_that_stops_is_noticed_and_comes_back():
    """Long: a mount that no longer answers is the NFS server's above."""
    smb.stop()
    noticed("it is noticed", lambda: state("c") == "inaccessible")
    daemon.virsh("pool-refresh c", check=False)
    smb.restart()
    expect(wait_until(lambda: state("c") == "running"), "not back")
    daemon.virsh("vol-create-as c v 1M", "vol-delete v --pool c")
    forget("c")


# --- Gluster ---------------------------------------------------------------------------------------

@long_case
def a_gluster_pool_is_mounted_used_and_unmounted():
    gluster.start()
    said = daemon.virsh(f"find-storage-pool-sources-as netfs {gluster.HOST}")[0]
    expect_in(f"<dir path='{gluster.VOLUME}'/>", said)
    expect_in("<format type='glusterfs'/>", said)
    define("g", gluster.VOLUME, "glusterfs", gluster.HOST)
    daemon.virsh("pool-start g", "vol-create-as g v 1M", "vol-create-as g q 1M --format qcow2")
    expect_in("fuse.glusterfs", row("g"))
    expect_in("q ", daemon.virsh("vol-list g")[0])
    daemon.virsh("pool-destroy g")
    expect(wait_until(lambda: not row("g")), row("g"))
    daemon.virsh("pool-start g")
    expect_in("q ", daemon.virsh("vol-list g")[0])
    forget("g")


main()
