/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data about a volume that the service keeps by name: the protection against deletion
 * (store/protected.h), the declaration of its content (core/trust.h, core/trust_device.h), and its
 * record in the trash (store/trash.h), and its tags (store/tags.h). When a volume is renamed, these
 * data move to the new name. The next volume with its former name has no such data.
 *
 * A file's declaration is also found by the file's identity, so it is in force at any time. If the
 * identity is unknown, the volume is restricted until the move is complete, and never trusted more
 * than before.
 */
#include "by_name.h"

#include <inttypes.h>
#include <string.h>

#include <base/dry_run.h>
#include <base/log.h>
#include <store/declarations.h>
#include <store/protected.h>
#include <store/schedules.h>

#include "core/events.h"
#include "core/intent.h"
#include "core/overlays.h"
#include "core/service.h"
#include "core/trust.h"
#include "core/trust_device.h"
#include "dependency/depth.h"
#include "volume/tags.h"

#define PROTECTED      "protected"
#define KEY            "key"
#define DECLARED       "declared"
#define FORMAT         "declared-format"
#define RESTRICTED     "declared-restricted"
#define BACKING        "declared-backing"
#define BACKING_FORMAT "declared-backing-format"
#define DATA_FILE      "declared-data-file"
#define TRASHED        "trash-hidden"
#define TRASH_NAME     "trash-name"
#define TRASH_DELETED  "trash-deleted"
#define TRASH_UNTIL    "trash-until"
#define TRASH_UID      "trash-uid"

void kept_clear(KeptByName *kept)
{
    g_clear_pointer(&kept->key, g_free);
    g_clear_pointer(&kept->declaration, cst_declaration_free);
    g_clear_pointer(&kept->trashed, cst_trashed_free);
}

/* --- reading ---------------------------------------------------------------------------------- */

static gboolean read_device(CstPool *pool, CstPoolState *state, const CstVolume *volume,
                            KeptByName *ret_kept, GError **error)
{
    const char *format;

    if (!trust_content_format(pool, state, volume, &format, error))
        return FALSE;
    if (g_strcmp0(format, volume->format) != 0)
        ret_kept->declaration = cst_declaration_new(format, TRUE);
    ret_kept->key = cst_pool_state_vol_key(state, volume);
    return TRUE;
}

static gboolean read_trashed(CstPool *pool, const char *name, CstTrashed **ret_trashed,
                             GError **error)
{
    return !cst_name_is_trash(name) ||
           cst_trash_find(pool->service->paths, &pool->uuid, name, ret_trashed, error);
}

gboolean kept_read(CstPool *pool, CstPoolState *state, const CstVolume *volume,
                   KeptByName *ret_kept, GError **error)
{
    CstService *service = pool->service;
    CstDeclaredFile file;

    if (!cst_protected_find(service->paths, &pool->uuid, volume->name, &ret_kept->is_protected,
                            error) ||
        !read_trashed(pool, volume->name, &ret_kept->trashed, error))
        return FALSE;
    if (trust_device_applies(state, volume))
        return read_device(pool, state, volume, ret_kept, error);
    if (!trust_applies(state))
        return TRUE;
    file = trust_file(state, volume->name, cst_volume_file_id(volume));
    return cst_declarations_find(service->declarations, &file, FALSE, &ret_kept->declaration,
                                 error);
}

/* --- rename ----------------------------------------------------------------------------------- */

static gboolean declaration_move_file(CstService *service, CstPoolState *state, const char *name,
                                      const CstVolume *volume, const CstDeclaration *declaration,
                                      GError **error)
{
    const CstDeclaredFile file = trust_file(state, volume->name, cst_volume_file_id(volume));

    /* A record for the new name without a declaration of this file belongs to a former volume. */
    if (declaration ? !cst_declarations_set(service->declarations, &file, declaration, TRUE, error)
                    : !cst_declarations_remove(service->declarations, file.dir, file.name, error))
        return FALSE;
    return cst_declarations_remove(service->declarations, file.dir, name, error);
}

/* Writes the new record first, so that a deleted volume is never without a record. */
static gboolean move_trashed(const CstPaths *paths, const CstUuid *pool, const char *name,
                             const CstTrashed *trashed, GError **error)
{
    return (!trashed || cst_trash_set(paths, pool, trashed, error)) &&
           (!cst_name_is_trash(name) || cst_trash_remove(paths, pool, name, error));
}

gboolean kept_move_device(CstService *service, CstPoolState *from, const char *name,
                          CstPoolState *state, const CstVolume *volume, const KeptByName *kept,
                          GError **error)
{
    const FormerVolume former = {.state = from, .name = name, .key = kept->key};

    return trust_device_rename(service, &former, state, volume,
                               kept->declaration ? kept->declaration->format : NULL, error);
}

void kept_move_copies(CstService *service, const char *pool, const char *name, const char *new_pool,
                      const char *new_name)
{
    g_autoptr(GError) error = NULL;

    if (!cst_schedules_rename_volume(service->paths, pool, name, new_pool, new_name, &error))
        cst_log(CST_LOG_WARNING, "schedules will not remove their snapshots of volume '%s': %s",
                new_name, error->message);
}

gboolean kept_begin_move(CstPool *pool, const char *new_name, GError **error)
{
    return cst_dry_run() || volume_tags_forget_name(pool->service, &pool->uuid, new_name, error);
}

gboolean kept_move(CstService *service, CstPoolState *state, const char *name,
                   const CstVolume *volume, const KeptByName *kept, GError **error)
{
    const CstUuid *uuid = &state->def->uuid;

    kept_move_copies(service, state->def->name, name, state->def->name, volume->name);
    if (!cst_protected_set(service->paths, uuid, volume->name, kept->is_protected, error) ||
        !cst_protected_set(service->paths, uuid, name, FALSE, error) ||
        !move_trashed(service->paths, uuid, name, kept->trashed, error) ||
        !volume_tags_move(service, uuid, name, uuid, volume->name, error))
        return FALSE;
    if (trust_device_applies(state, volume))
        return kept_move_device(service, state, name, state, volume, kept, error);
    return !trust_applies(state) ||
           (overlays_rename(service, state, name, volume, error) &&
            declaration_move_file(service, state, name, volume, kept->declaration, error));
}

/* --- intents ---------------------------------------------------------------------------------- */

static void put_number(GHashTable *fields, const char *name, int64_t value)
{
    g_autofree char *text = g_strdup_printf("%" PRId64, value);

    intent_put(fields, name, text);
}

static void save_trashed(const CstTrashed *trashed, GHashTable *fields)
{
    intent_put(fields, TRASHED, trashed->hidden);
    intent_put(fields, TRASH_NAME, trashed->name);
    put_number(fields, TRASH_DELETED, trashed->deleted);
    put_number(fields, TRASH_UNTIL, trashed->until);
    put_number(fields, TRASH_UID, trashed->uid);
}

static int64_t get_number(GHashTable *fields, const char *name)
{
    const char *text = g_hash_table_lookup(fields, name);

    return text ? g_ascii_strtoll(text, NULL, 10) : 0;
}

static CstTrashed *load_trashed(GHashTable *fields)
{
    CstTrashed *trashed = g_new0(CstTrashed, 1);

    trashed->hidden = g_strdup(g_hash_table_lookup(fields, TRASHED));
    trashed->name = g_strdup(g_hash_table_lookup(fields, TRASH_NAME));
    trashed->deleted = get_number(fields, TRASH_DELETED);
    trashed->until = get_number(fields, TRASH_UNTIL);
    trashed->uid = (uint32_t)get_number(fields, TRASH_UID);
    return trashed;
}

void kept_save(const KeptByName *kept, GHashTable *fields)
{
    const CstDeclaration *declaration = kept->declaration;

    intent_put(fields, PROTECTED, kept->is_protected ? "yes" : NULL);
    intent_put(fields, KEY, kept->key);
    if (kept->trashed)
        save_trashed(kept->trashed, fields);
    if (!declaration)
        return;
    intent_put(fields, DECLARED, "yes");
    intent_put(fields, FORMAT, declaration->format);
    intent_put(fields, RESTRICTED, declaration->restricted ? "yes" : NULL);
    intent_put(fields, BACKING, declaration->backing);
    intent_put(fields, BACKING_FORMAT, declaration->backing_format);
    intent_put(fields, DATA_FILE, declaration->data_file);
}

void kept_load(GHashTable *fields, KeptByName *ret_kept)
{
    CstDeclaration *declaration;

    ret_kept->is_protected = g_hash_table_contains(fields, PROTECTED);
    ret_kept->key = g_strdup(g_hash_table_lookup(fields, KEY));
    if (g_hash_table_contains(fields, TRASHED) && g_hash_table_contains(fields, TRASH_NAME))
        ret_kept->trashed = load_trashed(fields);
    if (!g_hash_table_contains(fields, DECLARED))
        return;
    declaration = cst_declaration_new(g_hash_table_lookup(fields, FORMAT),
                                      g_hash_table_contains(fields, RESTRICTED));
    cst_declaration_set_backing(declaration, g_hash_table_lookup(fields, BACKING),
                                g_hash_table_lookup(fields, BACKING_FORMAT));
    declaration->data_file = g_strdup(g_hash_table_lookup(fields, DATA_FILE));
    ret_kept->declaration = declaration;
}

void volume_renamed(CstPool *pool, const char *name, uint32_t depth, CstPool *to,
                    const char *new_name)
{
    event_emit_rename(pool, name, to, new_name);
    chain_record_gone(pool, name, depth);
    chain_record(to, new_name, 0);
}
