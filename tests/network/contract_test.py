# SPDX-License-Identifier: LGPL-2.1-or-later
"""The contract suite (tests/contract) over the backends whose storage the labs here are."""

import os
import unittest

from harness import ceph, peers, space

CONTRACT = os.path.join(space.BUILD, "tests/contract/contract")


class Contract(unittest.TestCase):
    def test_rbd(self):
        lab = ceph.lab()
        lab.clear()
        key = lab.run("ceph-authtool", "-p", "-n", "client.admin",
                      os.path.join(lab.dir, "keyring")).strip()
        env = {"CEPH_CONF": lab.conf, "CST_TEST_CEPH": f"{lab.host} {lab.port} {key}"}
        status, out, err = peers.run([CONTRACT, "rbd"], env=env.items(), timeout=600)
        self.assertEqual(0, status, (out + err)[-6000:])
