# SPDX-License-Identifier: LGPL-2.1-or-later
"""The URL of a backing image may have a user, a password and a query. People don't get to see them."""

import os

from harness import peers, space
from harness.cases import WithDaemon

SECRET = "s3cret"
REFERENCES = {
    "nbd.qcow2": f"nbd://{SECRET}:{SECRET}@h/x?{SECRET}",
    "iscsi.qcow2": f"iscsi://{SECRET}%{SECRET}@h/iqn.x/0",
    "json.qcow2": 'json:{"driver":"raw","file":{"driver":"https","url":"https://%s:%s@h/x?%s","username":"%s"}}' % (
        (SECRET,) * 4),
    "escaped.qcow2": r'json:{"driver":"raw","file":{"driver":"https","url":"https:\/\/u:%s@h\/x"}}' % SECRET,
}


class ReferenceSecrets(WithDaemon):
    def setUp(self):
        # A new root: vol-trust of another test has declared the references of these names.
        self.peer.stop()
        super().setUp()

    def make_images(self):
        for name, reference in REFERENCES.items():
            status, _, err = peers.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", reference, "-F", "raw",
                                        self.at("p", name), "1M"])
            self.assertEqual(0, status, err)

    def cistern(self, *words):
        return peers.run([space.CISTERN, "-c", self.peer.uri, *words])

    def assert_hidden(self, *words, shows="h/x"):
        _, out, err = self.cistern(*words)
        self.assertNotIn(SECRET, out + err, words)
        self.assertIn(shows, out + err, words)

    def hide_everywhere(self, folder):
        self.ok("pool-refresh", "p")
        self.assert_hidden("vol-list", "p", "--columns", "name,backing,problem", shows="nbd://h/x")
        self.assert_hidden("--json", "vol-list", "p", "--columns", "name,backing,problem", shows="nbd://h/x")
        for name in REFERENCES:
            shows = {"nbd.qcow2": "nbd://h/x", "json.qcow2": "https://h/x", "iscsi.qcow2": "iscsi://"}.get(name, "json:")
            for words in (("vol-info", name, "p"), ("vol-check", name, "p"), ("vol-flatten", name, "p"),
                          ("vol-trust", name, "p"), ("vol-dumpxml", name, "p"), ("vol-export", name, "--pool", "p", os.path.join(folder, "out"))):
                _, out, err = self.cistern(*words)
                self.assertNotIn(SECRET, out + err, words)
            self.assert_hidden("vol-chain", name, "p", shows=name)
            path = self.at("p", name)
            self.assert_hidden("image-info", path, shows=shows)
            for words in (("--json", "image-info", path), ("image-info", "--backing-chain", path),
                          ("image-convert", "-f", "qcow2", path, os.path.join(folder, "out")),
                          ("image-convert", "-f", "qcow2", "--backing-chain", path, os.path.join(folder, "out")),
                          ("image-check", path), ("image-map", path), ("vol-import", path, "new", "--pool", "p")):
                _, out, err = self.cistern(*words)
                self.assertNotIn(SECRET, out + err, words)

    def test_secrets_of_backing_urls_are_not_shown(self):
        self.make_images()
        self.hide_everywhere(self.peer.files)

    def test_secrets_of_undeclared_backing_urls_are_not_shown(self):
        # Before the daemon can find the images: it accepts references in a directory of root's.
        os.chmod(self.at("p"), 0o777)
        self.make_images()
        self.ok("pool-refresh", "p")
        self.assertIn("'undeclared-backing' value='nbd://h/x'", self.ok("vol-dumpxml", "nbd.qcow2", "p"))
        self.hide_everywhere(self.peer.files)

    def test_secrets_of_typed_urls_are_not_shown(self):
        for words in (("image-info", f"nbd://{SECRET}:{SECRET}@h/x"), ("vol-info", f"iscsi://{SECRET}%{SECRET}@h/x"),
                      ("image-convert", "-f", "raw", f"ssh://u:{SECRET}@h/x", "out")):
            status, out, err = self.cistern(*words)
            self.assertNotEqual(0, status)
            self.assertNotIn(SECRET, out + err, words)

    def test_connection_uri_with_a_password_is_refused_and_not_shown(self):
        for uri in (f"storage+ssh://root:{SECRET}@127.0.0.1/system", f"storage+ssh://root:{SECRET}/x@127.0.0.1/system"):
            for words in (("pool-list",), ("--json", "pool-list"), ("-d", "0", "pool-list")):
                status, out, err = peers.run([space.CISTERN, "-c", uri, *words])
                self.assertEqual(2, status, err)
                self.assertNotIn(SECRET, out + err)
                self.assertIn("log in with a key", out + err)


class NoCapacity(WithDaemon):
    def test_image_of_virtual_size_0_has_capacity_0(self):
        path = self.at("p", "by-qemu.qcow2")
        self.assertEqual(0, peers.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "0"])[0])
        self.ok("pool-refresh", "p")
        self.ok("vol-create-as", "p", "ours.qcow2", "0", "--format", "qcow2")
        status, _, err = peers.run([space.CISTERN, "-c", self.peer.uri, "vol-convert", "by-qemu.qcow2", "copy.qcow2",
                                    "--pool", "p", "-O", "qcow2"])
        self.assertEqual(0, status, err)
        for name in ("by-qemu.qcow2", "ours.qcow2", "copy.qcow2"):
            self.assertRegex(self.ok("vol-info", name, "p", "--bytes"), r"Capacity: +0 bytes")
            self.assertIn("<capacity unit='bytes'>0</capacity>", self.ok("vol-dumpxml", name, "p"))
            self.assertIn("virtual size: 0 B", peers.run(["qemu-img", "info", self.at("p", name)])[1])
