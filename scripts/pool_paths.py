# SPDX-License-Identifier: LGPL-2.1-or-later
"""How pools, commands, servers and imports reach files: the gate "paths" of scripts/lint.

A pool's directory may belong to an attacker, so in src/pool only OPENER turns a path or a name into
a descriptor or a change of a directory. Everybody else works on descriptors; what is no pool's
directory has functions of its own in base/file.h, which say so by their names: cst_node_open() and
cst_node_stat() for device nodes, cst_kernel_read() and cst_kernel_list() for /proc and /sys.

OTHERS reach directories of the host that only root can write to, or keep no descriptor.

The command line, the NBD server, backups and imports work on names outside of pools, often root in
the directory of another user. There a name is reached by base/place.h only. EXCEPT lists the files
that take a path nevertheless, each with its calls and the reason.
"""

import re

FOLDER = "src/pool/"
OPENER = "src/pool/dir/beneath.c"
OTHERS = ["src/pool/iscsi/record.c",  # open-iscsi's database in /etc
          "src/pool/dir/touch.c"]     # whether the file system answers

OUTSIDE = ("src/cli/", "src/nbd/", "src/backup/", "src/import/")
EXCEPT = {
    "src/backup/folder.c": ("openat mkdirat fstatat renameat unlinkat",
                            "below the descriptors of the repository's directories"),
    "src/backup/lock.c": ("unlinkat g_file_get_contents", "likewise; /etc/machine-id"),
    "src/cli/commands/backup/seen.c": ("open lstat g_dir_open g_file_test cst_file_remove "
                                       "cst_file_read_trusted cst_file_replace",
                                       "in the directory of cst_place_state_dir()"),
    "src/cli/qemu_img/convert.c": ("stat", "compares typed names; opens nothing"),
    "src/cli/qemu_img/file.c": ("stat faccessat", "chooses a message; opens nothing"),
    "src/cli/commands/image/commit.c": ("stat", "compares a name that was typed; opens nothing"),
    "src/cli/commands/image/target.c": ("openat fstatat unlinkat faccessat",
                                        "below the descriptors of a place and its draft"),
    "src/cli/commands/pool/editor.c": ("unlink", "a file of ours in the sticky /tmp"),
    "src/cli/commands/secret/value.c": ("open", "the terminal"),
    "src/cli/commands/transfer/known.c": ("g_file_get_contents g_file_set_contents_full",
                                          "in the cache of cst_place_cache_dir()"),
    "src/cli/commands/volume/stream.c": ("open faccessat", "/dev/null; below a place"),
    "src/cli/core/background.c": ("open", "/dev/null"),
    "src/cli/shell/commands.c": ("chdir", "the shell's cd"),
    "src/import/download.c": ("openat unlinkat", "below the descriptor of a directory of ours"),
    "src/import/source.c": ("stat", "compares a name for messages with the opened directory"),
}

# Everything that takes a path: of the C library, of the kernel, of GLib and of ours.
# cst_spool_open() is missing, because a spool never has a name that another user could exchange.
NAMES = """
    open openat openat2 creat fopen freopen opendir scandir ftw nftw fts_open glob realpath
    canonicalize_file_name open_by_handle_at name_to_handle_at execl execlp execv execve execvp
    stat lstat fstatat statx statfs statvfs access faccessat eaccess euidaccess
    chown lchown fchownat chmod lchmod fchmodat utime utimes lutimes futimesat utimensat
    truncate rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat remove
    mkdir mkdirat rmdir mknod mknodat mkfifo mkfifoat mkstemp mkostemp mkdtemp readlink readlinkat
    chdir chroot mount umount umount2 syscall
    getxattr lgetxattr setxattr lsetxattr listxattr llistxattr removexattr lremovexattr
    g_open g_creat g_fopen g_freopen g_stat g_lstat g_access g_chmod g_mkdir g_mkdir_with_parents
    g_mkdtemp g_mkstemp g_rename g_remove g_unlink g_rmdir g_dir_open g_mapped_file_new
    cst_openat2 cst_open_beneath cst_file_read cst_file_read_trusted cst_file_replace
    cst_file_remove cst_dir_ensure
    gnutls_load_file
""".split()
NAMES_PATTERN = r"g_file_(?!error_)\w+"
CALL = re.compile(r"(?<![\w.>])(%s|%s)\s*\(" % ("|".join(NAMES), NAMES_PATTERN))
NO_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"' + r"|'(?:\\.|[^'\\\n])*'", re.S)


def calls(text):
    """(line, name) of each call of such a function in C source."""
    code = NO_CODE.sub(lambda found: "\n" * found.group().count("\n") or " ", text)
    return [(code.count("\n", 0, call.start()) + 1, call.group(1)) for call in CALL.finditer(code)]


def check_that_it_can_fail():
    """The rule sees each function where one is called, and not where none is."""
    names = [*NAMES, "g_file_get_contents", "g_file_new_for_path"]
    missed = [name for name in names if [(2, name)] != calls(f"\nfd = {name} (path, 0);")]
    harmless = 'ops->open(x); a.stat(b); /* open(x) */ dir_open(y); "unlink(z)"; fstat(fd, &st);'
    return ([f"scripts/pool_paths.py: misses {name}()" for name in missed]
            + [f"scripts/pool_paths.py: complains about {name} without reason"
               for _line, name in calls(harmless)])


def check(files, read):
    """Complaints; @files are all of the project's, @read gives the text of one."""
    sources = [path for path in files if path.startswith(FOLDER)]
    if OPENER not in sources:
        return [f"{OPENER} is not there"]
    if not calls(read(OPENER)):
        return [f"{OPENER} opens nothing: is it still the one?"]
    return check_that_it_can_fail() + [
        f"{path}:{line}: {name}() takes a path; use {OPENER} or base/file.h's functions for nodes"
        for path in sources if path not in (OPENER, *OTHERS)
        for line, name in calls(read(path))] + check_outside(files, read)


def check_outside(files, read):
    """Complaints about paths outside of pools, and about exceptions that are not needed."""
    found = {path: calls(read(path)) for path in files if path.startswith(OUTSIDE)}
    complaints = []
    for path, made in found.items():
        allowed = set(EXCEPT.get(path, ("", ""))[0].split())
        complaints += [f"{path}:{line}: {name}() takes a path; use base/place.h"
                       for line, name in made if name not in allowed]
        complaints += [f"scripts/pool_paths.py: {path} does not call {name}()"
                       for name in sorted(allowed - {name for _line, name in made})]
    return complaints + [f"scripts/pool_paths.py: there is no {path}" for path in EXCEPT
                         if path not in found]
