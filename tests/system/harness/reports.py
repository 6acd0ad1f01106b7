# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a sanitizer has reported into files (its option log_path, in CST_REPORTS): so a report counts
whoever made it, also a daemon that was killed later or whose exit status nobody looks at."""

import glob
import os

PREFIX = os.environ.get("CST_REPORTS")


def take(prefix=PREFIX):
    """The reports under this path and process id, which are removed; "" when there are none."""
    texts = []
    for path in sorted(glob.glob(prefix + ".*")) if prefix else ():
        with open(path, encoding="utf-8", errors="replace") as stream:
            texts.append(stream.read())
        os.unlink(path)
    return "\n".join(texts)
