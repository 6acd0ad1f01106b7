# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands on Gluster pools, played on every stage; all of them use the same volume, one after another.

Stock libvirt neither makes nor changes volumes there, so what is compared is what it can."""

import os

from harness import gluster
from harness.compare import scenario

XML = """<pool type='gluster'><name>g</name><source><host name='{host}'{port}/>
<dir path='{dir}'/><name>{volume}</name></source></pool>"""


def begin(s, directory="/", volume=gluster.VOLUME, port="", start=True):
    """The lab as on the first day, with some files, and the pool "g"."""
    lab = gluster.lab()
    lab.clear()
    lab.client("mkdir /folder\nmkdir /sub\nmkdir /sub/dir\nwrite /file 12345\nsymlink file /link\n"
               "symlink nowhere /dangling\nsymlink folder /to-folder\nwrite /sub/dir/below 4096")
    lab.client("write /with_blank?# 1")
    s.file("g.xml", XML.format(host=lab.host, dir=directory, volume=volume, port=port))
    s("pool-define {f}/g.xml")
    if start:
        s("pool-start g")
    return lab


def images(lab):
    for form in ("qcow2", "vdi", "vmdk", "vpc", "qed"):
        os.system(f"qemu-img create -q -f {form} {lab.dir}/i 10M >/dev/null && "
                  f"cp --sparse=always {lab.dir}/i {lab.path('i.' + form)} && "
                  f"sync {lab.path('i.' + form)}")


@scenario
def gluster_pool_from_the_first_command_to_the_last(s):
    begin(s, start=False)
    s("pool-dumpxml g")
    s("pool-build g")
    s("pool-start g")
    s("pool-start g")
    s("pool-list --all")
    s("pool-autostart g")
    s("pool-dumpxml g --inactive")
    s("pool-refresh g")
    s("vol-list g")
    s("pool-destroy g")
    s("vol-list g")
    s("pool-delete g")
    s("pool-undefine g")
    s("pool-list --all")


@scenario
def gluster_volumes_shown(s):
    lab = begin(s)
    images(lab)
    s("pool-refresh g")
    s("vol-list g")
    s("vol-list g --details")
    for name in ("file", "link", "folder", "to-folder", "i.qcow2", "i.vdi", "i.vmdk", "i.vpc", "i.qed"):
        s(f"vol-info {name} --pool g")
        s(f"vol-info {name} --pool g --bytes")
        s(f"vol-dumpxml {name} --pool g")
        s(f"vol-key {name} --pool g")
        s(f"vol-path {name} --pool g")
    url = lab.url()
    s(f"vol-name {url}file")
    s(f"vol-pool {url}file")
    s(f"vol-info {url}link")
    s("vol-info dangling --pool g")
    s("vol-info nowhere --pool g")
    s(f"vol-dumpxml {url}nowhere")
    s("vol-key 'with_blank?#' --pool g")


@scenario
def gluster_volumes_deleted(s):
    begin(s)
    s("vol-delete link --pool g")
    s("vol-delete file --pool g")
    s("vol-delete file --pool g")
    s("vol-list g")


@scenario
def gluster_directories_and_ports(s):
    begin(s, directory="/sub//dir/", port=" port='24007'")
    s("pool-dumpxml g")
    s("vol-list g")
    s("vol-key below --pool g")


@scenario
def gluster_pools_that_cannot_start(s):
    for how in ({"volume": "nowhere"}, {"volume": "a/b"}, {"directory": "/missing"},
                {"directory": "relative"}):
        begin(s, start=False, **how)
        s("pool-start g")
        s("pool-undefine g")


@scenario
def gluster_sources(s):
    lab = gluster.lab()
    s("find-storage-pool-sources gluster")
    s(f"find-storage-pool-sources-as gluster {lab.host}")
