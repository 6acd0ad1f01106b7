# SPDX-License-Identifier: LGPL-2.1-or-later
"""The scenarios of storage over a network, against stock virsh on stock libvirtd."""

import importlib
import os

from harness import peers
from harness.compare import Compared, cistern_client, play_all, virsh_client

for name in ("scenarios_gluster", "scenarios_iscsi_direct", "scenarios_rbd"):
    importlib.import_module(name)  # registers its scenarios

SELF_CHECK = "CST_SELF_CHECK" in os.environ


@play_all
class Virsh(Compared):
    WHERE = "virsh"
    PLACE = peers.Libvirtd if SELF_CHECK else peers.Cisternd
    CLIENT = staticmethod(virsh_client)


@play_all
class Cistern(Compared):
    WHERE = "cistern"
    PLACE = peers.Cisternd
    CLIENT = staticmethod(cistern_client)
