/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The units of the LUNs, and verification of their identity.
 *
 * A LUN is a number. The target can assign another unit to it at any time. A volume is the unit
 * that was first observed under its number. The start of the pool records it (identity), or a later
 * scan does. If another unit replaces it, the volume is listed with this problem and not opened.
 * This ends when a list shows that the number is free, or with a restart of the pool. Units without
 * designators (VPD page 0x83) cannot be distinguished.
 */
#include "iscsi_direct.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

/* Recorded digits of a unit's digest, and the maximum of recorded LUNs. */
#define RECORDED_DIGITS 16
#define RECORDED_LUNS   512
#define RECORD_PREFIX   "iscsi-direct="

/* --- queries ---------------------------------------------------------------------------------- */

GArray *direct_units(DirectState *state, guint *ret_begun, GError **error)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    g_autoptr(GArray) luns = g_array_new(FALSE, TRUE, sizeof(CstIscsiLun));

    g_array_set_clear_func(luns, (GDestroyNotify)cst_iscsi_lun_clear);
    g_mutex_lock(&state->lock);
    *ret_begun = state->looks;
    g_mutex_unlock(&state->lock);
    if (!cst_iscsi_list_luns(state->session, numbers, error))
        return NULL;
    g_array_set_size(luns, numbers->len);
    for (guint i = 0; i < numbers->len; i++)
        g_array_index(luns, CstIscsiLun, i).lun = g_array_index(numbers, uint16_t, i);
    if (!cst_iscsi_look(state->session, (CstIscsiLun *)(void *)luns->data, luns->len, error) ||
        !cst_iscsi_measure(state->session, (CstIscsiLun *)(void *)luns->data, luns->len, error))
        return NULL;
    CST_TEST_POINT("iscsi_direct.units.listed");
    return g_steal_pointer(&luns);
}

/* Controllers, which some targets have at LUN 0, and tapes are no volumes. */
gboolean direct_is_volume(const CstIscsiLun *lun)
{
    if (!lun->exists)
        return FALSE;
    return lun->error || lun->unit.type == CST_SCSI_DISK || lun->unit.type == CST_SCSI_OPTICAL;
}

/* --- known units ------------------------------------------------------------------------------ */

gboolean direct_is_known(DirectState *state, const CstIscsiLun *lun, GError **error)
{
    gpointer key = GUINT_TO_POINTER(lun->lun);
    const char *known;
    gboolean same = TRUE;

    if (lun->error || !lun->unit.id[0])
        return TRUE;
    g_mutex_lock(&state->lock);
    known = g_hash_table_lookup(state->known, key);
    if (!known) {
        g_hash_table_insert(state->known, key, g_strndup(lun->unit.id, RECORDED_DIGITS));
        state->looks++;
    } else {
        same = strncmp(known, lun->unit.id, RECORDED_DIGITS) == 0;
    }
    g_mutex_unlock(&state->lock);
    return same || cst_fail(error, CST_ERROR_STATE,
                            _("LUN %u is another unit than it was before; if that is meant, stop "
                              "pool '%s' and start it again"),
                            lun->lun, state->head.def->name);
}

static gboolean direct_lun_is_listed(const GArray *luns, guint number)
{
    for (guint i = 0; i < luns->len; i++)
        if (g_array_index(luns, CstIscsiLun, i).lun == number)
            return g_array_index(luns, CstIscsiLun, i).exists;
    return FALSE;
}

void direct_forget_gone(DirectState *state, const GArray *luns, guint begun)
{
    GHashTableIter iter;
    gpointer key;

    g_mutex_lock(&state->lock);
    g_hash_table_iter_init(&iter, state->known);
    while (begun == state->looks && g_hash_table_iter_next(&iter, &key, NULL))
        if (!direct_lun_is_listed(luns, GPOINTER_TO_UINT(key)))
            g_hash_table_iter_remove(&iter);
    g_mutex_unlock(&state->lock);
}

/* --- identity --------------------------------------------------------------------------------- */

static gint compare_lun_numbers(gconstpointer a, gconstpointer b)
{
    return (gint)GPOINTER_TO_UINT(a) - (gint)GPOINTER_TO_UINT(b);
}

static gboolean learn_all(DirectState *state, GError **error)
{
    guint begun;
    g_autoptr(GArray) luns = direct_units(state, &begun, error);

    for (guint i = 0; luns && i < luns->len; i++) {
        const CstIscsiLun *lun = &g_array_index(luns, CstIscsiLun, i);

        if (direct_is_volume(lun))
            direct_is_known(state, lun, NULL);
    }
    return luns != NULL;
}

/* Returns the recorded units: "iscsi-direct=1:0123456789abcdef 2:…". */
char *direct_identity(CstPoolState *head, GError **error)
{
    DirectState *state = (DirectState *)head;
    g_autoptr(GList) numbers = NULL;
    GString *line;
    guint count = 0;

    if (!learn_all(state, error))
        return NULL;
    line = g_string_new(RECORD_PREFIX);
    g_mutex_lock(&state->lock);
    numbers = g_list_sort(g_hash_table_get_keys(state->known), compare_lun_numbers);
    for (GList *at = numbers; at && count < RECORDED_LUNS; at = at->next, count++)
        g_string_append_printf(line, "%s%u:%s", count ? " " : "", GPOINTER_TO_UINT(at->data),
                               (const char *)g_hash_table_lookup(state->known, at->data));
    g_mutex_unlock(&state->lock);
    g_string_append_c(line, '\n');
    return g_string_free(line, FALSE);
}

static void direct_parse_recorded(DirectState *state, const char *recorded)
{
    g_auto(GStrv) words = g_strsplit_set(recorded + strlen(RECORD_PREFIX), " \n", -1);

    for (guint i = 0; words[i] && i < RECORDED_LUNS; i++) {
        char *colon = strchr(words[i], ':');
        uint16_t lun;

        if (!colon || strlen(colon + 1) != RECORDED_DIGITS)
            continue;
        *colon = '\0';
        if (direct_lun_in_path(words[i], &lun))
            g_hash_table_insert(state->known, GUINT_TO_POINTER(lun), g_strdup(colon + 1));
    }
}

/* A start accepts the current units, because the administrator has requested it. */
gboolean direct_expect(CstPoolState *head, const char *recorded, gboolean starting, GError **error)
{
    DirectState *state = (DirectState *)head;

    g_mutex_lock(&state->lock);
    g_hash_table_remove_all(state->known);
    if (!starting && recorded && g_str_has_prefix(recorded, RECORD_PREFIX))
        direct_parse_recorded(state, recorded);
    g_mutex_unlock(&state->lock);
    return !starting || learn_all(state, error);
}
