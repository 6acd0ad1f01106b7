# SPDX-License-Identifier: LGPL-2.1-or-later
"""The scenarios of storage over a network, against stock virsh on stock libvirtd."""

import importlib
import os

from harness import ceph, peers, tgt
from harness.compare import Compared, cistern_client, play_all, virsh_client

# They register their scenarios.
importlib.import_module("scenarios_rbd")
importlib.import_module("scenarios_iscsi_direct")

SELF_CHECK = "CST_SELF_CHECK" in os.environ


class OnLabs(Compared):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        ceph.lab()
        tgt.server()


@play_all
class Virsh(OnLabs):
    WHERE = "virsh"
    PLACE = peers.Libvirtd if SELF_CHECK else peers.Cisternd
    CLIENT = staticmethod(virsh_client)


@play_all
class Cistern(OnLabs):
    WHERE = "cistern"
    PLACE = peers.Cisternd
    CLIENT = staticmethod(cistern_client)
