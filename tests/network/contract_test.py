# SPDX-License-Identifier: LGPL-2.1-or-later
"""The contract suite (tests/contract) over the backends whose storage the labs here are."""

import os
import unittest

from harness import ceph, gluster, peers, space, tgt

# Each takes some 50 ms; a thousand are for whoever asks for them, and in `make test-all` those on the fakes
# of Ceph and Gluster (tests/contract/meson.build).
STEPS = os.environ.get("CISTERN_CONTRACT_STEPS", "40" if os.environ.get("LAB_SHORT") else "150")
# Kills of each verb that is typed: what a dead process has open costs the time until servers see it.
VERBS = {"dir": "3", "dir-qcow2": "1", "dir-reflink": "1", "disk-gpt": "2", "disk-dos": "1"}
# Part of their names; all by default.
TESTS = os.environ.get("CISTERN_CONTRACT_TESTS", "")
CONTRACT = os.path.join(space.BUILD, "tests/contract/contract")


class Contract(unittest.TestCase):
    def play(self, ground, tests=TESTS, **env):
        env.update(CISTERN_CONTRACT_STEPS=STEPS, CISTERN_PROGRAM=space.CISTERN,
                   CISTERN_CONTRACT_VERBS=VERBS.get(ground, "1"))
        for name in ("CISTERN_CONTRACT_SEED", "CISTERN_CONTRACT_VERBS"):
            if name in os.environ:
                env[name] = os.environ[name]
        program = CONTRACT + ("-disk" if ground.startswith("disk-") else "")
        status, out, err = peers.run([program, ground, tests], env=env.items(), timeout=7200)
        self.assertEqual(0, status, (out + err)[-6000:])
        return out + err

    def test_rbd(self):
        lab = ceph.lab()
        lab.clear()
        key = lab.run("ceph-authtool", "-p", "-n", "client.admin",
                      os.path.join(lab.dir, "keyring")).strip()
        self.play("rbd", CEPH_CONF=lab.conf, CST_TEST_CEPH=f"{lab.host} {lab.port} {key}")

    def test_gluster(self):
        lab = gluster.lab()
        for ground in ("gluster", "gluster-raw"):
            lab.clear()
            with self.subTest(ground):
                self.play(ground, CST_TEST_GLUSTER=f"{lab.host} {gluster.VOLUME}")

    def test_verbs_on_files_and_partitions(self):
        """All else of these is a unit test; the crash points are in this build."""
        for ground in VERBS:
            with self.subTest(ground):
                self.play(ground, "everyday")

    def test_iscsi_direct(self):
        server = tgt.server()
        self.addCleanup(server.clear)
        names = []
        for pool in ("p", "q"):
            target = server.target(pool, ())
            names.append(target.iqn)
            for _unit in range(3):
                target.add(8 << 20, thin=False)
        told = self.play("iscsi-direct", TGT_IPC_SOCKET=server.env["TGT_IPC_SOCKET"],
                         CISTERN_CONTRACT_ATTACHED=" ".join(names))
        if not TESTS:
            self.assertIn("is cloned onto", told)
