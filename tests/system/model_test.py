# SPDX-License-Identifier: LGPL-2.1-or-later
"""The documents of tests/golden against stock libvirtd: what it prints, leaves on disk and refuses.

Ours is build/tests/tools/cst-xml, which parses and prints one document. libvirtd has to take the
same document through define or create, and what it says and shows must be the same, except for
DIFFERENT below.
"""

import os
import re
import subprocess
import unittest

from harness import peers, space

try:
    import libvirt
except ImportError:
    libvirt = None

GOLDEN = os.path.join(space.TOP, "tests/golden")
TOOL = os.path.join(space.BUILD, "tests/tools/cst-xml")

# (reason, document, (their code, message), (our code, message)): all patterns; anything else that
# differs is a defect. An empty pattern matches everything; code 0 is acceptance.
DIFFERENT = [
    ("a mistake of the user's is no internal error",
     r"^secret", (1, r"malformed uuid|is missing"), (27, r"malformed uuid|is missing")),
    ("a mistake of the user's is no internal error",
     r"fc_host", (1, r"Malformed wwn: "), (27, r"Malformed wwn: ")),
    ("no document type, so no entities and nothing to fetch",
     r"<!DOCTYPE", (None, r""), (27, r"document type declarations are not allowed")),
    ("no port is negative or has more than 16 bits",
     r"<host [^>]*port='(-1|65536)'", (0, r""), (27, r"Invalid value for attribute 'port'")),
    ("libvirt looks at the volume's name only once its file exists or not",
     r"<name>(\.|\.\.|a/b)</name><capacity>", (55, r""), (27, r"volume name '.*' ")),
    ("libvirt writes large ids as negative numbers, which it can't read back",
     r"<group>4294967294</group>", (0, r"<group>-2</group>"), (0, r"<group>4294967294</group>")),
    ("there is no line to show in an empty document",
     r"^pool $", (35, r"Document is empty\n\(null\)"), (35, r"Document is empty\n\n")),
    ("no PCI device has more than eight functions",
     r"<address function='8'/>", (0, r""), (27, r"function=0x8, must be <= 7")),
    ("libvirt passes over options in a namespace of ours",
     r"urn:cistern:storage:1\.0", (0, r"^(?!.*cistern:)"), (0, r"<cistern:option name=")),
    ("libvirt's schema has no place for them, ours is asked about the rest",
     r"urn:cistern:storage:1\.0", (92, r"Unable to validate"), (0, r"<cistern:option name=")),
    ("such an option is refused where it means nothing",
     r"urn:cistern:storage:1\.0", (0, r"^(?!.*cistern:)"), (None, r"option")),
    ("libvirt asks whether the type can be searched at all before it reads the document",
     r"^source", (3, r"does not support source discovery"), (27, r"")),
]


def tool(noun, xml):
    """(code, text) of our parser and formatter; code 0 when the document is accepted."""
    name = space.path("document.xml")
    with open(name, "w", encoding="utf-8") as stream:
        stream.write(xml)
    status, out, err = peers.run([TOOL, *noun.split(), name])
    if status == 0:
        return 0, out
    refusal = re.match(r"code (\d+): (.*)", out, re.S)
    if not refusal:
        raise AssertionError(f"{noun}: {status} {out}{err}")
    return int(refusal.group(1)), refusal.group(2).rstrip("\n")


def explained(document, theirs, ours):
    def fits(side, wanted):
        code, pattern = wanted
        return (code is None or side[0] == code) and re.search(pattern, side[1], re.S)
    return any(re.search(pattern, document) and fits(theirs, their_shape) and fits(ours, our_shape)
               for _reason, pattern, their_shape, our_shape in DIFFERENT)


def documents(kind):
    for name in sorted(os.listdir(os.path.join(GOLDEN, kind))):
        if not name.endswith(".out.xml"):
            with open(os.path.join(GOLDEN, kind, name), encoding="utf-8") as stream:
                yield name, stream.read()


def refused(noun):
    """(pool type, document) of each line about `noun`."""
    with open(os.path.join(GOLDEN, "refused.list"), encoding="utf-8") as stream:
        for line in stream.read().split("\n"):
            what = line.split(" ", 2)
            if len(what) == 3 and what[0].split(":")[0] == noun:
                text = what[2].replace("\\n", "\n").replace("\\t", "\t")
                yield what[0].partition(":")[2], text


@unittest.skipUnless(libvirt, "python3-libvirt is not installed")
@unittest.skipUnless(peers.Libvirtd.available(), "no stock libvirtd, or no private mounts")
class ModelAgainstLibvirt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        libvirt.registerErrorHandler(lambda *_: None, None)
        cls.peer = peers.Libvirtd()
        cls.peer.fresh()
        cls.conn = libvirt.open(cls.peer.uri)
        cls.secrets = libvirt.open(cls.peer.secret_uri)

    @classmethod
    def tearDownClass(cls):
        cls.conn.close()
        cls.secrets.close()
        cls.peer.stop()
        cls.peer.wipe()

    def on_disk(self, *parts):
        with open(os.path.join(self.peer.root, *parts), encoding="utf-8") as stream:
            return stream.read()

    def ask(self, call, *arguments):
        """(code, text) as `tool` gives it; None where this libvirtd lacks the backend."""
        try:
            return 0, call(*arguments)
        except libvirt.libvirtError as error:
            if "missing backend" in str(error):
                return None
            return error.get_error_code(), str(error).rstrip("\n")

    def compare(self, name, document, theirs, ours):
        if theirs is None or theirs == ours or explained(name + " " + document, theirs, ours):
            return theirs is not None
        raise AssertionError(f"{name}:\n{document}\nlibvirt: {theirs[0]} {theirs[1]}\n"
                             f"ours: {ours[0]} {ours[1]}")

    def compare_all(self, cases, enough):
        count = 0
        for name, document, theirs, ours in cases:
            with self.subTest(document=document[:200]):
                count += self.compare(name, document, theirs, ours)
        self.assertGreaterEqual(count, enough)

    def define_pool(self, xml, flags=0):
        pool = self.conn.storagePoolDefineXML(xml, flags)
        try:
            return pool.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE)
        finally:
            pool.undefine()

    def define_secret(self, xml):
        secret = self.secrets.secretDefineXML(xml)
        try:
            return secret.XMLDesc()
        finally:
            secret.undefine()

    def test_pool_documents(self):
        self.compare_all(((name, xml, self.ask(self.define_pool, xml), tool("pool", xml))
                          for name, xml in documents("pool")), 40)

    def test_pool_documents_validated(self):
        self.compare_all(((name, xml, self.ask(self.define_pool, xml, 1),
                           tool("--validate pool", xml))
                          for name, xml in documents("pool")), 40)

    def test_refused_pools(self):
        self.compare_all((("pool", xml, self.ask(self.define_pool, xml), tool("pool", xml))
                          for _type, xml in refused("pool")), 80)

    def test_pool_files(self):
        for name in ("plain", "with space", "dash--dash", "semi;colon", "ünïcode"):
            with self.subTest(name=name):
                directory = os.path.join(self.peer.dir, name)
                os.makedirs(directory)
                xml = (f"<pool type='dir'><name>{name}</name>"
                       "<uuid>0a81f5b2-8403-7b23-c8d6-21ccc2f80d99</uuid>"
                       f"<target><path>{directory}</path></target></pool>")
                pool = self.conn.storagePoolDefineXML(xml)
                self.assertEqual(self.on_disk("etc/libvirt/storage", name + ".xml"),
                                 tool("pool-file", xml)[1])
                pool.create()
                state = subprocess.run(
                    ["nsenter", "-m", "-t", str(self.peer.process.pid), "cat",
                     f"/run/libvirt/storage/{name}.xml"], stdout=subprocess.PIPE, text=True,
                    check=True).stdout
                self.assertEqual(state, tool("state-file", xml)[1])
                pool.destroy()
                pool.undefine()

    def test_secret_documents(self):
        self.compare_all(((name, xml, self.ask(self.define_secret, xml), tool("secret", xml))
                          for name, xml in documents("secret")), 7)

    def test_secret_files(self):
        for _name, xml in documents("secret"):
            secret = self.secrets.secretDefineXML(xml)
            if "ephemeral='yes'" not in xml:
                self.assertEqual(
                    self.on_disk("etc/libvirt/secrets", secret.UUIDString() + ".xml"),
                    tool("secret", xml)[1])
            secret.undefine()

    def test_refused_secrets(self):
        self.compare_all((("secret", xml, self.ask(self.define_secret, xml), tool("secret", xml))
                          for _type, xml in refused("secret")), 10)

    def test_refused_sources(self):
        self.compare_all((("source", xml, self.ask(self.conn.findStoragePoolSources, kind, xml),
                           tool("source:" + kind, xml))
                          for kind, xml in refused("source")), 2)

    def test_capabilities(self):
        def without_support(text):
            return re.sub(r"supported='\w+'", "supported='?'", text)
        ours = peers.run([TOOL, "caps"])[1]
        self.assertEqual(without_support(self.conn.getStoragePoolCapabilities()),
                         without_support(ours))

    def volume_pool(self):
        directory = os.path.join(self.peer.dir, "volumes")
        os.makedirs(directory)
        pool = self.conn.storagePoolCreateXML(
            "<pool type='dir'><name>volumes</name>"
            f"<target><path>{directory}</path></target></pool>")
        self.addCleanup(os.rmdir, directory)
        self.addCleanup(pool.destroy)
        return pool

    def create_volume(self, pool, xml, flags=0):
        volume = pool.createXML(xml, flags)
        try:
            return volume.XMLDesc()
        finally:
            volume.delete()

    def test_refused_volumes(self):
        pool = self.volume_pool()
        self.compare_all((("volume", xml, self.ask(self.create_volume, pool, xml),
                           tool("vol:dir", xml))
                          for kind, xml in refused("volume") if kind == "dir"), 45)

    def test_volumes_as_shown_by_libvirt(self):
        """What libvirt prints about a live volume is read and printed unchanged."""
        pool = self.volume_pool()
        base = pool.createXML("<volume><name>base</name><capacity unit='M'>1</capacity><target>"
                              "<format type='qcow2'/></target></volume>")
        self.addCleanup(base.delete)
        backing = (f"<backingStore><path>{base.path()}</path><format type='qcow2'/>"
                   "</backingStore>")
        for target, more in (
                ("", ""),
                ("<format type='raw'/><permissions><mode>0640</mode><owner>1</owner>"
                 "<group>2</group></permissions>", ""),
                ("<format type='qcow2'/>", ""),
                ("<format type='qcow2'/><compat>0.10</compat>", ""),
                ("<format type='qcow2'/><features><lazy_refcounts/></features>", ""),
                ("<format type='qcow2'/><clusterSize unit='KiB'>32</clusterSize>", ""),
                ("<format type='qcow2'/>", backing),
                ("<format type='vmdk'/>", ""), ("<format type='vpc'/>", ""),
                ("<format type='vdi'/>", ""), ("<format type='qed'/>", ""),
                ("<format type='dir'/>", "")):
            with self.subTest(target=target, more=more):
                shown = self.create_volume(
                    pool, "<volume><name>v &amp; 'w'</name><capacity unit='M'>1</capacity>"
                    f"<target>{target}</target>{more}</volume>")
                self.assertEqual(tool("live-vol:dir", shown), (0, shown))
