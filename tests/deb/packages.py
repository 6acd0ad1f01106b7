# SPDX-License-Identifier: LGPL-2.1-or-later
"""The packages under test, and the packages of Debian that they need."""

import glob
import os
import re
import tempfile

from clean_root import OUT, run

OLD_VERSION = "0.0.9"
CONFFILE = "etc/cistern/cisternd.conf"
# With these the short run needs no network once the root is made.
DEPENDENCIES = {
    "bookworm": "systemd,libglib2.0-0,libxml2,libjson-glib-1.0-0,libreadline8,zlib1g,"
                "libdeflate0,libzstd1,libblkid1,libsqlite3-0",
    "trixie": "systemd,libglib2.0-0t64,libxml2,libjson-glib-1.0-0,libreadline8t64,zlib1g,"
              "libdeflate0,libzstd1,libblkid1,libsqlite3-0",
}


def package(name):
    found = glob.glob(os.path.join(OUT, f"{name}_*.deb"))
    assert len(found) == 1, f"{name}: {found}"
    return found[0]


def older(name):
    """The package as a lower version, whose default configuration was another."""
    with tempfile.TemporaryDirectory() as folder:
        run("dpkg-deb", "-R", package(name), folder)
        control = os.path.join(folder, "DEBIAN/control")
        with open(control, encoding="utf-8") as stream:
            text = re.sub("^Version: .*", f"Version: {OLD_VERSION}", stream.read(), flags=re.M)
        # A package of the same source depends on exactly its own version.
        text = re.sub(r"\bcisternd \(= [^)]*\)", f"cisternd (= {OLD_VERSION})", text)
        with open(control, "w", encoding="utf-8") as stream:
            stream.write(text)
        if os.path.exists(os.path.join(folder, CONFFILE)):
            with open(os.path.join(folder, CONFFILE), "a", encoding="utf-8") as stream:
                stream.write("# as it was\n")
        path = os.path.join(OUT, f"{name}-{OLD_VERSION}.deb")
        run("dpkg-deb", "--root-owner-group", "-b", folder, path)
    return path
