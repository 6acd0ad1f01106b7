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

struct CstKernelUses {
    GPtrArray *loops; /* of CstLoop * */
    GArray *swaps;    /* of struct stat */
};

/* For cst_is_swap(): adds each swap space to the array @data. */
static gboolean swap_collect(const struct stat *st, gconstpointer data)
{
    g_array_append_val((GArray *)data, *st);
    return FALSE;
}

CstKernelUses *cst_kernel_uses_read(void)
{
    CstKernelUses *uses = g_new0(CstKernelUses, 1);

    uses->loops = cst_loops_read();
    uses->swaps = g_array_new(FALSE, FALSE, sizeof(struct stat));
    cst_is_swap(swap_collect, uses->swaps);
    return uses;
}

void cst_kernel_uses_free(CstKernelUses *uses)
{
    if (!uses)
        return;
    g_ptr_array_unref(uses->loops);
    g_array_unref(uses->swaps);
    g_free(uses);
}

void cst_file_holders(int fd, const CstKernelUses *uses, GPtrArray *holders)
{
    struct stat st;

    if ((uses->loops->len == 0 && uses->swaps->len == 0) || fstat(fd, &st) < 0 ||
        !S_ISREG(st.st_mode))
        return;
    for (guint i = 0; i < uses->loops->len; i++) {
        const CstLoop *loop = g_ptr_array_index(uses->loops, i);

        if (cst_loop_is_upon(loop, &st))
            add_loop(loop->name, holders);
    }
    for (guint i = 0; i < uses->swaps->len; i++) {
        const struct stat *swap = &g_array_index(uses->swaps, struct stat, i);

        if (swap->st_dev == st.st_dev && swap->st_ino == st.st_ino) {
            cst_holders_add(holders, 0, "%s", _("swap space"));
            return;
        }
    }
}
