/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed calls for tags and notes. All belong to Cistern's own program. */
#include <conn/tags.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "conn_private.h"

gboolean cst_conn_has_tags(CstConn *conn, gboolean *ret_has, GError **error)
{
    return cst_conn_supports(conn, WIRE_CISTERN_TAG_MATCHES, ret_has, error);
}

gboolean cst_conn_vol_tag(CstConn *conn, const CstVolRef *vol, const char *snapshot,
                          const CstTagChange *change, CstTask *task, GError **error)
{
    char *of = (char *)snapshot, *note = (char *)change->note;
    wire_vol_tag_args args = {
        .vol = cst_vol_arg(vol),
        .snapshot = cst_opt_arg(&of),
        .flags = (change->clear ? WIRE_TAG_CLEAR : 0) | (change->sets_note ? WIRE_TAG_SET_NOTE : 0),
        .note = cst_opt_arg(&note),
    };

    /* The arrays of the call are bounded. */
    if (!cst_tag_change_check(change, error))
        return FALSE;
    args.add.add_val = (wire_string *)change->add;
    args.add.add_len = change->add ? g_strv_length((GStrv)change->add) : 0;
    args.remove.remove_val = (wire_string *)change->remove;
    args.remove.remove_len = change->remove ? g_strv_length((GStrv)change->remove) : 0;
    return cst_conn_own_call(conn, WIRE_CISTERN_VOL_TAG, &args, NULL, task, error);
}

/* Takes ownership of the texts of @wire. */
static CstTagged *tagged_take(wire_tagged *wire)
{
    CstTagged *tagged = g_new0(CstTagged, 1);

    tagged->volume = g_steal_pointer(&wire->volume);
    tagged->snapshot = cst_opt_take(wire->snapshot);
    tagged->note = cst_opt_take(wire->note);
    tagged->tags = g_new0(char *, wire->tags.tags_len + 1);
    for (guint i = 0; i < wire->tags.tags_len; i++)
        tagged->tags[i] = g_steal_pointer(&wire->tags.tags_val[i]);
    return tagged;
}

/* Appends a page. *after: NULL before the first page, then the last name; NULL at the end. */
static gboolean tagged_add_page(CstConn *conn, const wire_pool pool, const char *volume,
                                char **after, GPtrArray *rows, GError **error)
{
    char *of = (char *)volume;
    wire_tag_list_args args = {pool, cst_opt_arg(&of), cst_opt_arg(after)};
    wire_tag_list_ret ret = {0};
    g_autofree char *next = NULL;
    gboolean advances;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_TAG_LIST, &args, &ret, NULL, error))
        return FALSE;
    for (guint i = 0; i < ret.rows.rows_len; i++)
        g_ptr_array_add(rows, tagged_take(&ret.rows.rows_val[i]));
    if (ret.more && ret.rows.rows_len > 0) {
        const CstTagged *last = rows->pdata[rows->len - 1];

        next = volume ? g_strdup(last->snapshot ? last->snapshot : "") : g_strdup(last->volume);
    }
    xdr_free((xdrproc_t)xdr_wire_tag_list_ret, (char *)&ret);
    /* The loop ends if the pages of the server do not advance. */
    advances = !next || !*after || strcmp(next, *after) > 0;
    g_free(*after);
    *after = g_steal_pointer(&next);
    return advances || cst_fail(error, CST_ERROR_RPC, _("the server repeats a page of tags"));
}

static GPtrArray *tagged_read_pages(CstConn *conn, const wire_pool pool, const char *volume,
                                    GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_tagged_free);
    g_autofree char *after = NULL;

    do
        if (!tagged_add_page(conn, pool, volume, &after, rows, error))
            return NULL;
    while (after);
    return g_steal_pointer(&rows);
}

GPtrArray *cst_conn_vol_tagged(CstConn *conn, const CstVolRef *vol, GError **error)
{
    g_autoptr(CstPoolRef) pool = cst_conn_pool_of_vol(conn, vol, error);

    return pool ? tagged_read_pages(conn, cst_pool_arg(pool), vol->name, error) : NULL;
}

static void tagged_free_value(gpointer data)
{
    cst_tagged_free(data);
}

GHashTable *cst_conn_pool_tagged(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    g_autoptr(GPtrArray) rows = tagged_read_pages(conn, cst_pool_arg(pool), NULL, error);
    GHashTable *by_name;

    if (!rows)
        return NULL;
    by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, tagged_free_value);
    while (rows->len > 0) {
        CstTagged *tagged = g_ptr_array_steal_index_fast(rows, 0);

        g_hash_table_replace(by_name, tagged->volume, tagged);
    }
    return by_name;
}

const CstTagged *cst_conn_tagged_find(const GPtrArray *rows, const char *snapshot)
{
    for (guint i = 0; i < rows->len; i++) {
        const CstTagged *tagged = rows->pdata[i];

        if (g_strcmp0(tagged->snapshot, snapshot) == 0)
            return tagged;
    }
    return NULL;
}

GPtrArray *cst_conn_tag_matches(CstConn *conn, const char *tag, GError **error)
{
    g_autoptr(GPtrArray) vols = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_ref_free);
    wire_tag_matches_args args = {(char *)tag, 0};

    do {
        wire_tag_matches_ret ret = {0};
        int64_t next;

        if (!cst_conn_own_call(conn, WIRE_CISTERN_TAG_MATCHES, &args, &ret, NULL, error))
            return NULL;
        for (guint i = 0; i < ret.vols.vols_len; i++)
            g_ptr_array_add(vols, cst_vol_ref_take(&ret.vols.vols_val[i]));
        next = ret.next;
        xdr_free((xdrproc_t)xdr_wire_tag_matches_ret, (char *)&ret);
        if (next != 0 && next <= args.after) {
            cst_fail(error, CST_ERROR_RPC, _("the server repeats a page of tags"));
            return NULL;
        }
        args.after = next;
    } while (args.after != 0);
    return g_steal_pointer(&vols);
}
