#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""libcistern-image, installed into a directory of its own and used from there.

usage: installed_test.py BUILD SOURCE
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile

BUILD, SOURCE = sys.argv[1:3]
sys.path.insert(0, os.path.join(SOURCE, "scripts"))

import library_header  # noqa: E402


def run(*command, env=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=env)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def options():
    listed = json.loads(run("meson", "introspect", "--buildoptions", BUILD))
    return {option["name"]: option["value"] for option in listed}


class Installed:
    def __init__(self, scratch):
        self.scratch = scratch
        dest = os.path.join(scratch, "dest")
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", dest)
        prefix = options()["prefix"]
        self.prefix = dest + prefix
        self.libdir = os.path.join(self.prefix, options()["libdir"])
        self.header = os.path.join(self.prefix, options()["includedir"], "cistern/image.h")
        self.env = dict(os.environ, LD_LIBRARY_PATH=self.libdir, LC_ALL="C",
                        PKG_CONFIG_PATH=self.tell_prefix(prefix))
        self.flags = run("pkg-config", "--cflags", "--libs", "libcistern-image",
                         env=self.env).split()

    def tell_prefix(self, prefix):
        """What is under DESTDIR says where it will be: the one line that has to be put right."""
        folder = os.path.join(self.libdir, "pkgconfig")
        path = os.path.join(folder, "libcistern-image.pc")
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        assert text.startswith(f"prefix={prefix}\n"), text
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text.replace(f"prefix={prefix}", f"prefix={self.prefix}", 1))
        return folder

    def path(self, name):
        return os.path.join(self.scratch, name)

    def build(self, source, program, *extra):
        run("cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", source, "-o", self.path(program),
            *self.flags, *extra)
        return self.path(program)

    def declared(self):
        with open(self.header, encoding="utf-8") as stream:
            return dict(library_header.functions(stream.read()))


def test_the_file_has_a_soname_of_its_version(lib):
    version = run("pkg-config", "--modversion", "libcistern-image", env=lib.env).strip()
    wanted = "libcistern-image.so." + (".".join(version.split(".")[:2]) if version[0] == "0"
                                       else version.split(".")[0])
    dynamic = run("readelf", "-d", os.path.join(lib.libdir, "libcistern-image.so"))
    assert re.search(r"SONAME.*\[" + re.escape(wanted) + r"\]", dynamic), dynamic
    assert os.path.exists(os.path.join(lib.libdir, wanted))


def test_library_exports_exactly_the_declarations_of_the_header(lib):
    symbols = run("nm", "-D", "--defined-only", os.path.join(lib.libdir, "libcistern-image.so"))
    exported = {line.split()[2].split("@")[0] for line in symbols.splitlines()}
    declared = set(lib.declared())
    assert len(declared) > 60
    assert exported == declared, sorted(exported ^ declared)


def test_the_header_documents_every_call(lib):
    bare = [name for name, documented in lib.declared().items() if not documented]
    assert not bare, bare


def test_the_guide_names_every_call(lib):
    with open(os.path.join(SOURCE, "docs/library.md"), encoding="utf-8") as stream:
        named = set(re.findall(r"\bcst_[a-z0-9_]+(?=\(\))", stream.read()))
    declared = set(lib.declared())
    assert named == declared, sorted(named ^ declared)


def test_one_header_is_all_there_is(lib):
    assert glob.glob(os.path.dirname(lib.header) + "/*") == [lib.header]


def test_the_header_stands_alone_in_c_and_cxx(lib):
    for compiler, name in (("cc", "alone.c"), ("g++", "alone.cc")):
        with open(lib.path(name), "w", encoding="utf-8") as stream:
            stream.write("#include <cistern/image.h>\n"
                         "int main() { CstTask *task = cst_task_new(); cst_task_unref(task); "
                         "return CST_ERROR == 0; }\n")
        run(compiler, "-Wall", "-Wextra", "-Werror", lib.path(name), "-o", lib.path(name + ".out"),
            *lib.flags)
        run(lib.path(name + ".out"), env=lib.env)


def make_chain(lib):
    base, top = lib.path("base.raw"), lib.path("top.qcow2")
    with open(base, "wb") as stream:
        stream.write(os.urandom(3 << 20))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", top)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 300k", top)
    return base, top


def test_the_example_prints_a_chain_and_converts_it(lib):
    program = lib.build(os.path.join(SOURCE, "examples/to-qcow2.c"), "to-qcow2")
    base, top = make_chain(lib)
    target = lib.path("new.qcow2")
    assert run(program, top, target, env=lib.env) == f"{top}: qcow2\n{base}: raw\n"
    run("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", top, target)
    run("qemu-img", "check", "-q", target)
    assert "backing" not in run("qemu-img", "info", target)
    again = subprocess.run([program, top, target], env=lib.env, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    assert again.returncode == 1 and again.stderr == f"'{target}' exists\n", again


def test_an_error_is_a_gerror_of_the_documented_domain(lib):
    with open(lib.path("error.c"), "w", encoding="utf-8") as stream:
        stream.write("""#include <cistern/image.h>
int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstChain) chain = cst_path_open(argv[argc - 1], NULL, CST_IMAGE_WRITE, 0, &error);
    return chain || !g_error_matches(error, CST_ERROR, CST_ERROR_DENIED);
}
""")
    program = lib.build(lib.path("error.c"), "error")
    run(program, make_chain(lib)[1], env=lib.env)


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="cistern-library-") as scratch:
        lib = Installed(scratch)
        for number, (name, test) in enumerate(tests, 1):
            try:
                test(lib)
                print(f"ok {number} - {name[5:]}", flush=True)
            except AssertionError as why:
                failed += 1
                print(f"not ok {number} - {name[5:]}\n# {str(why)[:2000]!r}", flush=True)
    sys.exit(failed > 0)


main()
