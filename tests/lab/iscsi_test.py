#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""iSCSI pools: cisternd beside stock libvirtd, CHAP, interfaces, portals, and a target that goes."""
# lab: -m 1536

import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from comparison import compare  # noqa: E402
from kit import (BUILD, MIB, WORK, Ours, Skipped, case, expect, expect_in, long_case, main, read_at,
                 run, wait_until, write_at, write_xml)  # noqa: E402
from services import iscsi  # noqa: E402

OURS = Ours()
TARGETS = {}
USER, PASSWORD = "user", "secret secret=12#"
USER_IN, PASSWORD_IN = "target", "othersecret345"


def definition(name, target, hosts=("127.0.0.1",), initiator=None, auth="", options=None):
    listed = "".join(f"<host name='{host}'/>" for host in hosts)
    iqn = f"<initiator><iqn name='{initiator}'/></initiator>" if initiator else ""
    known = "".join(f"<option name='{key}' value='{value}'/>"
                    for key, value in (options or {}).items())
    block = f"<options xmlns='urn:cistern:storage:1.0'>{known}</options>" if known else ""
    return write_xml(f"{name}.xml", f"<pool type='iscsi'><name>{name}</name><source>{listed}"
                                    f"<device path='{target.iqn}'/>{auth}{iqn}</source>"
                                    "<target><path>/dev/disk/by-path</path></target>"
                                    f"{block}</pool>")


def sessions():
    """Interface of each session, and its state."""
    found = []
    for path in sorted(glob.glob("/sys/class/iscsi_session/session*")):
        with open(f"{path}/ifacename", encoding="ascii") as iface, \
             open(f"{path}/state", encoding="ascii") as state:
            found.append((iface.read().strip(), state.read().strip()))
    return found


def records():
    """Node records and interfaces that are not the package's own."""
    return sorted(glob.glob("/etc/iscsi/nodes/*/*/*") + glob.glob("/etc/iscsi/ifaces/libvirt*"))


def node(target, number, portal=iscsi.PORTALS[0]):
    return f"/dev/disk/by-path/ip-{portal}-iscsi-{target.iqn}-lun-{number}"


def node_of_unit(number):
    """Once udev has made it; on a busy machine that takes longer than a pool's start waits."""
    path = node(TARGETS["one"], number)
    expect(wait_until(lambda: os.path.exists(path)), f"there is no '{path}'")
    return path


def expect_nothing_left():
    expect(sessions() == [], sessions())
    expect(records() == [], records())


# --- the same commands, to both --------------------------------------------------------------------

def without_port(stock, ours):
    """libvirt writes the usual port into an active pool's definition."""
    return [0, stock[1].replace(" port='3260'", ""), ""], ours


STEPS = [
    ("pool-define {xml}", None),
    ("pool-build i", None),
    ("pool-start i", None),
    ("pool-info i", None),
    ("pool-dumpxml i", without_port),
    ("vol-list i --details", None),
    ("vol-dumpxml unit:0:0:1 i", None),
    ("vol-dumpxml unit:0:0:2 i", None),
    ("vol-key unit:0:0:1 i", None),
    ("vol-path unit:0:0:2 i", None),
    ("vol-name {node}", None),
    ("vol-pool {node}", None),
    ("vol-upload unit:0:0:1 {file} i", None),
    ("vol-download unit:0:0:1 {there} i", None),
    ("vol-wipe unit:0:0:2 i", None),
    ("vol-create-as i new 1M", "does not support volume creation"),
    ("vol-clone unit:0:0:1 new --pool i", "does not support volume creation"),
    ("vol-delete unit:0:0:1 i", "does not support vol deletion"),
    ("vol-resize unit:0:0:1 32M --pool i", None),
    ("pool-refresh i", None),
    ("find-storage-pool-sources-as iscsi 127.0.0.1", None),
    ("find-storage-pool-sources-as iscsi", None),
    ("pool-delete i", None),
    ("pool-destroy i", None),
    ("pool-delete i", "does not support pool deletion"),
    ("pool-undefine i", None),
    ("pool-define {none}", None),
    ("pool-start none", "has no target 'iqn.2026-01.lab:none'"),
]


class Missing:
    iqn = "iqn.2026-01.lab:none"


def prepare():
    if TARGETS:
        return
    iscsi.start()
    target = TARGETS["one"] = iscsi.Target("one")
    target.add_unit(1, 16 * MIB)
    run("sfdisk", "-q", target.add_unit(2, 24 * MIB), data="label: gpt\n,8M\n")


def values():
    file = os.path.join(WORK, "bytes")
    with open(file, "wb") as data:
        data.write(os.urandom(MIB))
    return {"xml": definition("i", TARGETS["one"]), "none": definition("none", Missing),
            "file": file, "there": file + ".back", "node": node(TARGETS["one"], 1)}


compare(OURS, STEPS, prepare, values)

# --- ours ------------------------------------------------------------------------------------------


@case
def a_pool_leaves_nothing_behind():
    run("rm", "-rf", "/etc/iscsi/nodes", "/etc/iscsi/send_targets")
    run("sh", "-c", "rm -f /etc/iscsi/ifaces/libvirt*")
    OURS.start()
    one = TARGETS["one"]
    OURS.virsh(f"pool-define {definition('i', one)}", "pool-start i")
    expect(sessions() == [("libvirt-iface-00000000", "LOGGED_IN")], sessions())
    write_at(node_of_unit(1), "by the pool")
    OURS.virsh("pool-destroy i")
    expect_nothing_left()


@long_case
def a_disk_that_is_in_use_keeps_the_pool():
    """Long: iscsi_test.c has the session that stays, scsi_test.py the holders."""
    OURS.virsh("pool-start i")
    with open(node_of_unit(1), "rb"):
        expect_in("in use", OURS.fails("pool-destroy i"))
        expect_in("in use", OURS.fails("vol-wipe unit:0:0:1 i"))
    expect(read_at(node_of_unit(1)) == "by the pool", "it was wiped")
    OURS.virsh("pool-destroy i")


@long_case
def sessions_and_records_of_others_stay():
    one = TARGETS["one"]
    iscsi.iscsiadm("-m", "discovery", "-t", "sendtargets", "-p", iscsi.PORTALS[0])
    iscsi.iscsiadm("-m", "node", "-T", one.iqn, "-p", iscsi.PORTALS[0], "--login")
    before = records()
    OURS.virsh("pool-start i")
    expect(sessions() == [("default", "LOGGED_IN")], sessions())
    expect_in("unit:0:0:1", OURS.virsh("vol-list i")[0])
    OURS.virsh("pool-destroy i")
    expect(sessions() == [("default", "LOGGED_IN")], sessions())
    expect(records() == before, records())
    iscsi.iscsiadm("-m", "node", "--logoutall", "all")
    iscsi.iscsiadm("-m", "node", "-o", "delete")


@long_case
def a_unit_that_is_added_grows_or_goes_is_seen():
    one = TARGETS["one"]
    OURS.virsh("pool-start i")
    one.add_unit(3, 8 * MIB)
    OURS.virsh("pool-refresh i")
    expect_in("8.00 MiB", OURS.virsh("vol-info unit:0:0:3 i")[0])
    expect(OURS.virsh("vol-path unit:0:0:3 i")[0] == node(one, 3), "another path")
    one.remove_unit(3)
    with open("/sys/block/" + os.path.basename(os.path.realpath(node(one, 3)))
              + "/device/delete", "w", encoding="ascii") as delete:
        delete.write("1")
    # udev tells, without a refresh.
    expect(wait_until(lambda: "unit:0:0:3" not in OURS.virsh("vol-list i")[0]), "still listed")
    OURS.virsh("pool-destroy i")


@long_case
def two_pools_have_one_target_by_two_initiators():
    one = TARGETS["one"]
    for name in ("a", "b"):
        xml = definition(name, one, initiator=f"iqn.2026-01.lab:{name}")
        OURS.virsh(f"pool-define {xml}", f"pool-start {name}")
    listed = sessions()
    expect(len(listed) == 2 and listed[0][0] != listed[1][0], listed)
    names = [open(path, encoding="ascii").read().strip()
             for path in sorted(glob.glob("/sys/class/iscsi_session/*/initiatorname"))]
    expect(names == ["iqn.2026-01.lab:a", "iqn.2026-01.lab:b"], names)
    for name in ("a", "b"):
        expect(OURS.virsh(f"vol-path unit:0:0:1 {name}")[0] == node(one, 1), name)
        OURS.virsh(f"vol-download unit:0:0:1 {WORK}/{name} {name}")
    expect_in("conflict", OURS.fails(
        f"pool-define {definition('c', one, initiator='iqn.2026-01.lab:a')}"))
    OURS.virsh("pool-destroy a")
    expect(len(sessions()) == 1, sessions())
    expect_in("unit:0:0:1", OURS.virsh("vol-list b")[0])
    OURS.virsh("pool-destroy b")
    expect_nothing_left()


@long_case
def several_portals_make_one_pool():
    one = TARGETS["one"]
    xml = definition("m", one, hosts=("127.0.0.1", "127.0.0.2", "127.0.0.3"),
                     initiator="iqn.2026-01.lab:m")
    OURS.virsh(f"pool-define {xml}", "pool-start m")
    expect(len(sessions()) == 2, sessions())
    expect(OURS.virsh("vol-list m")[0].count("unit:0:0:1") == 1, "listed twice")
    OURS.virsh("pool-destroy m", "pool-undefine m")
    expect_nothing_left()


@long_case
def a_portal_that_is_lost_is_shown_and_its_return_too():
    """The one that the LUNs are taken from. With a fake of open-iscsi: iscsi_health_test.c."""
    xml = definition("m", TARGETS["one"], hosts=("127.0.0.1", "127.0.0.2"),
                     initiator="iqn.2026-01.lab:m")
    OURS.virsh(f"pool-define {xml}", "pool-start m")
    expect_in("logged in at 2 of 2 portals", OURS.cistern("pool-info", "m"))
    iscsi.freeze("127.0.0.1")
    try:
        # Until the kernel calls the session lost, reads through it hang, and the pool has a problem.
        expect(wait_until(lambda: "degraded" in OURS.cistern("pool-info", "m")),
               OURS.cistern("pool-info", "m"))
        shown = OURS.cistern("pool-info", "m")
        expect_in("logged in at 1 of 2 portals", shown)
        expect_in("portal 127.0.0.1:3260: FAILED", shown)
        OURS.virsh(f"vol-download unit:0:0:1 {WORK}/back m")
    finally:
        iscsi.thaw()
    expect(wait_until(lambda: "logged in at 2 of 2 portals" in OURS.cistern("pool-info", "m")),
           OURS.cistern("pool-info", "m"))
    OURS.virsh("pool-destroy m", "pool-undefine m")
    expect_nothing_left()


def define_safe(**how):
    OURS.virsh("pool-undefine s", check=False)
    OURS.virsh(f"pool-define {definition('s', TARGETS['safe'], **how)}")


def secret(name, value):
    xml = write_xml(f"secret-{name}.xml", "<secret ephemeral='no' private='yes'><usage type='iscsi'>"
                                          f"<target>{name}</target></usage></secret>")
    uuid = OURS.cistern("secret-define", xml).split()[1]
    file = os.path.join(WORK, "value")
    with open(file, "w", encoding="utf-8") as data:
        data.write(value)
    OURS.cistern("secret-set-value", uuid, "--file", file, "--plain")
    return uuid


def watch_command_lines(seen):
    """Notes all command lines and environments of processes that it comes to see."""
    for pid in glob.glob("/proc/[0-9]*"):
        for what in ("cmdline", "environ"):
            try:
                with open(f"{pid}/{what}", "rb") as file:
                    seen.add(file.read())
            except OSError:
                pass


@case
def chap_opens_the_target_both_ways():
    safe = TARGETS["safe"] = iscsi.Target("safe")
    safe.add_unit(1, 8 * MIB)
    safe.require_chap(USER, PASSWORD)
    safe.answer_chap(USER_IN, PASSWORD_IN)
    secret("right", PASSWORD)
    secret("wrong", "another password")
    inner = secret("inner", PASSWORD_IN)
    secret("false", "falsesecret345")

    def auth(usage):
        return f"<auth type='chap' username='{USER}'><secret usage='{usage}'/></auth>"

    define_safe()
    expect_in("secret", OURS.fails("pool-start s"))
    define_safe(auth=auth("wrong"))
    expect_in("refuses", OURS.fails("pool-start s"))
    expect_nothing_left()
    for options in (None, {"mutual-username": USER_IN, "mutual-secret": "inner"},
                    {"mutual-username": USER_IN, "mutual-secret": inner}):
        define_safe(auth=auth("right"), options=options)
        OURS.virsh("pool-start s")
        expect_in("unit:0:0:1", OURS.virsh("vol-list s")[0])
        OURS.virsh("pool-destroy s")
        expect_nothing_left()
    define_safe(auth=auth("right"),
                options={"mutual-username": USER_IN, "mutual-secret": "false"})
    expect_in("cannot authenticate itself", OURS.fails("pool-start s"))
    expect_nothing_left()


def is_traced():
    with open(f"/proc/{OURS.process.pid}/status", encoding="ascii") as status:
        return "TracerPid:\t0\n" not in status.read()


@case
def secrets_are_on_no_command_line_and_in_no_file_of_others():
    define_safe(auth=f"<auth type='chap' username='{USER}'><secret usage='right'/></auth>")
    seen = set()
    process = subprocess.Popen(["strace", "-f", "-q", "-e", "trace=execve", "-v", "-s", "4096",
                                "-o", f"{WORK}/trace", "-p", str(OURS.process.pid)])
    expect(wait_until(is_traced), "strace does not come to it")
    OURS.virsh("pool-start s")
    watch_command_lines(seen)
    process.terminate()
    process.wait()
    with open(f"{WORK}/trace", encoding="utf-8", errors="replace") as trace:
        text = trace.read()
    expect("iscsiadm" in text, "nothing was traced")
    expect(PASSWORD not in text, "a secret is among a tool's arguments")
    expect(not any(PASSWORD.encode() in line for line in seen), "a secret is in /proc")
    expect(PASSWORD not in OURS.logged(), "a secret is in the log")
    for path in records():
        expect(os.stat(path).st_mode & 0o077 == 0, f"{path}: {os.stat(path).st_mode:o}")
    expect(any(PASSWORD in open(path, encoding="utf-8").read() for path in records()),
           "no record has it")
    OURS.virsh("pool-destroy s")


# --- a target that goes ----------------------------------------------------------------------------

def problem(name):
    return OURS.cistern("pool-info", name)


def wait_for_problem(name, wanted):
    expect(wait_until(lambda: ("roblem" in problem(name)) == wanted), problem(name))


@case
def a_target_that_is_killed_is_noticed_and_its_return_too():
    OURS.virsh("pool-start i", "pool-define-as d dir --target /tmp/lab/d", "pool-build d",
               "pool-start d")
    iscsi.kill()
    wait_for_problem("i", True)
    expect(OURS.fails("vol-download unit:0:0:1 /dev/null i") != "", "it was read")
    OURS.virsh("vol-create-as d v 1M", "pool-refresh d", "vol-delete v d")
    expect("roblem" in problem("i"), "the target has answered meanwhile")
    iscsi.restart(*TARGETS.values())
    wait_for_problem("i", False)
    expect(read_at(node_of_unit(1)) == "by the pool", "another content")
    OURS.virsh(f"vol-download unit:0:0:1 {WORK}/back i")


@long_case
def a_target_that_is_silent_is_noticed_and_its_return_too():
    iscsi.freeze()
    wait_for_problem("i", True)
    OURS.virsh("vol-create-as d v 1M", "pool-refresh d", "vol-delete v d")
    expect("roblem" in problem("i"), "the target has answered meanwhile")
    iscsi.thaw()
    wait_for_problem("i", False)
    OURS.virsh(f"vol-download unit:0:0:1 {WORK}/back i")


@long_case
def a_pool_without_its_target_is_stopped():
    iscsi.kill()
    wait_for_problem("i", True)
    OURS.virsh("pool-destroy i")
    expect_nothing_left()


@long_case
def a_start_without_a_target_ends_with_an_answer():
    expect_in("iscsiadm", OURS.fails("pool-start i"))
    expect_nothing_left()
    iscsi.restart(*TARGETS.values())


@long_case
def the_next_daemon_goes_on_with_the_session():
    OURS.virsh("pool-start i")
    OURS.stop(how=9)
    OURS.start()
    expect(wait_until(lambda: "unit:0:0:1" in OURS.virsh("vol-list i")[0]), "not listed")
    expect(len(sessions()) == 1, sessions())
    OURS.virsh("pool-destroy i")
    expect_nothing_left()
    OURS.stop()


# --- kill -9 ---------------------------------------------------------------------------------------

def embedded(*words, point=""):
    return run(os.path.join(BUILD, "cistern"), "--root", OURS.root, *words, check=False,
               env={"CISTERN_CRASH_AT": point})


def killed_at(point, words):
    """Whether this build has crash points."""
    status, text = embedded(*words, point=point)
    if status == 0:
        raise Skipped("this is no build with crash points")
    expect(status == -9, f"{point}: {status} {text}")


@long_case
def a_start_that_is_killed_is_gone_on_with():
    xml = definition("k", TARGETS["one"], initiator="iqn.2026-01.lab:k")
    embedded("pool-define", xml)
    for point in ("iscsi.iface.unnamed", "iscsi.start.iface", "iscsi.start.record",
                  "iscsi.start.login"):
        killed_at(point, ("pool-start", "k"))
        status, text = embedded("pool-start", "k")
        expect(status == 0 and len(sessions()) == 1, f"{point}: {text} {sessions()}")
        run("udevadm", "settle")
        embedded("pool-destroy", "k")
        expect_nothing_left()


@long_case
def a_stop_that_is_killed_is_gone_on_with():
    for point in ("iscsi.stop.logout", "iscsi.stop.records"):
        embedded("pool-start", "k")
        run("udevadm", "settle")
        killed_at(point, ("pool-destroy", "k"))
        # What is left is taken up by whichever comes next.
        embedded("pool-start", "k")
        run("udevadm", "settle")
        status, text = embedded("pool-destroy", "k")
        expect(status == 0, f"{point}: {text}")
        expect_nothing_left()


main()
