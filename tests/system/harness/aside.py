# SPDX-License-Identifier: LGPL-2.1-or-later
"""A part of a run in a process of its own."""

import subprocess
import tempfile


class Aside:
    """What it says goes to a file: a pipe would be held open by whatever it leaves running."""

    def __init__(self, command, env=None):
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL,
                                        stdout=self._said, stderr=subprocess.STDOUT)

    def end(self):
        """Waits for it: (exit status, its lines, one at least)."""
        status = self.process.wait()
        with self._said:
            self._said.seek(0)
            return status, self._said.read().splitlines() or [""]
