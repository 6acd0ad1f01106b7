/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Procedures for tags and notes of volumes and snapshots. */
#include <service/tags.h>
#include <store/tags.h>

#include "api_private.h"

G_STATIC_ASSERT(CST_TAGS_MAX == WIRE_TAGS_MAX && CST_TAG_PAGE_MAX == WIRE_TAG_PAGE_MAX);

/* Borrows the texts. g_free() the array. */
static const char **tags_borrow(wire_string *const *texts, guint count)
{
    const char **tags = g_new0(const char *, count + 1);

    for (guint i = 0; i < count; i++)
        tags[i] = (*texts)[i];
    return tags;
}

static gboolean api_vol_tag(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_tag_args *args = data;
    g_autofree const char **remove = tags_borrow(&args->remove.remove_val, args->remove.remove_len);
    g_autofree const char **add = tags_borrow(&args->add.add_val, args->add.add_len);
    const CstTagChange change = {.clear = (args->flags & WIRE_TAG_CLEAR) != 0,
                                 .remove = remove,
                                 .add = add,
                                 .sets_note = (args->flags & WIRE_TAG_SET_NOTE) != 0,
                                 .note = cst_api_opt_text(args->note)};
    g_autoptr(CstPool) pool = NULL;

    if (!cst_flags_check(args->flags, WIRE_TAG_CLEAR | WIRE_TAG_SET_NOTE, "cisternVolTag", error))
        return FALSE;
    pool = cst_api_vol_pool(call->service, &args->vol, error);
    return pool && cst_vol_tag(pool, args->vol.name, cst_api_opt_text(args->snapshot), &change,
                               call->task, error);
}

static gboolean api_tag_list(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_tag_list_args *args = data;
    wire_tag_list_ret *ret = ret_data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);
    g_autoptr(GPtrArray) rows = pool ? cst_pool_tagged(pool, cst_api_opt_text(args->volume),
                                                       cst_api_opt_text(args->after), error)
                                     : NULL;

    if (!rows)
        return FALSE;
    ret->more = rows->len == WIRE_TAG_PAGE_MAX;
    ret->rows.rows_val = g_new0(wire_tagged, rows->len + 1);
    for (guint i = 0; i < rows->len; i++) {
        CstTagged *tagged = rows->pdata[i];
        wire_tagged *row = &ret->rows.rows_val[ret->rows.rows_len++];

        row->volume = g_steal_pointer(&tagged->volume);
        row->snapshot = cst_api_opt(g_steal_pointer(&tagged->snapshot));
        row->note = cst_api_opt(g_steal_pointer(&tagged->note));
        row->tags.tags_len = g_strv_length(tagged->tags);
        row->tags.tags_val = (wire_string *)g_steal_pointer(&tagged->tags);
    }
    return TRUE;
}

static gboolean api_tag_matches(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_tag_matches_args *args = data;
    wire_tag_matches_ret *ret = ret_data;
    int64_t after = args->after;
    g_autoptr(GPtrArray) matches =
        cst_service_tag_matches(call->service, args->tag, &after, call->task, error);

    if (!matches)
        return FALSE;
    ret->next = after;
    ret->vols.vols_val = g_new0(wire_vol, matches->len + 1);
    for (guint i = 0; i < matches->len; i++) {
        CstTagMatch *match = matches->pdata[i];

        cst_api_set_vol(&ret->vols.vols_val[ret->vols.vols_len++], match->pool, match->name,
                        g_steal_pointer(&match->key));
    }
    return TRUE;
}

const CstProcedure cst_api_tag_procedures[] = {
    CST_OWN_PROCEDURE(VOL_TAG, LONG, WRITE, "cisternVolTag", vol_tag_args, void, api_vol_tag),
    CST_OWN_PROCEDURE(TAG_LIST, QUICK, READ, "cisternTagList", tag_list_args, tag_list_ret,
                      api_tag_list),
    CST_OWN_PROCEDURE(TAG_MATCHES, LONG, READ, "cisternTagMatches", tag_matches_args,
                      tag_matches_ret, api_tag_matches),
    {0},
};
