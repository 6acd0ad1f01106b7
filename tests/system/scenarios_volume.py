# SPDX-License-Identifier: LGPL-2.1-or-later
"""Volume commands, played on every stage."""

import os
import shutil

from harness import luks, space
from harness.compare import scenario


def pool(s, name="p"):
    s.sh(f"mkdir {{d}}/{name}")
    s(f"pool-create-as {name} dir --target {{d}}/{name}")


def vol(name, capacity="1048576", more="", target=""):
    return (f"<volume><name>{name}</name><capacity>{capacity}</capacity>{more}"
            f"<target>{target}</target></volume>")


@scenario
def create_raw_and_look_at_it(s):
    pool(s)
    s("vol-create-as p a 10M")
    s("vol-create-as p b 10M --allocation 0")
    s("vol-create-as p c 10M --allocation 4M")
    s("vol-create-as p d 10M --allocation 20M")
    s("vol-create-as p e.img 1048577 --format raw")
    s("vol-create-as p zero 0")
    for name in ("a", "b", "c", "d", "e.img", "zero"):
        s(f"vol-info {name} --pool p")
        s(f"vol-info {name} --pool p --bytes")
        s(f"vol-info {name} --pool p --bytes --physical")
        s(f"vol-dumpxml {name} --pool p")
    s("vol-list p")
    s("vol-list p --details")
    s.sh("cd {d}/p; stat -c '%n %s %b %a %u %g' *")
    s("vol-path a --pool p")
    s("vol-key a --pool p")
    s("vol-name {d}/p/a")
    s("vol-pool {d}/p/a")
    s("vol-pool {d}/p/a --uuid")
    s("vol-info {d}/p/a")
    s("vol-dumpxml {d}/p/a")


@scenario
def create_again_under_the_same_name(s):
    pool(s)
    s("vol-create-as p a 1M")
    s("vol-create-as p a 1M")
    s("vol-create-as p a 2M --format qcow2")
    s.sh("touch {d}/p/behind")
    s("vol-create-as p behind 1M")
    s.sh("stat -c %s {d}/p/behind")
    s.sh("ln -s nowhere {d}/p/dangling")
    s("vol-create-as p dangling 1M")
    s.sh("ls -A {d}/p")


@scenario
def change_what_qemu_has_open(s):
    pool(s)
    s("vol-create-as p v 4M")
    s.sh("echo new > {d}/data")
    # paced: qemu-io holds the volume until it is killed
    s.sh("qemu-io -f raw -c 'sleep 600000' {d}/p/v > {d}/io 2>&1 & echo $! > {d}/pid")
    s.sh("for i in $(seq 500); do "
         "grep -q \":$(stat -c %i {d}/p/v) \" /proc/locks && break; sleep 0.02; done")  # paced: between two looks
    for command in ("vol-resize v 8M --pool p", "vol-wipe v --pool p",
                    "vol-upload v {d}/data --pool p", "vol-delete v --pool p"):
        s(command)
    s.sh("kill $(cat {d}/pid)")


@scenario
def delete_and_delete_again(s):
    pool(s)
    s("vol-create-as p a 1M")
    s("vol-delete a --pool p")
    s("vol-delete a --pool p")
    s("vol-delete {d}/p/a")
    s("vol-create-as p b 1M")
    s("vol-delete {d}/p/b")
    s("vol-create-as p c 1M")
    s.sh("rm {d}/p/c")
    s("vol-delete c --pool p")
    s("vol-list p")
    s.sh("mkdir {d}/p/dir {d}/p/full; touch {d}/p/full/x")
    s("pool-refresh p")
    s("vol-delete dir --pool p")
    s("vol-delete full --pool p")
    s("vol-create-as p e 1M")
    s("vol-delete e --pool p --delete-snapshots")
    s.sh("rm -f {d}/p/e; ls {d}/p")


@scenario
def create_qcow2(s):
    pool(s)
    s("vol-create-as p a 1G --format qcow2")
    s("vol-create-as p meta 64M --format qcow2 --prealloc-metadata")
    s("vol-create-as p full 8M --format qcow2 --allocation 8M")
    s.file("v3.xml", vol("v3", "67108864", target="<format type='qcow2'/><compat>1.1</compat>"
                         "<features><lazy_refcounts/></features>"))
    s("vol-create p {f}/v3.xml")
    s.file("v2.xml", vol("v2", "67108864", target="<format type='qcow2'/><compat>0.10</compat>"))
    s("vol-create p {f}/v2.xml")
    s.file("lazy2.xml", vol("lazy2", "67108864", target="<format type='qcow2'/>"
           "<compat>0.10</compat><features><lazy_refcounts/></features>"))
    s("vol-create p {f}/lazy2.xml")
    s.file("badcompat.xml", vol("bc", target="<format type='qcow2'/><compat>7</compat>"))
    s("vol-create p {f}/badcompat.xml")
    s.file("cluster.xml", vol("cl", "67108864", target="<format type='qcow2'/>"
           "<clusterSize unit='KiB'>128</clusterSize>"))
    s("vol-create p {f}/cluster.xml")
    s.file("v3plain.xml", vol("v3plain", "67108864", target="<format type='qcow2'/>"
                              "<compat>1.1</compat>"))
    s("vol-create p {f}/v3plain.xml")
    s("pool-refresh p")
    for name in ("a", "meta", "full", "v3", "v2", "lazy2", "cl", "v3plain"):
        s(f"vol-info {name} --pool p --bytes")
        s(f"vol-dumpxml {name} --pool p")
    s("vol-list p --details")
    s.sh("for f in {d}/p/*; do qemu-img info $f | grep -v -e 'disk size' -e '^image'; "
         "qemu-img check $f | grep -v -e 'offset' -e allocated; done")


@scenario
def create_qcow(s):
    """Version 1, which has neither preallocation nor a place for its backing file's format."""
    pool(s)
    s("vol-create-as p a 64M --format qcow")
    s("vol-create-as p base 8M --format qcow")
    s("vol-create-as p over 8M --format qcow --backing-vol base --backing-vol-format qcow")
    s.file("x.xml", vol("x", "67108864", target="<format type='qcow'/>"))
    s("vol-create p {f}/x.xml")
    s("pool-refresh p")
    for name in ("a", "base", "over", "x"):
        s(f"vol-dumpxml {name} --pool p")
    s("vol-info over --pool p --bytes")
    s("vol-list p --details")
    s.sh("for f in {d}/p/*; do qemu-img info $f | grep -v -e 'disk size' -e '^image'; done")
    s("vol-clone a b --pool p")
    s("vol-dumpxml b --pool p")
    s("vol-delete a --pool p")


@scenario
def create_qed(s):
    """QEMU writes its L1 table out, which is a hole here: allocations are not compared."""
    pool(s)
    s("vol-create-as p a 64M --format qed")
    s("vol-create-as p base 8M --format raw")
    s("vol-create-as p over 8M --format qed --backing-vol base --backing-vol-format raw")
    s("pool-refresh p")
    s("vol-list p")
    s("vol-clone a b --pool p")
    s("vol-resize a 128M --pool p")
    s.sh("for f in a over b; do qemu-img info {d}/p/$f | grep -v -e 'disk size' -e '^image'; "
         "qemu-img check {d}/p/$f; done")
    s("vol-delete a --pool p")


@scenario
def create_with_backing(s):
    pool(s)
    s("vol-create-as p base 32M --format qcow2")
    s("vol-create-as p rawbase 32M")
    s("vol-create-as p over 32M --format qcow2 --backing-vol base --backing-vol-format qcow2")
    s("vol-create-as p over2 64M --format qcow2 --backing-vol rawbase --backing-vol-format raw")
    s("vol-create-as p over3 64M --format qcow2 --backing-vol {d}/p/over "
      "--backing-vol-format qcow2")
    s("vol-create-as p bad1 64M --format qcow2 --backing-vol nothere --backing-vol-format raw")
    s("vol-create-as p bad2 64M --format qcow2 --backing-vol base --backing-vol-format floppy")
    s("vol-create-as p bad3 64M --backing-vol base --backing-vol-format qcow2")
    s.file("gone.xml", vol("gone", more="<backingStore><path>{d}/p/nowhere</path>"
           "<format type='qcow2'/></backingStore>", target="<format type='qcow2'/>"))
    s("vol-create p {f}/gone.xml")
    s.file("rel.xml", vol("rel", "33554432", more="<backingStore><path>base</path>"
           "<format type='qcow2'/></backingStore>", target="<format type='qcow2'/>"))
    s("vol-create p {f}/rel.xml")
    s("pool-refresh p")
    for name in ("over", "over2", "over3", "rel"):
        s(f"vol-dumpxml {name} --pool p")
    s("vol-list p")
    s("vol-list p --details")
    s.sh("for f in over over2 over3; do qemu-img info --backing-chain {d}/p/$f |"
         " grep -e backing -e format; done")
    s("vol-delete base --pool p")
    s.sh("rm -f {d}/p/base")
    s("pool-refresh p")
    s("vol-list p")
    s("vol-dumpxml over --pool p")


@scenario
def volume_permissions(s):
    pool(s)
    for mode in ("0600", "0644", "0444", "600", "0", "07777"):
        s.file("v.xml", vol("m" + mode, target=f"<permissions><mode>{mode}</mode>"
               "<owner>3</owner><group>4</group></permissions>"))
        s("vol-create p {f}/v.xml")
        s(f"vol-dumpxml m{mode} --pool p")
        s.file("q.xml", vol("q" + mode, target="<format type='qcow2'/><permissions>"
               f"<mode>{mode}</mode><owner>3</owner><group>4</group></permissions>"))
        s("vol-create p {f}/q.xml")
    s.sh("cd {d}/p; stat -c '%n %a %u %g' *")
    s.file("label.xml", vol("lab", target="<permissions><mode>0600</mode><label>foo_t</label>"
                            "</permissions>"))
    s("vol-create p {f}/label.xml")
    s("vol-list p")


@scenario
def units_of_the_xml(s):
    pool(s)
    for number, unit in enumerate(("", "B", "bytes", "KB", "K", "k", "KiB", "MB", "M", "MiB")):
        s.file("v.xml", f"<volume><name>v{number}</name><capacity unit='{unit}'>3</capacity>"
               f"<allocation unit='{unit}'>0</allocation></volume>")
        s("vol-create p {f}/v.xml")
    for number, unit in enumerate(("G", "GiB", "GB", "T", "TiB", "P", "E", "Z", "kib", "XB", "Mib",
                                   " M", "5")):
        s.file("v.xml", f"<volume><name>big{number}</name><capacity unit='{unit}'>3</capacity>"
               "<allocation>0</allocation></volume>")
        s("vol-create p {f}/v.xml")
    s("vol-list p")
    s.sh("cd {d}/p; stat -c '%n %s' *")


@scenario
def sizes_of_the_command_line(s):
    pool(s)
    for number, size in enumerate(("1", "1b", "512B", "1k", "1K", "1KB", "1KiB", "2M", "2MB",
                                   "2MiB", "1.5M", "-1", "-1M", "abc", "", "1X", "1 M", "0x10",
                                   "007", "+5", "99999999999999999999", "16E", "15E", "8E", "1Z",
                                   "9223372036854775807", "9223372036854775808")):
        s(f"vol-create-as p v{number} '{size}' --allocation 0")
    s("vol-create-as p x 1M --allocation -1")
    s("vol-create-as p x 1M --allocation 99999999999999999999999")
    s("vol-list p")
    s.sh("cd {d}/p; stat -c '%n %s' *")


@scenario
def bad_volume_xml(s):
    pool(s)
    cases = {
        "empty": "", "text": "nothing", "pool": "<pool type='dir'><name>x</name></pool>",
        "no-name": "<volume><capacity>1</capacity></volume>",
        "empty-name": vol(""), "slash": vol("a/b"), "dotdot": vol(".."), "dot": vol("."),
        "parent": vol("../escape"), "absolute": vol("/etc/evil"),
        "newline": vol("a\nb"), "tab": vol("a\tb"), "control": vol("a\x01b"),
        "no-capacity": "<volume><name>nc</name></volume>",
        "negative": vol("neg", "-1"), "word": vol("word", "many"), "float": vol("fl", "1.5"),
        "overflow": vol("ov", "99999999999999999999"),
        "overflow-unit": "<volume><name>ou</name><capacity unit='EiB'>99</capacity></volume>",
        "bad-allocation": vol("ba", more="<allocation>x</allocation>"),
        "negative-allocation": vol("na", more="<allocation>-5</allocation>"),
        "bad-format": vol("bf", target="<format type='floppy'/>"),
        "bad-type": "<volume type='chip'><name>bt</name><capacity>1</capacity></volume>",
        "bad-mode": vol("bm", target="<permissions><mode>88</mode></permissions>"),
        "bad-backing": vol("bb", more="<backingStore><format type='qcow2'/></backingStore>",
                           target="<format type='qcow2'/>"),
        "bad-backing-format": vol("bbf", more="<backingStore><path>/x</path>"
                                  "<format type='floppy'/></backingStore>",
                                  target="<format type='qcow2'/>"),
        "bad-feature": vol("bft", target="<format type='qcow2'/><compat>1.1</compat><features>"
                           "<levitation/></features>"),
        "bomb": "<!DOCTYPE v [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;'>]>" + vol("&b;"),
        "external": "<!DOCTYPE v [<!ENTITY a SYSTEM 'file:///etc/hostname'>]>" + vol("x&a;"),
        "dir-format": vol("df", target="<format type='dir'/>"),
        "iso-format": vol("if", target="<format type='iso'/>"),
        "long": vol("n" * 300),
    }
    for name, text in cases.items():
        s.file(name + ".xml", text)
        s(f"vol-create p {{f}}/{name}.xml")
    s("vol-create p {f}/missing.xml")
    s.sh("ls -A {d}/p; ls {d}")
    s("vol-list p")


@scenario
def formats_that_libvirt_names(s):
    pool(s)
    s("vol-create-as p source 1M")
    for name in ("none raw dir bochs cloop dmg iso vpc vdi fat cow qcow2 vmdk floppy").split():
        s(f"vol-create-as p {name} 1M --format {name}")
        s(f"vol-dumpxml {name} --pool p")
        s.sh(f"stat -c '%F %a' {{d}}/p/{name}")
    s("vol-create-as p sparse 1M --format iso --allocation 1M")
    s.sh("stat -c %s {d}/p/sparse")
    for more in ("--prealloc-metadata", "--backing-vol source --backing-vol-format raw"):
        for name in ("iso", "dir"):
            s(f"vol-create-as p no 1M --format {name} {more}")
    s.sh("dd if=/dev/urandom of={d}/p/source bs=1k count=100 conv=notrunc 2>/dev/null")
    s.file("iso.xml", vol("medium", "1048576", target="<format type='iso'/>"))
    s.file("qcow2.xml", vol("image", "1048576", target="<format type='qcow2'/>"))
    s("vol-create-from p {f}/iso.xml source --inputpool p")
    s("vol-create-from p {f}/qcow2.xml medium --inputpool p")
    s.sh("cmp {d}/p/source {d}/p/medium; qemu-img compare {d}/p/source {d}/p/image")
    s("vol-clone medium copy --pool p")
    s("vol-resize copy 2M --pool p")
    s.sh("stat -c %s {d}/p/copy")


@scenario
def names_of_the_command_line(s):
    pool(s)
    s("vol-create-as p a/b 1M")
    s("vol-create-as p .. 1M")
    s("vol-create-as p . 1M")
    s("vol-create-as p '' 1M")
    s("vol-create-as p 'with space' 1M")
    s("vol-create-as p ñandú.img 1M")
    s("vol-create-as p .hidden 1M")
    s("vol-create-as p 'a&<b' 1M")
    s("vol-create-as p -- -dash 1M")
    s("vol-list p")
    s("vol-dumpxml 'a&<b' --pool p")
    s("vol-info 'with space' --pool p")
    s("vol-path ñandú.img --pool p")
    s.sh("ls -A {d}/p")


@scenario
def clone_within_a_pool(s):
    pool(s)
    s("vol-create-as p a 4M --allocation 0")
    s.sh("printf 'magic at the start' | dd of={d}/p/a conv=notrunc 2>&1 | tail -n 0;"
         "printf 'magic further on' | dd of={d}/p/a bs=1 seek=3000000 conv=notrunc 2>/dev/null")
    s("vol-clone a b --pool p")
    s("vol-clone a b --pool p")
    s("vol-clone nothere c --pool p")
    s("vol-clone {d}/p/a c")
    s("vol-clone a d --pool p --prealloc-metadata")
    s("vol-clone a x/y --pool p")
    s.sh("cd {d}/p; cmp a b; cmp a c; ls; stat -c '%n %s' *")
    s("vol-dumpxml b --pool p")
    s("vol-create-as p q 4M --format qcow2")
    s.sh("qemu-io -c 'write -P 7 1M 1M' {d}/p/q >/dev/null")
    s("vol-clone q q2 --pool p")
    s.sh("qemu-img compare {d}/p/q {d}/p/q2; qemu-img check {d}/p/q2 | head -n 1")
    s("pool-refresh p")
    s("vol-dumpxml q2 --pool p")
    s("vol-list p")


@scenario
def create_from_across_formats_and_pools(s):
    pool(s)
    pool(s, "o")
    s("vol-create-as p raw 4M --allocation 0")
    s.sh("qemu-io -f raw -c 'write -P 9 1M 512k' {d}/p/raw >/dev/null")
    s.file("q.xml", vol("q", "4194304", target="<format type='qcow2'/>"))
    s.file("r.xml", vol("r", "4194304", target="<format type='raw'/>"))
    s.file("small.xml", vol("small", "1048576", target="<format type='raw'/>"))
    s.file("large.xml", vol("large", "8388608", target="<format type='raw'/>"))
    s.file("vmdk.xml", vol("vm", "4194304", target="<format type='vmdk'/>"))
    s("vol-create-from p {f}/q.xml nothing")
    s("vol-create-from o {f}/q.xml raw --inputpool p")
    s("vol-create-from o {f}/q.xml raw --inputpool p")
    s("vol-create-from o {f}/r.xml q --inputpool p")
    s("vol-create-from o {f}/small.xml raw --inputpool p")
    s("vol-create-from o {f}/large.xml raw --inputpool p")
    s("vol-create-from o {f}/r.xml nothere --inputpool p")
    s("vol-create-from o {f}/r.xml raw --inputpool none")
    s("vol-create-from none {f}/r.xml raw --inputpool p")
    s.sh("cd {d}; qemu-img compare -f raw -F qcow2 p/raw p/q;"
         "qemu-img compare -f raw -F qcow2 p/raw o/q; cmp p/raw o/r")
    s("pool-refresh o")
    for name in ("q", "r", "small", "large"):
        s(f"vol-dumpxml {name} --pool o")
    s("vol-list o")


@scenario
def resize_raw(s):
    pool(s)
    s("vol-create-as p a 4M --allocation 0")
    s("vol-resize a 8M --pool p")
    s("vol-info a --pool p --bytes")
    s("vol-resize a 1M --pool p --delta")
    s("vol-resize a 2M --pool p")
    s("vol-resize a 2M --pool p --shrink")
    s("vol-resize a 1M --pool p --delta --shrink")
    s("vol-resize a -1M --pool p --delta --shrink")
    s("vol-resize a -- -1M --pool p")
    s("vol-resize a 12M --pool p --allocate")
    s("vol-info a --pool p --bytes")
    s("vol-resize a 12M --pool p")
    s("vol-resize a abc --pool p")
    s("vol-resize a 99999999999999999999 --pool p")
    s("vol-resize nothere 1M --pool p")
    s("vol-resize a 1G --pool p --allocate")
    s.sh("stat -c '%s' {d}/p/a")
    s("vol-info a --pool p --bytes")


@scenario
def shrink_below_what_is_allocated(s):
    pool(s)
    s("vol-create-as p a 4M")
    s("vol-resize a 1M --pool p")
    s("vol-resize a 1M --pool p --shrink")


@scenario
def resize_qcow2(s):
    pool(s)
    s("vol-create-as p q 4M --format qcow2")
    s("vol-resize q 8M --pool p")
    s("vol-info q --pool p")
    s.sh("qemu-img info {d}/p/q | grep virtual; qemu-img check {d}/p/q | head -n 1")
    s("vol-resize q 2M --pool p")
    s("vol-resize q 2M --pool p --shrink")
    s("vol-resize q 3M --delta --pool p")
    s("vol-info q --pool p")
    s.sh("qemu-img info {d}/p/q | grep virtual; qemu-img check {d}/p/q | head -n 1")


@scenario
def upload_and_download(s):
    pool(s)
    s.sh("head -c 1000000 /dev/urandom > {f}/in")
    s("vol-create-as p a 1000000")
    s("vol-upload a {f}/in --pool p")
    s("vol-download a {f}/out --pool p")
    s.sh("cmp {f}/in {f}/out && stat -c %s {f}/out")
    s("vol-download a {f}/part --pool p --offset 1000 --length 5000")
    s.sh("stat -c %s {f}/part; cmp -i 1000:0 -n 5000 {f}/in {f}/part")
    s("vol-upload a {f}/in --pool p --offset 500 --length 100")
    s.sh("cmp -n 500 {d}/p/a {f}/in; stat -c %s {d}/p/a")
    s("vol-upload a {f}/in --pool p --length 1000")
    s("vol-upload a {f}/in --pool p --offset 900000")
    s.sh("stat -c %s {d}/p/a")
    s("vol-download a {f}/none --pool p --offset 99999999")
    s.sh("stat -c %s {f}/none")
    s("vol-upload a {f}/missing --pool p")
    s("vol-upload nothere {f}/in --pool p")
    s("vol-download nothere {f}/x --pool p")
    s("vol-download a /nonexistent/dir/x --pool p")
    s("vol-upload a {f}/in --pool p --offset -1")
    s("vol-upload a {f}/in --pool p --length -1")
    s("vol-upload {d}/p/a {f}/in")
    s("vol-info a --pool p --bytes")


@scenario
def sparse_upload_and_download(s):
    pool(s)
    s.sh("truncate -s 8M {f}/in; printf x | dd of={f}/in bs=1 seek=4194304 conv=notrunc 2>/dev/null")
    s("vol-create-as p a 8M --allocation 0")
    s("vol-upload a {f}/in --pool p --sparse")
    s.sh("cmp {f}/in {d}/p/a; stat -c %b {d}/p/a")
    s("vol-download a {f}/out --pool p --sparse")
    s.sh("cmp {f}/in {f}/out; stat -c '%s %b' {f}/out")
    s("vol-download a {f}/part --pool p --sparse --offset 1048576 --length 4194304")
    s.sh("stat -c '%s %b' {f}/part; cmp -i 1048576:0 -n 4194304 {f}/in {f}/part")
    s.sh("truncate -s 3M {f}/hole")
    s("vol-create-as p h 3M --allocation 0")
    s("vol-upload h {f}/hole --pool p --sparse")
    s("vol-download h {f}/h --pool p --sparse")
    s.sh("stat -c '%s %b' {f}/h {d}/p/h")


@scenario
def wipe_with_every_algorithm(s):
    pool(s)
    s("vol-create-as p a 64k")
    for algorithm in ("zero", "nnsa", "dod", "bsi", "gutmann", "schneier", "pfitzner7",
                      "pfitzner33", "random", "trim", "nonsense"):
        s(f"vol-wipe a --pool p --algorithm {algorithm}")
    s.sh("printf secret > {d}/p/a; truncate -s 64k {d}/p/a")
    s("vol-wipe a --pool p")
    s.sh("cmp -n 65536 {d}/p/a /dev/zero; stat -c %s {d}/p/a")
    s("vol-wipe nothere --pool p")
    s("vol-wipe {d}/p/a")
    s("vol-create-as p q 1M --format qcow2")
    s("vol-wipe q --pool p")
    s.sh("stat -c %s {d}/p/q")


@scenario
def other_formats_are_recognised(s):
    pool(s)
    s.sh("cd {d}/p; for f in qcow2 qcow vmdk vdi vpc vhdx qed parallels; do"
         " qemu-img create -q -f $f disk.$f 16M || true; done;"
         "head -c 65536 /dev/zero > blank; printf 'QFI\\373' > short; printf 'QFI\\373\\0\\0' > short2")
    encrypted = space.path("luks")
    if not os.path.exists(encrypted):  # once for all stages: it takes seconds
        luks.create(encrypted, "1M")
    shutil.copy(encrypted, os.path.join(s.peer.dir, "p", "l"))
    s("pool-refresh p")
    s("vol-list p --details")
    for name in ("disk.qcow2", "disk.qcow", "disk.vmdk", "disk.vdi", "disk.vpc", "disk.vhdx",
                 "disk.qed", "disk.parallels", "l", "blank", "short", "short2"):
        s(f"vol-dumpxml {name} --pool p")
        s(f"vol-info {name} --pool p --bytes")


@scenario
def usage_errors(s):
    for command in ("vol-create-as", "vol-create-as p", "vol-create-as p v", "vol-create",
                    "vol-info", "vol-delete", "vol-clone a", "vol-resize a", "vol-upload a",
                    "vol-list", "vol-list a b", "vol-info a --bogus", "vol-info --pool", "vol-x",
                    "pool-x", "nonsense", "vol-info a b c", "vol-create-as p v 1M --format",
                    "pool-autostart", "pool-info a b"):
        s(command)


@scenario
def volumes_by_key_path_and_foreign_pool(s):
    pool(s)
    pool(s, "o")
    s("vol-create-as p v 1M")
    s("vol-create-as o w 1M")
    s("vol-info {d}/p/v --pool p")
    s("vol-info {d}/p/v --pool o")
    s("vol-info v --pool o")
    s("vol-info v")
    s("vol-key {d}/p/v")
    s("vol-path {d}/p/v")
    s("vol-name {d}/p//v")
    s("vol-name {d}/p/../p/v")
    s("vol-name v --pool p")
    s("vol-name nothere")
    s("vol-pool v")
    s("vol-pool {d}/o/w")
    s("vol-delete {d}/o/w --pool p")


@scenario
def create_with_nocow_timestamps_and_unknown_elements(s):
    pool(s)
    s.file("a.xml", vol("a", target="<nocow/><timestamps><atime>1.2</atime></timestamps>"
           "<bogus/>", more="<physical>77</physical><key>/wrong</key>"))
    s("vol-create p {f}/a.xml")
    s("vol-dumpxml a --pool p")
    s.file("b.xml", vol("b", target="<path>/somewhere/else</path>"))
    s("vol-create p {f}/b.xml")
    s("vol-dumpxml b --pool p")
    s.file("c.xml", vol("c", target="<format type='qcow2'/><encryption format='luks'/>"))
    s("vol-create p {f}/c.xml")
    s.file("d.xml", vol("d", target="<format type='qcow2'/><encryption format='qcow'/>"))
    s("vol-create p {f}/d.xml")
    s.sh("ls {d}/p")
