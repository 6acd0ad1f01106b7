# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers that no longer answer: what is sent to their ports is dropped, as by a pulled cable."""

from kit import run

TABLE = "inet silence"


def silence(*ports, address=None):
    """From now on nothing reaches these TCP ports (of one address); connections are not told."""
    where = f"ip daddr {address} " if address else ""
    listed = ", ".join(str(port) for port in ports)
    run("nft", "-f", "-", data=f"add table {TABLE}\n"
        f"add chain {TABLE} input {{ type filter hook input priority 0; }}\n"
        f"add rule {TABLE} input {where}tcp dport {{ {listed} }} drop\n")


def hear():
    """All ports answer again."""
    run("nft", "delete", "table", *TABLE.split(), check=False)
