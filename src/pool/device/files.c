/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Holders of a regular file that is used like a device: loop devices on it, with their own uses,
 * and swap space.
 */
#include <pool/device.h>

#include <sys/stat.h>

#include <base/i18n.h>
#include <pool/mounts.h>

/*
 * Adds one holder for the loop device, and lists its uses: "loop device /dev/loop3 (mounted on
 * '/srv')".
 */
static void add_loop(const char *name, GPtrArray *holders)
{
    g_autoptr(GPtrArray) uses = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);
    g_autoptr(GString) text = g_string_new(NULL);
    CstHolder *loop;

    cst_device_uses(name, uses);
    for (guint i = 0; i < uses->len; i++)
        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "",
                               ((const CstHolder *)g_ptr_array_index(uses, i))->what);
    if (text->len > 0)
        loop = cst_holders_add(holders, 0, _("loop device /dev/%s (%s)"), name, text->str);
    else
        loop = cst_holders_add(holders, 0, _("loop device /dev/%s"), name);
    loop->reads_only = cst_loop_reads_only(name);
}

static void file_add_loops(const struct stat *file, GPtrArray *holders)
{
    g_auto(GStrv) names = cst_loops_upon(file);

    for (char **name = names; *name; name++)
        add_loop(*name, holders);
}

static gboolean stat_is_file(const struct stat *st, gconstpointer file)
{
    const struct stat *asked = file;

    return st->st_dev == asked->st_dev && st->st_ino == asked->st_ino;
}

void cst_file_holders(int fd, GPtrArray *holders)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    file_add_loops(&st, holders);
    if (cst_is_swap(stat_is_file, &st))
        cst_holders_add(holders, 0, "%s", _("swap space"));
}
