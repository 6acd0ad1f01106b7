/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks that refuse a change of a block device: its holders and its content. The messages name the
 * holder or the content, and use libvirt's text if scripts may depend on it.
 */
#include <pool/device.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/*
 * Returns the holders of the device. Waits up to CST_HOLDERS_PASS_US for short-lived holders,
 * because on a busy machine udev's probe takes longer than cst_device_holders() waits.
 */
static GPtrArray *device_await_holders(const char *path, GError **error)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_holder_free);
    gint64 end = g_get_monotonic_time() + CST_HOLDERS_PASS_US;

    do {
        g_ptr_array_set_size(holders, 0);
        if (!cst_device_holders(path, holders, error))
            return NULL;
    } while (cst_holders_pass(holders) && g_get_monotonic_time() < end);
    return g_steal_pointer(&holders);
}

gboolean cst_device_refuse_held(const char *path, const char *volume, GError **error)
{
    g_autoptr(GPtrArray) holders = device_await_holders(path, error);

    return holders && cst_holders_refuse(holders, volume, error);
}

/*
 * Searches for holders first, because the message can name them. Then tries an exclusive open,
 * because the kernel knows of more holders.
 */
gboolean cst_device_refuse_used(const char *path, GError **error)
{
    g_autoptr(GPtrArray) holders = device_await_holders(path, error);

    if (!holders)
        return FALSE;
    if (holders->len > 0)
        return cst_fail(error, CST_ERROR_BUSY, _("device '%s' is in use: %s"), path,
                        ((const CstHolder *)g_ptr_array_index(holders, 0))->what);
    return cst_device_is_free(path, error);
}

gboolean cst_device_refuse_content(const char *path, const char *wanted, GError **error)
{
    g_autofree char *found = NULL;

    if (!cst_device_signature(path, &found, error))
        return FALSE;
    if (!found)
        return TRUE;
    if (!wanted)
        return cst_fail(error, CST_ERROR_POOL_BUILT,
                        _("Device '%s' carries '%s': forced overwrite is necessary"), path, found);
    if (strcmp(found, wanted) == 0)
        return cst_fail(error, CST_ERROR_POOL_BUILT, _("Device '%s' already formatted using '%s'"),
                        path, found);
    return cst_fail(error, CST_ERROR_POOL_BUILT,
                    _("Device '%s' carries '%s': its format does not match the expected format "
                      "'%s', forced overwrite is necessary"),
                    path, found, wanted);
}
