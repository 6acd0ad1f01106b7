# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pool commands, played on every stage."""

from harness.compare import scenario

MINIMAL = "<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"


def minimal(name, path):
    return MINIMAL.replace("{name}", name).replace("{path}", path)


@scenario
def tutorial_pool_from_the_first_command_to_the_last(s):
    """The commands of the Spanish-language tutorials, word for word."""
    s("pool-define-as vm-images dir --target {d}/vm-images")
    s("pool-build vm-images")
    s("pool-start vm-images")
    s("pool-autostart vm-images")
    s("pool-list --all")
    s("pool-info vm-images")
    s("pool-dumpxml vm-images")
    s("pool-refresh vm-images")
    s("vol-list --pool vm-images")
    s("pool-destroy vm-images")
    s("pool-delete vm-images")
    s("pool-undefine vm-images")
    s("pool-list --all")


@scenario
def tutorial_pool_from_a_file(s):
    s.file("pool.xml", minimal("images", "{d}/images"))
    s("pool-define {f}/pool.xml")
    s("pool-build images")
    s("pool-start images")
    s("pool-autostart images")
    s("pool-list --all --details")
    s("pool-dumpxml images")
    s("pool-dumpxml images --inactive")
    s("pool-autostart images --disable")
    s("pool-info images")
    s("pool-destroy images")
    s("pool-undefine images")


@scenario
def pool_directory_is_made_with_the_defined_permissions(s):
    s.file("p.xml", """<pool type='dir'><name>p</name><target><path>{d}/p</path>
        <permissions><mode>0750</mode><owner>1</owner><group>2</group></permissions>
        </target></pool>""")
    s("pool-define {f}/p.xml")
    s("pool-dumpxml p")
    s("pool-build p")
    s.sh("stat -c '%a %u %g %F' {d}/p")
    s("pool-start p")
    s("pool-dumpxml p")
    s("pool-dumpxml p --inactive")


@scenario
def pool_build_again_and_build_with_options(s):
    s("pool-define-as p dir --target {d}/a/b/p")
    s("pool-start p")
    s("pool-build p")
    s("pool-build p")
    s("pool-build p --overwrite")
    s("pool-build p --no-overwrite")
    s("pool-build p --overwrite --no-overwrite")
    s("pool-start p --build")
    s("pool-build p")
    s("pool-destroy p")
    s("pool-start p --build --no-overwrite")
    s("pool-list")


@scenario
def transient_pool_is_gone_after_destroy(s):
    s("pool-create-as t dir --target {d}/t")
    s("pool-create-as t dir --target {d}/t --build")
    s("pool-list")
    s("pool-list --transient")
    s("pool-list --persistent")
    s("pool-info t")
    s("pool-dumpxml t")
    s("pool-autostart t")
    s("pool-undefine t")
    s("pool-build t")
    s("pool-delete t")
    s("pool-refresh t")
    s("pool-destroy t")
    s("pool-list --all")
    s("pool-info t")


@scenario
def transient_pool_made_persistent(s):
    s.file("t.xml", minimal("t", "{d}/t"))
    s.sh("mkdir {d}/t")
    s("pool-create {f}/t.xml")
    s("pool-dumpxml t")
    s("pool-list --all --details")
    s("pool-create {f}/t.xml")
    s("pool-destroy t")
    s("pool-create {f}/t.xml --build")
    s("pool-dumpxml t > /dev/null")
    s("pool-info t")


@scenario
def undefine_an_active_pool(s):
    s("pool-define-as p dir --target {d}/p")
    s("pool-build p")
    s("pool-start p")
    s("pool-undefine p")
    s("pool-list --all")
    s("pool-destroy p")
    s("pool-undefine p")
    s("pool-undefine p")


@scenario
def calls_on_an_inactive_pool(s):
    s("pool-define-as p dir --target {d}/p")
    for command in ("pool-destroy p", "pool-refresh p", "vol-list p", "vol-list p --details",
                    "vol-create-as p v 1M", "vol-info v --pool p", "vol-delete v --pool p",
                    "vol-path v --pool p", "vol-key v --pool p", "pool-info p",
                    "pool-info p --bytes", "pool-dumpxml p", "pool-uuid p", "pool-list",
                    "pool-list --inactive", "pool-delete p", "vol-pool /nonexistent",
                    "vol-upload v {f}/x --pool p", "vol-resize v 1G --pool p"):
        s(command)


@scenario
def calls_on_a_missing_pool(s):
    for command in ("pool-start no", "pool-destroy no", "pool-refresh no", "pool-info no",
                    "pool-dumpxml no", "pool-uuid no", "pool-build no", "pool-delete no",
                    "pool-undefine no", "pool-autostart no", "vol-list no",
                    "vol-create-as no v 1M", "vol-info v --pool no", "vol-info v",
                    "vol-info /no/such/path", "vol-delete v --pool no", "vol-key v --pool no",
                    "vol-path v --pool no", "vol-pool v", "vol-dumpxml v --pool no",
                    "vol-wipe v --pool no", "vol-resize v 1G --pool no",
                    "vol-clone v w --pool no", "pool-edit no",
                    "pool-name 12345678-1234-1234-1234-123456789abc",
                    "pool-info 12345678-1234-1234-1234-123456789abc",
                    "pool-name not-a-uuid", "pool-uuid 12345678-1234-1234-1234-123456789abc"):
        s(command)


@scenario
def name_and_uuid(s):
    s.file("p.xml", "<pool type='dir'><name>p</name>"
           "<uuid>11111111-2222-3333-4444-555555555555</uuid>"
           "<target><path>{d}/p</path></target></pool>")
    s("pool-define {f}/p.xml")
    s("pool-uuid p")
    s("pool-name 11111111-2222-3333-4444-555555555555")
    s("pool-info 11111111-2222-3333-4444-555555555555")
    s("pool-dumpxml 11111111-2222-3333-4444-555555555555")
    s("pool-dumpxml 11111111222233334444555555555555")
    s("pool-list --all --uuid")
    s("pool-list --all --name")
    s("pool-list --all --name --uuid")
    s("pool-build 11111111-2222-3333-4444-555555555555")
    s("pool-start 11111111-2222-3333-4444-555555555555")
    s("pool-list --uuid")


@scenario
def duplicate_names_uuids_and_targets(s):
    s.file("a.xml", "<pool type='dir'><name>a</name>"
           "<uuid>11111111-2222-3333-4444-555555555555</uuid>"
           "<target><path>{d}/a</path></target></pool>")
    s.file("name.xml", "<pool type='dir'><name>a</name>"
           "<uuid>11111111-2222-3333-4444-555555555556</uuid>"
           "<target><path>{d}/b</path></target></pool>")
    s.file("uuid.xml", "<pool type='dir'><name>b</name>"
           "<uuid>11111111-2222-3333-4444-555555555555</uuid>"
           "<target><path>{d}/b</path></target></pool>")
    s.file("target.xml", minimal("c", "{d}/a"))
    s.file("slash.xml", minimal("c", "{d}/a/"))
    s.file("other.xml", minimal("a", "{d}/b"))
    s("pool-define {f}/a.xml")
    s("pool-define {f}/name.xml")
    s("pool-define {f}/uuid.xml")
    s("pool-define {f}/target.xml")
    s("pool-define {f}/slash.xml")
    s("pool-define {f}/other.xml")
    s("pool-dumpxml a --inactive")
    s("pool-define {f}/a.xml")
    s("pool-build a")
    s("pool-start a")
    s("pool-define {f}/a.xml")
    s("pool-define {f}/other.xml")
    s("pool-dumpxml a")
    s("pool-dumpxml a --inactive")
    s("pool-create {f}/a.xml")
    s("pool-create {f}/name.xml")
    s("pool-create {f}/uuid.xml")
    s("pool-create {f}/target.xml")
    s("pool-list --all")
    s("pool-destroy a")
    s("pool-dumpxml a")


@scenario
def redefine_while_active_shows_after_a_restart_of_the_pool(s):
    s.sh("mkdir {d}/one {d}/two")
    s.file("one.xml", minimal("p", "{d}/one"))
    s("pool-define {f}/one.xml")
    s("pool-start p")
    uuid = s("pool-uuid p")[1].strip()
    s.file("two.xml", f"<pool type='dir'><name>p</name><uuid>{uuid}</uuid>"
           "<target><path>{d}/two</path></target></pool>")
    s("pool-define {f}/two.xml")
    s("pool-dumpxml p")
    s("pool-dumpxml p --inactive")
    s("pool-destroy p")
    s("pool-start p")
    s("pool-dumpxml p")


@scenario
def every_list_filter(s):
    s.sh("mkdir {d}/a {d}/b {d}/c {d}/t")
    for name in "abc":
        s(f"pool-define-as {name} dir --target {{d}}/{name}")
    s("pool-start a")
    s("pool-start b")
    s("pool-autostart a")
    s("pool-autostart c")
    s("pool-create-as t dir --target {d}/t")
    for options in ("", "--all", "--inactive", "--persistent", "--transient", "--autostart",
                    "--no-autostart", "--all --persistent", "--inactive --autostart",
                    "--inactive --no-autostart", "--all --autostart --no-autostart",
                    "--all --persistent --transient", "--type dir", "--all --type dir",
                    "--all --type fs", "--all --type dir,logical", "--type nonsense",
                    "--all --type dir,nonsense", "--all --name", "--name", "--uuid",
                    "--all --details", "--details --persistent", "--details --name",
                    "--all --type rbd,zfs,gluster,iscsi,iscsi-direct,scsi,mpath,disk,netfs,logical"):
        s(f"pool-list {options}")


@scenario
def delete_refuses_what_is_not_empty(s):
    s("pool-define-as p dir --target {d}/p")
    s("pool-build p")
    s("pool-start p")
    s("pool-delete p")
    s("vol-create-as p v 1M")
    s("pool-destroy p")
    s("pool-delete p")
    s.sh("ls {d}/p")
    s.sh("rm {d}/p/v")
    s("pool-delete p")
    s("pool-delete p")
    s.sh("ls {d}")
    s("pool-start p")


@scenario
def definitions_and_links_on_disk(s):
    s("pool-define-as p dir --target {d}/p")
    s.sh("cd {r}; cat etc/libvirt/storage/p.xml; stat -c '%a %n' etc/libvirt/storage/p.xml")
    s("pool-autostart p")
    s.sh("cd {r}/etc/libvirt/storage; ls autostart; basename $(readlink autostart/p.xml)")
    s("pool-autostart p")
    s("pool-autostart p --disable")
    s("pool-autostart p --disable")
    s.sh("ls {r}/etc/libvirt/storage/autostart")
    s("pool-build p")
    s("pool-start p")
    s.sh("cat {r}/run/libvirt/storage/p.xml")
    s("pool-destroy p")
    s.sh("cd {r}/run/libvirt/storage; ls *.xml")
    s("pool-autostart p")
    s("pool-undefine p")
    s.sh("cd {r}/etc/libvirt/storage; find . -name '*.xml'")


@scenario
def bad_pool_xml(s):
    cases = {
        "empty": "", "text": "hello", "unclosed": "<pool type='dir'>", "other": "<volume/>",
        "no-type": "<pool><name>p</name></pool>",
        "bad-type": "<pool type='floppy'><name>p</name></pool>",
        "no-name": "<pool type='dir'><target><path>/x</path></target></pool>",
        "empty-name": minimal("", "/x"),
        "slash-name": minimal("a/b", "/x"),
        "dots-name": minimal("..", "/x"),
        "newline-name": minimal("a\nb", "/x"),
        "no-target": "<pool type='dir'><name>p</name></pool>",
        "no-path": "<pool type='dir'><name>p</name><target/></pool>",
        "empty-path": minimal("p", ""),
        "bad-uuid": "<pool type='dir'><name>p</name><uuid>xyz</uuid>"
                    "<target><path>/x</path></target></pool>",
        "bad-mode": "<pool type='dir'><name>p</name><target><path>/x</path><permissions>"
                    "<mode>999</mode></permissions></target></pool>",
        "big-mode": "<pool type='dir'><name>p</name><target><path>/x</path><permissions>"
                    "<mode>077777</mode></permissions></target></pool>",
        "bad-owner": "<pool type='dir'><name>p</name><target><path>/x</path><permissions>"
                     "<mode>0755</mode><owner>joe</owner></permissions></target></pool>",
        "bad-group": "<pool type='dir'><name>p</name><target><path>/x</path><permissions>"
                     "<mode>0755</mode><group>-7</group></permissions></target></pool>",
        "bomb": "<!DOCTYPE pool [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]>"
                "<pool type='dir'><name>&b;</name><target><path>/x</path></target></pool>",
        "external": "<!DOCTYPE pool [<!ENTITY a SYSTEM 'file:///etc/hostname'>]>"
                    "<pool type='dir'><name>x&a;</name><target><path>/x</path></target></pool>",
        "two-roots": minimal("p", "/x") * 2,
        "bad-refresh": "<pool type='dir'><name>p</name><target><path>/x</path></target>"
                       "<refresh><volume allocation='never'/></refresh></pool>",
        "fs-no-source": "<pool type='fs'><name>p</name><target><path>/x</path></target></pool>",
        "netfs-no-host": "<pool type='netfs'><name>p</name><source><dir path='/x'/></source>"
                         "<target><path>/x</path></target></pool>",
        "logical-no-name": "<pool type='logical'><source/></pool>",
        "disk-no-device": "<pool type='disk'><name>p</name><target><path>/dev</path></target>"
                          "</pool>",
    }
    for name, text in cases.items():
        s.file(name + ".xml", text)
        s(f"pool-define {{f}}/{name}.xml")
        s("pool-list --all --name")
    for name in ("empty", "no-type", "no-name", "slash-name", "no-target", "bad-uuid", "bad-mode"):
        s(f"pool-create {{f}}/{name}.xml")
    s("pool-define {f}/missing.xml")
    s("pool-list --all")


@scenario
def odd_but_accepted_pool_xml(s):
    s.file("spaces.xml", minimal("with space", "{d}/with space"))
    s.file("utf8.xml", minimal("almacén-ñandú", "{d}/almacén"))
    s.file("slashes.xml", minimal("slashes", "{d}//a///b/"))
    s.file("unknown.xml", "<pool type='dir'><name>unknown</name><title>x</title><color/>"
           "<capacity unit='GiB'>3</capacity><target><path>{d}/u</path><nothing/></target></pool>")
    s.file("refresh.xml", "<pool type='dir'><name>refresh</name><target><path>{d}/r</path></target>"
           "<refresh><volume allocation='capacity'/></refresh></pool>")
    s.file("dot.xml", minimal(".hidden", "{d}/h"))
    s.file("uuid.xml", "<pool type='dir'><name>u2</name>"
           "<uuid> 11111111-22223333-4444-555555555555 </uuid>"
           "<target><path>{d}/u2</path></target></pool>")
    s.file("perm.xml", "<pool type='dir'><name>perm</name><target><path>{d}/pm</path><permissions>"
           "<mode>0711</mode><owner>-1</owner><group>-1</group><label>virt_t</label>"
           "</permissions></target></pool>")
    s.file("mode.xml", "<pool type='dir'><name>mode</name><target><path>{d}/m</path><permissions>"
           "<mode>700</mode></permissions></target></pool>")
    for name in ("spaces", "utf8", "slashes", "unknown", "refresh", "dot", "uuid", "perm", "mode"):
        s(f"pool-define {{f}}/{name}.xml")
    for name in ("'with space'", "almacén-ñandú", "slashes", "unknown", "refresh", ".hidden", "u2",
                 "perm", "mode"):
        s(f"pool-dumpxml {name} --inactive")
    s("pool-list --all")


@scenario
def definitions_of_the_other_types_come_back_as_libvirt_writes_them(s):
    """Defined and shown only: what a backend does with them is tested with the backend."""
    cases = {
        "fs": "<source><device path='/dev/vdz9'/><format type='ext4'/></source>",
        "netfs": "<source><host name='nfs.example.org'/><dir path='/srv/images'/>"
                 "<format type='nfs'/><protocol ver='4'/></source>",
        "disk": "<source><device path='/dev/vdz'/><format type='gpt'/></source>",
        "logical": "<source><device path='/dev/vdz1'/><device path='/dev/vdz2'/>"
                   "<name>vg0</name><format type='lvm2'/></source>",
        "iscsi": "<source><host name='san.example.org' port='3261'/>"
                 "<device path='iqn.2003-01.org.example:x'/>"
                 "<auth type='chap' username='me'><secret usage='chap-secret'/></auth></source>",
        "scsi": "<source><adapter name='host0'/></source>",
        "mpath": "",
    }
    for kind, source in cases.items():
        s.file(kind + ".xml", f"<pool type='{kind}'><name>{kind}</name>{source}"
               "<target><path>/dev/cst-" + kind + "</path></target></pool>")
        s(f"pool-define {{f}}/{kind}.xml")
        s(f"pool-dumpxml {kind}")
    s("pool-list --all")
    s("pool-list --all --type logical,disk")
    s("pool-define-as nfs2 netfs --source-host a.example.org --source-path /b --target /dev/cst-n "
      "--source-format nfs")
    s("pool-dumpxml nfs2")
    s("pool-define-as lv logical --source-dev /dev/vdz3 --source-name vg7 --target /dev/vg7")
    s("pool-dumpxml lv")


@scenario
def print_xml_of_the_as_commands(s):
    s("pool-define-as p dir --target /x --print-xml")
    s("pool-create-as p dir --target /x --print-xml")
    s("pool-define-as p dir --print-xml")
    s("pool-define-as p netfs h /y --target /x --print-xml")
    s("pool-define-as p netfs --source-host h --source-path /y --source-format nfs --target /x "
      "--source-protocol-ver 4.1 --print-xml")
    s("pool-define-as p logical --source-name vg --source-dev /dev/a --target /x --print-xml")
    s("pool-define-as p iscsi --source-host h --source-dev iqn.a:b --target /x --auth-type chap "
      "--auth-username u --secret-usage s --print-xml")
    s("pool-define-as p rbd --source-host h --source-name pool --auth-type ceph --auth-username u "
      "--secret-uuid 11111111-2222-3333-4444-555555555555 --print-xml")
    s("pool-define-as p scsi --adapter-name host1 --target /x --print-xml")
    s("pool-define-as p scsi --adapter-wwnn 20000000c9831b4b --adapter-wwpn 10000000c9831b4b "
      "--adapter-parent scsi_host3 --target /x --print-xml")
    s("pool-define-as p iscsi-direct --source-host h --source-dev d --source-initiator i "
      "--print-xml")
    s("pool-define-as 'a<b&c' dir --target '/x/\"y' --print-xml")
    s("vol-create-as p v 10G --print-xml")
    s("pool-define-as")
    s("pool-define-as p")
    s("pool-define-as p dir")
    s("pool-define-as p nonsense --target /x")
    s("pool-define-as p dir --target /x --bogus")
    s("pool-define-as p netfs --target /x --auth-type chap --print-xml")


@scenario
def find_sources(s):
    s("find-storage-pool-sources dir")
    s("find-storage-pool-sources nonsense")
    s("find-storage-pool-sources")
    s("find-storage-pool-sources-as dir")
    s("find-storage-pool-sources-as nonsense")
    s("find-storage-pool-sources netfs")
    s.file("bad.xml", "<source")
    s("find-storage-pool-sources netfs {f}/bad.xml")
    s("find-storage-pool-sources netfs {f}/missing.xml")


@scenario
def start_without_the_directory_or_with_something_else_in_its_place(s):
    s("pool-define-as p dir --target {d}/p")
    s("pool-start p")
    s.sh("touch {d}/p")
    s("pool-start p")
    s("pool-build p")
    s.sh("rm {d}/p; ln -s {d}/nowhere {d}/p")
    s("pool-start p")
    s.sh("rm {d}/p; mkdir {d}/real; ln -s {d}/real {d}/p")
    s("pool-start p")
    s("pool-list --all")
    s("pool-destroy p")
    s("pool-start p")
    s("pool-start p")
    s("pool-list --all")


@scenario
def pool_edit_with_an_editor(s):
    s("pool-define-as p dir --target {d}/p")
    s("pool-edit p", env={"VISUAL": "sed -i 's,/p<,/q<,'"}.items())
    s("pool-dumpxml p")
    s("pool-edit p", env={"VISUAL": "true"}.items())
    s("pool-edit p", env={"VISUAL": "false"}.items())
    s("pool-edit p", env={"VISUAL": "sed -i 's,<name>p<,<name>z<,'"}.items())
    s("pool-list --all --name")


@scenario
def links_in_a_directory_that_others_may_write(s):
    s.sh("mkdir {d}/p; truncate -s 3M {d}/p/a; ln -s a {d}/p/link; ln {d}/p/a {d}/p/hard; "
         "chmod 777 {d}/p")
    s("pool-create-as p dir --target {d}/p")
    s("vol-list p")
    for name in ("link", "hard"):
        s(f"vol-info {name} --pool p")
        s(f"vol-resize {name} 5M --pool p")
        s(f"vol-wipe {name} --pool p")
        s(f"vol-delete {name} --pool p")
    s.sh("ls {d}/p; stat -c %s {d}/p/a")


@scenario
def refresh_sees_what_changed(s):
    s.sh("mkdir {d}/p; truncate -s 3M {d}/p/a; mkdir {d}/p/sub; ln -s a {d}/p/link; "
         "ln -s gone {d}/p/dangling; mkfifo {d}/p/fifo; ln -s loop {d}/p/loop; touch {d}/p/.hidden")
    s("pool-create-as p dir --target {d}/p")
    s("vol-list p")
    s("vol-list p --details")
    s.sh("truncate -s 5M {d}/p/a; rm {d}/p/link; touch {d}/p/new")
    s("pool-refresh p")
    s("vol-list p --details")
    for name in ("a", "sub", "dangling", "fifo", ".hidden"):
        s(f"vol-info {name} --pool p")
        s(f"vol-dumpxml {name} --pool p")
    s("vol-list p --type file")
    s("vol-list p --type dir")
