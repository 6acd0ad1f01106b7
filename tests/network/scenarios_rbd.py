# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands on RBD pools, played on every stage; all of them use the same Ceph, one after another."""

from harness import ceph
from harness.compare import scenario

START = """<pool type='rbd'><name>r</name><source><host name='{host}' port='{port}'/>
<name>libvirt</name>{auth}</source></pool>"""


def begin(s, auth=ceph.AUTH, source="libvirt", refresh=""):
    """The lab as on the first day, the secret, and the pool "r", defined."""
    lab = ceph.lab()
    lab.clear()
    s.file("secret.xml", ceph.SECRET)
    s.secret("secret-define {f}/secret.xml")
    s.secret(f"secret-set-value {ceph.UUID} {lab.key}")
    xml = START.format(host=lab.host, port=lab.port, auth=auth)
    xml = xml.replace("<name>libvirt<", f"<name>{source}<").replace("<source>", refresh + "<source>")
    s.file("r.xml", xml)
    s("pool-define {f}/r.xml")
    return lambda command: s.sh(f"CEPH_CONF={lab.conf} {command}")


@scenario
def rbd_pool_from_the_first_command_to_the_last(s):
    begin(s)
    s("pool-dumpxml r")
    s("pool-build r")
    s("pool-start r")
    s("pool-start r")
    s("pool-list --all")
    s("pool-autostart r")
    s("pool-dumpxml r --inactive")
    s("pool-refresh r")
    s("vol-list r")
    s("vol-list r --details")
    s("pool-destroy r")
    s("pool-refresh r")
    s("vol-list r")
    s("pool-delete r")
    s("pool-undefine r")
    s("pool-list --all")


@scenario
def rbd_volumes_created_shown_and_deleted(s):
    native = begin(s)
    s("pool-start r")
    s("vol-create-as r a 100M")
    s("vol-create-as r a 100M")
    s("vol-create-as r b 1G --allocation 0")
    s("vol-create-as r q 10M --format qcow2")
    s("vol-list r")
    s("vol-list r --details")
    s("vol-info a --pool r")
    s("vol-info a --pool r --bytes")
    s("vol-dumpxml a --pool r")
    s("vol-key a --pool r")
    s("vol-path a --pool r")
    s("vol-name libvirt/a")
    s("vol-pool libvirt/a")
    s("vol-info libvirt/b")
    s("vol-info nowhere --pool r")
    s("vol-dumpxml libvirt/nowhere")
    native("rbd -p libvirt ls")
    native("rbd -p libvirt info a | grep -v -e id: -e prefix: -e timestamp:")
    s("vol-delete b --pool r")
    s("vol-delete b --pool r")
    s("vol-delete libvirt/a")
    s("vol-list r")
    native("rbd -p libvirt ls")


@scenario
def rbd_volumes_resized_cloned_and_wiped(s):
    native = begin(s)
    s("pool-start r")
    s("vol-create-as r a 8M")
    s("vol-resize a 16M --pool r")
    s("vol-info a --pool r")
    s("vol-resize a 4M --pool r --delta")
    s("vol-resize a 8M --pool r")
    s("vol-resize a 8M --pool r --shrink")
    s("vol-info a --pool r")
    s("vol-clone a b --pool r")
    s("vol-clone a b --pool r")
    s("vol-list r")
    native("rbd -p libvirt ls")
    native("rbd -p libvirt info b | grep -o 'parent: libvirt/a@'")
    s("vol-wipe a --pool r")
    s("vol-wipe a --pool r --algorithm dod")
    s("vol-delete b --pool r")


@scenario
def rbd_snapshots_of_the_native_tool_and_deleting(s):
    native = begin(s)
    s("pool-start r")
    s("vol-create-as r a 8M")
    native("rbd -p libvirt snap create --no-progress a@one")
    s("vol-delete a --pool r")
    s("vol-list r")
    s("vol-delete a --pool r --delete-snapshots")
    s("vol-list r")
    native("rbd -p libvirt ls")


@scenario
def rbd_changes_of_the_native_tool(s):
    native = begin(s)
    native("rbd -p libvirt create before --size 8M")
    s("pool-start r")
    s("vol-list r")
    native("rbd -p libvirt create after --size 8M")
    native("rbd -p libvirt resize --no-progress before --size 16M")
    s("pool-refresh r")
    s("vol-list r")
    s("vol-info before --pool r")
    native("rbd -p libvirt mv after later")
    s("pool-refresh r")
    s("vol-list r")


@scenario
def rbd_allocation_by_the_definition(s):
    for mode in ("default", "capacity"):
        native = begin(s, refresh=f"<refresh><volume allocation='{mode}'/></refresh>")
        native("rbd -p libvirt create v --size 64M")
        native("rbd -p libvirt bench --io-type write --io-size 4M --io-total 8M v >/dev/null")
        s("pool-dumpxml r --inactive")
        s("pool-start r")
        s("vol-info v --pool r")
        s("pool-destroy r")


@scenario
def rbd_pools_that_cannot_start(s):
    begin(s, source="nowhere")
    s("pool-start r")
    s("pool-undefine r")
    begin(s, auth="<auth type='ceph' username='libvirt'><secret usage='nowhere'/></auth>")
    s("pool-start r")
    s("pool-undefine r")
    begin(s, auth="")
    s("pool-start r")
    s("pool-list --all")
