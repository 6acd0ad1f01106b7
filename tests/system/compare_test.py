# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every scenario on every stage, against stock virsh on stock libvirtd."""

import importlib
import os

from harness import peers
from harness.compare import Compared, cistern_client, play_all, virsh_client

for _name in ("scenarios_mount", "scenarios_pool", "scenarios_secret", "scenarios_volume"):
    importlib.import_module(_name)  # registers its scenarios

SELF_CHECK = "CST_SELF_CHECK" in os.environ


class OtherLibvirtd(peers.Libvirtd):
    """Stock against stock: what differs here is noise of the comparison itself."""

    def __init__(self):
        super().__init__("ours")


if SELF_CHECK:
    @play_all
    class StockAgainstStock(Compared):
        WHERE = "self"
        PLACE = OtherLibvirtd
        CLIENT = staticmethod(virsh_client)
else:
    @play_all
    class VirshOnCisternd(Compared):
        WHERE = "virsh"
        PLACE = peers.Cisternd
        CLIENT = staticmethod(virsh_client)

    @play_all
    class CisternOnCisternd(Compared):
        WHERE = "cistern"
        PLACE = peers.Cisternd
        CLIENT = staticmethod(cistern_client)

    @play_all
    class CisternEmbedded(Compared):
        WHERE = "embedded"
        PLACE = peers.Embedded
        CLIENT = staticmethod(cistern_client)

    @play_all
    class CisternOnLibvirtd(Compared):
        WHERE = "cistern-on-stock"
        PLACE = OtherLibvirtd
        CLIENT = staticmethod(cistern_client)
