# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands on iscsi-direct pools, played on every stage; all of them use the same target."""

from harness import tgt
from harness.compare import scenario

MIB = 1 << 20
XML = """<pool type='iscsi-direct'><name>i</name><source><host name='127.0.0.1' port='3260'/>
<device path='{target}'/><initiator><iqn name='{initiator}'/></initiator>{auth}</source></pool>"""


def begin(s, auth=""):
    """A target with two units, which stock shows one block too small, and the pool, defined."""
    server = tgt.server()
    server.clear()
    target = server.target("s", ())
    for size in (8 * MIB, 16 * MIB):
        target.add(size, thin=False)
    s.file("i.xml", XML.format(target=target.iqn, initiator=tgt.INITIATOR, auth=auth))
    s("pool-define {f}/i.xml")
    return target


@scenario
def iscsi_direct_pool_from_the_first_command_to_the_last(s):
    begin(s)
    s("pool-dumpxml i")
    s("pool-build i")
    s("pool-start i")
    s("pool-start i")
    s("pool-list --all")
    s("pool-info i")
    s("pool-autostart i")
    s("pool-dumpxml i --inactive")
    s("pool-refresh i")
    s("vol-list i")
    s("pool-destroy i")
    s("pool-refresh i")
    s("vol-list i")
    s("pool-delete i")
    s("pool-undefine i")
    s("pool-list --all")


@scenario
def iscsi_direct_volumes_shown(s):
    target = begin(s)
    path = f"ip-127.0.0.1:3260-iscsi-{target.iqn}-lun-1"
    s("pool-start i")
    s("vol-list i --details")
    s("vol-info unit:0:0:1 --pool i")
    s("vol-info unit:0:0:1 --pool i --bytes")
    s("vol-dumpxml unit:0:0:2 --pool i")
    s("vol-key unit:0:0:1 --pool i")
    s("vol-path unit:0:0:1 --pool i")
    s(f"vol-name {path}")
    s(f"vol-pool {path}")
    s(f"vol-info {path}")
    s("vol-info unit:0:0:9 --pool i")
    s("vol-dumpxml nowhere")


@scenario
def iscsi_direct_volumes_are_not_made(s):
    begin(s)
    s("pool-start i")
    s("vol-create-as i new 1M")
    s("vol-clone unit:0:0:1 new --pool i")
    s("vol-delete unit:0:0:1 --pool i")
    s("vol-resize unit:0:0:1 20M --pool i")
    s("vol-list i")


@scenario
def iscsi_direct_volumes_wiped(s):
    target = begin(s)
    s("pool-start i")
    s.sh(f"yes | dd of={target.path(2)} bs=1M count=16 iflag=fullblock conv=notrunc 2>&1 | head -2")
    s("vol-wipe unit:0:0:2 --pool i")
    s.sh(f"tr -d '\\0' <{target.path(2)} | wc -c; stat -c %s {target.path(2)}")


@scenario
def iscsi_direct_targets_found(s):
    begin(s)
    s("find-storage-pool-sources-as iscsi-direct 127.0.0.1 3260 iqn.2026-01.test:initiator")
    s("find-storage-pool-sources-as iscsi-direct 127.0.0.1 --initiator iqn.2026-01.test:initiator")
    s("find-storage-pool-sources-as iscsi-direct 127.0.0.1")
    s("find-storage-pool-sources iscsi-direct")


@scenario
def iscsi_direct_definitions_refused(s):
    target = begin(s)
    for name, source in (
            ("nohost", f"<device path='{target.iqn}'/><initiator><iqn name='x'/></initiator>"),
            ("nodevice", "<host name='h'/><initiator><iqn name='x'/></initiator>"),
            ("noiqn", f"<host name='h'/><device path='{target.iqn}'/>")):
        s.file("p.xml", f"<pool type='iscsi-direct'><name>{name}</name><source>{source}</source>"
                        "</pool>")
        s("pool-define {f}/p.xml")
    # Stock libvirtd dies of a pool without a device when that is started.


@scenario
def iscsi_direct_two_pools_on_one_target(s):
    target = begin(s)
    s("pool-start i")
    xml = XML.format(target=target.iqn, initiator=tgt.INITIATOR, auth="")
    s.file("j.xml", xml.replace("<name>i<", "<name>j<"))
    s("pool-define {f}/j.xml")
    s("pool-start j")
    s("vol-list j")
