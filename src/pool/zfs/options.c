/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options of pools and volumes in our namespace. They are ZFS's properties under their own names,
 * and are passed unchanged to each new volume, because only ZFS knows the valid names and values.
 * Properties that contradict the definition, or make a volume that cannot be opened, are refused.
 * The pool also has the option "key-secret".
 */
#include "zfs.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#define KEY_SECRET  "key-secret"
#define OUR_MARKS   "cistern:"
#define NAME_LETTER "abcdefghijklmnopqrstuvwxyz0123456789_"
#define USER_LETTER NAME_LETTER ":.-"

/* Set by the capacity, the allocation, the parent dataset and the use of the volume. */
static const char *const not_options[] = {
    "volsize",   "refreservation", "reservation", "volmode",    "readonly", "encryption",
    "keyformat", "keylocation",    "pbkdf2iters", "mountpoint", "canmount", NULL};

/* Properties that a clone permanently inherits from its origin. */
static const char *const for_ever[] = {"volblocksize", NULL};

/* From zfsprops(8): a user property has a ':' in its name. */
static gboolean is_property(const char *name)
{
    const char *letters = strchr(name, ':') ? USER_LETTER : NAME_LETTER;

    return *name && name[strspn(name, letters)] == '\0' && !g_str_has_prefix(name, OUR_MARKS);
}

static gboolean check_option(const CstPoolOption *option, GError **error)
{
    if (!is_property(option->key) || g_strv_contains(not_options, option->key))
        return cst_fail(error, CST_ERROR_CONFIG, _("a volume can't be given the ZFS property '%s'"),
                        option->key);
    for (const char *p = option->value; *p; p++)
        if (g_ascii_iscntrl(*p))
            return cst_fail(error, CST_ERROR_CONFIG,
                            _("the ZFS property '%s' can't have a control character"), option->key);
    return TRUE;
}

gboolean zfs_options_read(ZfsState *state, GError **error)
{
    const GPtrArray *options = state->head.def->options;

    for (guint i = 0; options && i < options->len; i++) {
        const CstPoolOption *option = g_ptr_array_index(options, i);

        if (strcmp(option->key, KEY_SECRET) != 0) {
            if (!check_option(option, error))
                return FALSE;
            cst_options_add(&state->common, option->key, option->value);
        } else if (cst_uuid_parse(option->value, &state->key)) {
            state->has_key = TRUE;
        } else {
            return cst_fail(error, CST_ERROR_CONFIG,
                            _("option '%s' of the pool is '%s'; it takes %s"), KEY_SECRET,
                            option->value, _("the UUID of a secret"));
        }
    }
    return TRUE;
}

static void zfs_option_add(const CstPoolOption *option, GPtrArray *argv, GPtrArray *texts)
{
    char *text = g_strdup_printf("%s=%s", option->key, option->value);

    g_ptr_array_add(texts, text);
    g_ptr_array_add(argv, (gpointer) "-o");
    g_ptr_array_add(argv, text);
}

gboolean zfs_options_add(const ZfsState *state, const GPtrArray *own, gboolean clone,
                         GPtrArray *argv, GPtrArray *texts, GError **error)
{
    const GPtrArray *lists[] = {state->common, own};

    for (size_t list = 0; list < G_N_ELEMENTS(lists); list++)
        for (guint i = 0; lists[list] && i < lists[list]->len; i++) {
            const CstPoolOption *option = g_ptr_array_index(lists[list], i);

            if (!check_option(option, error))
                return FALSE;
            if ((list == 0 && cst_options_get(own, option->key)) ||
                (clone && g_strv_contains(for_ever, option->key)))
                continue;
            zfs_option_add(option, argv, texts);
        }
    return TRUE;
}

uint64_t zfs_options_block(const GPtrArray *options)
{
    const char *text = cst_options_get(options, "volblocksize");
    uint64_t bytes;

    return text && cst_units_parse(text, 1, &bytes, NULL) ? bytes : 0;
}
