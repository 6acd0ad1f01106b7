/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One call to a pool's backend, for tests of what no command reaches by itself.
 *
 * usage: cst-pool POOL.xml VERB [ARGUMENT…]
 *
 *   snap-list VOLUME                     name, capacity, allocation, limit, problem
 *   snap-create VOLUME NAME [BYTES]      snap-revert VOLUME NAME    snap-delete VOLUME NAME
 *   snap-rename VOLUME NAME NEW          snap-read VOLUME NAME      its first MiB to stdout
 *   snap-clone VOLUME NAME NEW           settle                     ends what dead ones began
 *   flatten VOLUME     holders VOLUME     children VOLUME    thin    resize VOLUME BYTES
 *   create NAME BYTES [thin|thick]       clone VOLUME NEW           delete VOLUME
 *   make NAME BYTES [thin|thick]         as create does, but in one step
 *   changed VOLUME SINCE [UNTIL|- [MAX]]   capacity and identity, then ranges, MAX at a time
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/uuid.h>
#include <pool/pool.h>

#define READ_BYTES (1u << 20)

typedef struct {
    CstPoolState *state;
    char **args; /* NULL-terminated */
} Call;

static gboolean snap_list(const Call *call, GError **error)
{
    g_autoptr(GPtrArray) list = cst_pool_state_snapshots(call->state, call->args[0], error);

    for (guint i = 0; list && i < list->len; i++) {
        const CstSnapshot *snapshot = g_ptr_array_index(list, i);

        printf("%s %" PRIu64 " %" PRId64 " %" PRIu64 " %s\n", snapshot->name, snapshot->capacity,
               (int64_t)snapshot->allocation, snapshot->limit,
               snapshot->problem ? snapshot->problem : "-");
    }
    return list != NULL;
}

static gboolean snap_create(const Call *call, GError **error)
{
    CstSnapshotCreate how = {.limit = call->args[2] ? strtoull(call->args[2], NULL, 10) : 0};

    return cst_pool_state_snapshot_create(call->state, call->args[0], call->args[1], &how, NULL,
                                          error);
}

static gboolean snap_revert(const Call *call, GError **error)
{
    g_autoptr(GPtrArray) lost =
        cst_pool_state_snapshot_revert_loses(call->state, call->args[0], call->args[1], error);

    return lost && cst_pool_state_snapshot_revert(call->state, call->args[0], call->args[1], lost,
                                                  NULL, error);
}

static gboolean snap_delete(const Call *call, GError **error)
{
    return cst_pool_state_snapshot_remove(call->state, call->args[0], call->args[1], NULL, error);
}

static gboolean snap_rename(const Call *call, GError **error)
{
    return cst_pool_state_snapshot_rename(call->state, call->args[0], call->args[1], call->args[2],
                                          error);
}

static gboolean snap_read(const Call *call, GError **error)
{
    g_autoptr(CstBlob) blob =
        cst_pool_state_snapshot_open(call->state, call->args[0], call->args[1], error);
    static char buf[READ_BYTES];

    return blob && cst_blob_pread(blob, buf, READ_BYTES, 0, error) &&
           fwrite(buf, READ_BYTES, 1, stdout) == 1;
}

static gboolean changed(const Call *call, GError **error)
{
    const char *until = call->args[2], *max = until ? call->args[3] : NULL;
    g_auto(CstChanged) told = {.max = max ? (guint)strtoul(max, NULL, 10) : 16384};

    if (until && strcmp(until, "-") == 0)
        until = NULL;
    do {
        told.offset = told.next;
        if (!cst_pool_state_snapshot_changed(call->state, call->args[0], call->args[1], until, NULL,
                                             &told, error))
            return FALSE;
        if (told.offset == 0)
            printf("%" PRIu64 " %s\n", told.capacity, told.identity);
        for (guint i = 0; i < told.ranges->len; i++) {
            const CstRange *range = &g_array_index(told.ranges, CstRange, i);

            printf("%" PRIu64 " %" PRIu64 "\n", range->offset, range->length);
        }
    } while (told.next < told.capacity);
    return TRUE;
}

static gboolean settle(const Call *call, GError **error)
{
    return cst_pool_state_settle(call->state, error);
}

static gboolean flatten(const Call *call, GError **error)
{
    return cst_pool_state_vol_flatten(call->state, call->args[0], NULL, error);
}

static gboolean holders(const Call *call, GError **error)
{
    g_autoptr(GPtrArray) list = cst_pool_state_vol_holders(call->state, call->args[0], error);

    for (guint i = 0; list && i < list->len; i++)
        printf("%s\n", ((const CstHolder *)g_ptr_array_index(list, i))->what);
    return list != NULL;
}

static gboolean children(const Call *call, GError **error)
{
    g_autoptr(GPtrArray) list = cst_pool_state_vol_children(call->state, call->args[0], error);

    for (guint i = 0; list && i < list->len; i++)
        printf("%s\n", (const char *)g_ptr_array_index(list, i));
    return list != NULL;
}

static gboolean thin(const Call *call, GError **error)
{
    g_autoptr(GPtrArray) list = cst_pool_state_thin(call->state, error);

    for (guint i = 0; list && i < list->len; i++) {
        const CstThinStore *store = g_ptr_array_index(list, i);

        printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %u\n", store->name, store->size,
               store->used, store->metadata_size, store->metadata_used, store->volumes);
    }
    return list != NULL;
}

static gboolean resize(const Call *call, GError **error)
{
    return cst_pool_state_vol_resize(call->state, call->args[0], strtoull(call->args[1], NULL, 10),
                                     NULL, error);
}

static gboolean delete (const Call *call, GError **error)
{
    return cst_pool_state_delete(call->state, call->args[0], 0, error);
}

static CstVolDef *new_volume(const char *name, uint64_t capacity, const char *kind)
{
    CstVolDef *def = cst_vol_def_new();

    def->type = CST_VOL_BLOCK;
    def->name = g_strdup(name);
    def->capacity = def->allocation = capacity;
    if (kind)
        cst_options_add(&def->options, "thin", strcmp(kind, "thin") == 0 ? "yes" : "no");
    return def;
}

static void name_draft(CstVolDraft *draft)
{
    char token[CST_UUID_TEXT_LEN];
    CstUuid uuid;

    cst_uuid_generate(&uuid);
    draft->token = g_strdup(cst_uuid_format(&uuid, token));
}

static gboolean create(const Call *call, GError **error)
{
    g_autoptr(CstVolDef) def =
        new_volume(call->args[0], strtoull(call->args[1], NULL, 10), call->args[2]);
    g_auto(CstVolDraft) draft = {0};

    name_draft(&draft);
    if (cst_pool_state_reserve(call->state, def, &draft, error) &&
        cst_pool_state_commit(call->state, &draft, def, error))
        return TRUE;
    cst_pool_state_abandon(call->state, draft.token, NULL);
    return FALSE;
}

static gboolean make(const Call *call, GError **error)
{
    g_autoptr(CstVolDef) def =
        new_volume(call->args[0], strtoull(call->args[1], NULL, 10), call->args[2]);

    return cst_pool_state_make(call->state, def, error);
}

static gboolean clone_from(const Call *call, const char *snapshot, const char *name, GError **error)
{
    g_autoptr(CstVolDef) def = new_volume(name, 1, NULL);
    g_auto(CstVolDraft) draft = {0};

    name_draft(&draft);
    if (cst_pool_state_reserve_clone(call->state, def, call->args[0], snapshot, &draft, error) &&
        cst_pool_state_commit(call->state, &draft, def, error))
        return TRUE;
    cst_pool_state_abandon(call->state, draft.token, NULL);
    return FALSE;
}

static gboolean snap_clone(const Call *call, GError **error)
{
    return clone_from(call, call->args[1], call->args[2], error);
}

static gboolean clone_volume(const Call *call, GError **error)
{
    return clone_from(call, NULL, call->args[1], error);
}

static const struct {
    const char *verb;
    guint arguments; /* at least */
    gboolean (*run)(const Call *call, GError **error);
} verbs[] = {
    {"snap-list", 1, snap_list},
    {"snap-create", 2, snap_create},
    {"snap-revert", 2, snap_revert},
    {"snap-delete", 2, snap_delete},
    {"snap-rename", 3, snap_rename},
    {"snap-read", 2, snap_read},
    {"snap-clone", 3, snap_clone},
    {"changed", 2, changed},
    {"settle", 0, settle},
    {"flatten", 1, flatten},
    {"holders", 1, holders},
    {"children", 1, children},
    {"thin", 0, thin},
    {"resize", 2, resize},
    {"create", 2, create},
    {"clone", 2, clone_volume},
    {"delete", 1, delete},
    {"make", 2, make},
};

static gboolean run(const char *verb, const Call *call, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (strcmp(verbs[i].verb, verb) == 0 && g_strv_length(call->args) >= verbs[i].arguments)
            return verbs[i].run(call, error);
    return cst_fail(error, CST_ERROR_USAGE, "usage: cst-pool POOL.xml VERB [ARGUMENT…]");
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPoolDef) def = NULL;
    g_autoptr(CstPoolState) state = NULL;
    g_autofree char *xml = NULL, *text = NULL;

    if (argc < 3 || !g_file_get_contents(argv[1], &xml, NULL, &error))
        return 2;
    def = cst_pool_def_parse(xml, 0, &error);
    state = def ? cst_pool_state_open(def, NULL, &error) : NULL;
    if (state) {
        Call call = {state, argv + 3};

        if (run(argv[2], &call, &error))
            return 0;
    }
    text = cst_error_text(error);
    fprintf(stderr, "%s\n", text);
    return 1;
}
