/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copy-on-write of a pool's directory, on simulated file systems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <base/error.h>
#include <pool/pool.h>

static unsigned long fs_type;
static gboolean obeys; /* attributes can be set */
static guint asked;    /* number of queries of the attributes */
static int attributes;

int __wrap_fstatfs64(int fd, struct statfs *ret_fs);
int __wrap_ioctl(int fd, unsigned long request, int *value);

/* Both are wrapped with --wrap. */
int __wrap_fstatfs64(int fd, struct statfs *ret_fs)
{
    *ret_fs = (struct statfs){.f_type = (__typeof__(ret_fs->f_type))fs_type};
    return 0;
}

int __wrap_ioctl(int fd, unsigned long request, int *value)
{
    asked += request == FS_IOC_GETFLAGS;
    if (!obeys) {
        errno = ENOTTY;
        return -1;
    }
    if (request == FS_IOC_GETFLAGS)
        *value = attributes;
    else if (request == FS_IOC_SETFLAGS)
        attributes = *value;
    return 0;
}

/*
 * Copy-on-write is disabled if possible where it makes disks slow. If the definition requests it,
 * the request must succeed.
 */
static void copy_on_write_is_as_the_definition_has_it(void **unused)
{
    static const struct {
        unsigned long type;
        const char *cow;
        gboolean obeys, asked, built;
    } rows[] = {
        {EXT4_SUPER_MAGIC, "", FALSE, FALSE, TRUE},
        {EXT4_SUPER_MAGIC, "<features><cow state='yes'/></features>", FALSE, FALSE, TRUE},
        {EXT4_SUPER_MAGIC, "<features><cow state='no'/></features>", FALSE, TRUE, FALSE},
        {BTRFS_SUPER_MAGIC, "", FALSE, TRUE, TRUE},
        {BTRFS_SUPER_MAGIC, "", TRUE, TRUE, TRUE},
        {BTRFS_SUPER_MAGIC, "<features><cow state='yes'/></features>", TRUE, FALSE, TRUE},
        {BTRFS_SUPER_MAGIC, "<features><cow state='no'/></features>", TRUE, TRUE, TRUE},
        {BTRFS_SUPER_MAGIC, "<features><cow state='no'/></features>", FALSE, TRUE, FALSE},
    };
    g_autofree char *root = g_dir_make_tmp("cistern-cow-XXXXXX", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *xml = g_strdup_printf(
            "<pool type='dir'><name>p</name>%s<target><path>%s</path></target></pool>", rows[i].cow,
            root);
        g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
        g_autoptr(CstPoolState) pool = cst_pool_state_open(def, NULL, NULL);
        g_autoptr(GError) error = NULL;

        fs_type = rows[i].type;
        obeys = rows[i].obeys;
        asked = 0;
        attributes = FS_NOATIME_FL;
        assert_int_equal(cst_pool_state_build(pool, 0, &error), rows[i].built);
        assert_int_equal(asked, rows[i].asked);
        assert_int_equal(attributes,
                         FS_NOATIME_FL | (rows[i].asked && rows[i].obeys ? FS_NOCOW_FL : 0));
        if (!error)
            continue;
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
        assert_non_null(strstr(error->message, "cannot turn copy-on-write off for"));
    }
    assert_int_equal(rmdir(root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_on_write_is_as_the_definition_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
