# SPDX-License-Identifier: LGPL-2.1-or-later
"""Until when tests are begun: TEST_UNTIL, in seconds since the epoch; unset or empty: whenever it is.

What has not begun by then is skipped and said: a run comes to its end and its count on a machine of
a third of the speed too.
"""

import os
import time


class Over(Exception):
    """It is."""


REASON = "the time of this run was over"


def over(when=None):
    """WHEN: in place of TEST_UNTIL."""
    return time.time() > float(when or os.environ.get("TEST_UNTIL") or "inf")


def check():
    """Raises Over when it is."""
    if over():
        raise Over(REASON)
