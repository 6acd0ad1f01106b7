# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Storage that a test starts inside the lab's machine: each module is one service.

Nothing of it runs before it is asked for, and the machine is thrown away afterwards. So a module
starts what it needs, and stops only what tests want to see stop. Paths and names are the module's
constants. Tests import what they use: `from services import nfs, network`.
"""
