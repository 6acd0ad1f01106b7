/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and tags of LVs: valid names, and names reserved by LVM or by us (logical.h). */
#include "logical.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#define TAG_PREFIX   "cistern:"
#define NAME_MAX_LEN 127
/*
 * Limit for "VG-LV". LVM detects a longer name only after it has changed the metadata and suspended
 * the device, and leaves the device suspended.
 */
#define MAPPED_MAX_LEN 127

/* From lvm(8): the characters of a name, and the suffixes reserved for LVM's parts. */
static const char name_characters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_.-";
static const char *const reserved_parts[] = {
    "_cdata", "_cmeta", "_corig", "_cpool", "_cvol",  "_mimage",  "_mlog",    "_rimage", "_rmeta",
    "_tdata", "_tmeta", "_vdata", "_iorig", "_imeta", "_vorigin", "_pmspare", "_wcorig"};

gboolean logical_name_check(const char *name, GError **error)
{
    if (!*name || strlen(name) > NAME_MAX_LEN || name[strspn(name, name_characters)] ||
        *name == '-' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("LVM takes no name '%s': up to %d letters, digits and + _ . -, not "
                          "beginning with '-'"),
                        name, NAME_MAX_LEN);
    if (g_str_has_prefix(name, "snapshot") || g_str_has_prefix(name, "pvmove") ||
        !cst_device_name_is_volume(name))
        return cst_fail(error, CST_ERROR_INVALID, _("the beginning of the name '%s' is reserved"),
                        name);
    for (size_t i = 0; i < G_N_ELEMENTS(reserved_parts); i++)
        if (strstr(name, reserved_parts[i]))
            return cst_fail(error, CST_ERROR_INVALID,
                            _("the name '%s' has '%s' in it, which LVM keeps for itself"), name,
                            reserved_parts[i]);
    return TRUE;
}

/* Returns the length in device-mapper's form. */
static size_t mapped_len(const char *name)
{
    size_t len = 0;

    for (const char *p = name; *p; p++)
        len += *p == '-' ? 2 : 1;
    return len;
}

gboolean logical_name_fits(const LogicalState *state, const char *name, size_t suffix,
                           GError **error)
{
    return mapped_len(state->vg) + 1 + mapped_len(name) + suffix <= MAPPED_MAX_LEN ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("the name '%s' is too long in volume group '%s': device-mapper has room for "
                      "%d characters of both, each '-' counted twice"),
                    name, state->vg, MAPPED_MAX_LEN - 1 - (int)suffix);
}

/* --- tags ------------------------------------------------------------------------------------- */

/* Snapshot names may have bytes that tags must not have: "#HH" encodes such a byte. */
char *logical_tag(const char *key, const char *value)
{
    g_autoptr(GString) tag = g_string_new(TAG_PREFIX);

    g_string_append_printf(tag, "%s=", key);
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        if (g_ascii_isalnum(*p) || strchr("_+.-", *p))
            g_string_append_c(tag, (char)*p);
        else
            g_string_append_printf(tag, "#%02x", *p);
    }
    return g_string_free(g_steal_pointer(&tag), FALSE);
}

/* Invalid escapes are kept unchanged. */
static char *lvm_name_unescape(const char *text)
{
    g_autoptr(GString) value = g_string_new(NULL);

    for (const char *p = text; *p; p++) {
        if (*p == '#' && g_ascii_isxdigit(p[1]) && g_ascii_isxdigit(p[2])) {
            g_string_append_c(value,
                              (char)(g_ascii_xdigit_value(p[1]) * 16 + g_ascii_xdigit_value(p[2])));
            p += 2;
        } else {
            g_string_append_c(value, *p);
        }
    }
    return g_string_free(g_steal_pointer(&value), FALSE);
}

char *logical_tag_value(const LvmVolume *lv, const char *key)
{
    g_autofree char *wanted = g_strconcat(TAG_PREFIX, key, "=", NULL);

    for (char **tag = lv->tags; *tag; tag++)
        if (g_str_has_prefix(*tag, wanted))
            return lvm_name_unescape(*tag + strlen(wanted));
    return NULL;
}
