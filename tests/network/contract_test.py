# SPDX-License-Identifier: LGPL-2.1-or-later
"""The contract suite (tests/contract) over the backends whose storage the labs here are."""

import os
import unittest

from harness import ceph, peers, space, tgt

# Each takes some 50 ms; a thousand are for whoever asks for them.
STEPS = os.environ.get("CISTERN_CONTRACT_STEPS", "150")
CONTRACT = os.path.join(space.BUILD, "tests/contract/contract")


class Contract(unittest.TestCase):
    def test_rbd(self):
        lab = ceph.lab()
        lab.clear()
        key = lab.run("ceph-authtool", "-p", "-n", "client.admin",
                      os.path.join(lab.dir, "keyring")).strip()
        env = {"CEPH_CONF": lab.conf, "CST_TEST_CEPH": f"{lab.host} {lab.port} {key}",
               "CISTERN_CONTRACT_STEPS": STEPS}
        if "CISTERN_CONTRACT_SEED" in os.environ:
            env["CISTERN_CONTRACT_SEED"] = os.environ["CISTERN_CONTRACT_SEED"]
        status, out, err = peers.run([CONTRACT, "rbd"], env=env.items(), timeout=7200)
        self.assertEqual(0, status, (out + err)[-6000:])

    def test_iscsi_direct(self):
        server = tgt.server()
        self.addCleanup(server.clear)
        names = []
        for pool in ("p", "q"):
            target = server.target(pool, ())
            names.append(target.iqn)
            for _unit in range(3):
                target.add(8 << 20, thin=False)
        env = {"TGT_IPC_SOCKET": server.env["TGT_IPC_SOCKET"],
               "CISTERN_CONTRACT_ATTACHED": " ".join(names)}
        status, out, err = peers.run([CONTRACT, "iscsi-direct"], env=env.items(), timeout=1200)
        self.assertEqual(0, status, (out + err)[-6000:])
        self.assertIn("is cloned onto", out + err)
