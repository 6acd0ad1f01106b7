/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mount_pool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <mount/mount.h>
#include <pool/pool.h>

/**
 * Netfs pools with mount and umount simulated by scripts, and the kernel's mount table simulated by
 * a file that the scripts write. The scripts work, or misbehave on request.
 */

/* --- the kernel and its tools ----------------------------------------------------------------- */

/* These functions are wrapped with --wrap. */
char *__real_cst_kernel_read(const char *path);
char *__wrap_cst_kernel_read(const char *path);
gboolean __real_cst_liveness_check(CstLiveness *liveness, GError **error);
gboolean __wrap_cst_liveness_check(CstLiveness *liveness, GError **error);

static gboolean silent; /* the storage does not answer */

char *__wrap_cst_kernel_read(const char *path)
{
    g_autofree char *file = at(strrchr(path, '/') + 1);
    char *text = NULL;

    if (strcmp(path, "/proc/self/mountinfo") != 0 && strcmp(path, "/proc/fs/nfsfs/volumes") != 0)
        return __real_cst_kernel_read(path);
    return g_file_get_contents(file, &text, NULL, NULL) ? text : NULL;
}

gboolean __wrap_cst_liveness_check(CstLiveness *liveness, GError **error)
{
    return !silent || cst_fail(error, CST_ERROR_UNREACHABLE, "no answer");
}

static inline void make_tool(const char *name, const char *script)
{
    g_autofree char *file = g_build_filename("bin", name, NULL);
    g_autofree char *path = at(file);
    g_autofree char *text =
        g_strdup_printf("#!/bin/bash\ncd '%s'\necho \"%s $*\" >>log\n%s\n", root, name, script);

    put(file, text);
    assert_int_equal(chmod(path, 0700), 0);
}

/*
 * The last two arguments of mount are the source and the target. The last one of umount is the
 * target.
 */
#define MOUNTS                                                         \
    "while [ $# -gt 2 ]; do [ \"$1\" = -t ] && type=$2; shift; done\n" \
    "[ \"$type\" = glusterfs ] && type=fuse.glusterfs\n"               \
    "echo \"999999970 1 0:50 / $2 rw - $type $1 rw\" >>mountinfo\n"
#define UNMOUNTS "grep -v \" ${!#} \" mountinfo >rest; mv rest mountinfo\n"

static MountTimes usual;

static inline int set_up(void **unused)
{
    g_autofree char *path = NULL;

    usual = mount_times;
    silent = FALSE;
    root = g_dir_make_tmp("cistern-mount-XXXXXX", NULL);
    make_dir("bin", 0700);
    make_dir("m", 0700);
    put("mountinfo", "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    put("log", "");
    path = g_strconcat(root, "/bin:/usr/bin:/bin", NULL);
    g_setenv("PATH", path, TRUE);
    g_setenv("LIBMOUNT_FSTAB", "/dev/null", TRUE);
    make_tool("mount", MOUNTS);
    make_tool("umount", UNMOUNTS);
    return 0;
}

static inline int tear_down(void **unused)
{
    mount_times = usual;
    remove_tree();
    return 0;
}

static inline char *get(const char *name)
{
    g_autofree char *path = at(name);
    char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static inline void assert_logged(const char *words)
{
    g_autofree char *log = get("log");

    if (!strstr(log, words))
        fail_msg("'%s' is not in '%s'", words, log);
}

static inline gboolean is_mounted(void)
{
    g_autofree char *table = get("mountinfo");

    return strstr(table, "/m rw") != NULL;
}

/* --- pools ------------------------------------------------------------------------------------ */

static inline CstPoolState *open_pool(const char *source, const char *rest, const CstPoolHost *host)
{
    g_autoptr(CstPoolDef) def = parse(source, rest);
    g_autoptr(GError) error = NULL;
    CstPoolState *state = cst_netfs_backend.open(def, &error);

    if (error)
        fail_msg("%s", error->message);
    state->host = host;
    return state;
}

static inline void assert_started(CstPoolState *pool)
{
    g_autoptr(GError) error = NULL;

    cst_netfs_backend.start(pool, &error);
    if (error)
        fail_msg("%s", error->message);
    assert_true(is_mounted());
}

static inline void assert_no_start(CstPoolState *pool, int code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_netfs_backend.start(pool, &error));
    if (!g_error_matches(error, CST_ERROR, code) || !strstr(error->message, words))
        fail_msg("%d: %s", error->code, error->message);
}
