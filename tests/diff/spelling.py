# SPDX-License-Identifier: LGPL-2.1-or-later
"""JSON of ours beside qemu-img's."""


def as_qemu_spells(value):
    """Members of ours have underscores where qemu-img's have dashes."""
    if isinstance(value, dict):
        return {key.replace("_", "-"): as_qemu_spells(item) for key, item in value.items()}
    return [as_qemu_spells(item) for item in value] if isinstance(value, list) else value
