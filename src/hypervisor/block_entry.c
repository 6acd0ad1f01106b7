/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The entry of a block job (domain_entry.c). A keeper writes it before it begins the job, and
 * before a pivot. It removes the entry when the job has ended. So a missing entry means that there
 * is no job.
 */
#include "block_entry.h"

#include <base/error.h>
#include <base/i18n.h>

#include "block_protocol.h"
#include "connection.h"
#include "detached.h"

#define GROUP "block-job"

void block_entry_clear(BlockEntry *entry)
{
    domain_entry_clear(&entry->domain);
    g_clear_pointer(&entry->target, g_free);
    g_clear_pointer(&entry->source, g_free);
    g_clear_pointer(&entry->destination, g_free);
    g_clear_pointer(&entry->top, g_free);
    g_clear_pointer(&entry->base, g_free);
    g_clear_pointer(&entry->pool, g_free);
    g_clear_pointer(&entry->pool_volume, g_free);
    g_clear_pointer(&entry->old_pool, g_free);
    g_clear_pointer(&entry->old_volume, g_free);
    g_clear_pointer(&entry->format, g_free);
}

static void entry_set_text(GKeyFile *file, const char *key, const char *text)
{
    if (text)
        g_key_file_set_string(file, GROUP, key, text);
}

gboolean block_entry_write(int dirfd, const BlockEntry *entry, GError **error)
{
    g_autoptr(GKeyFile) file = domain_entry_encode(&entry->domain, GROUP);

    g_key_file_set_string(file, GROUP, "target", entry->target);
    g_key_file_set_integer(file, GROUP, "kind", (int)entry->kind);
    g_key_file_set_boolean(file, GROUP, "active", entry->active);
    entry_set_text(file, "source", entry->source);
    entry_set_text(file, "destination", entry->destination);
    entry_set_text(file, "top", entry->top);
    entry_set_text(file, "base", entry->base);
    entry_set_text(file, "pool", entry->pool);
    entry_set_text(file, "pool-volume", entry->pool_volume);
    entry_set_text(file, "old-pool", entry->old_pool);
    entry_set_text(file, "old-volume", entry->old_volume);
    entry_set_text(file, "format", entry->format);
    g_key_file_set_boolean(file, GROUP, "naming", entry->naming);
    g_key_file_set_boolean(file, GROUP, "switching", entry->switching);
    return domain_entry_write(dirfd, entry->domain.uuid, file, error);
}

/* Whether the entry has the layers of its kind. */
static gboolean block_entry_has_layers(const BlockEntry *entry)
{
    if (entry->destination && !entry->source)
        return FALSE;
    switch (entry->kind) {
    case CST_HYPERVISOR_JOB_COPY: return entry->destination != NULL;
    case CST_HYPERVISOR_JOB_PULL: return !entry->destination;
    case CST_HYPERVISOR_JOB_COMMIT:
        return entry->active ? entry->destination != NULL : entry->top && !entry->destination;
    default: return FALSE;
    }
}

/* Whether the entry has all names, or none of them. */
static gboolean block_entry_has_names(const BlockEntry *entry)
{
    if (!entry->pool)
        return !entry->pool_volume && !entry->old_pool && !entry->old_volume && !entry->format;
    return entry->destination && entry->pool_volume && entry->old_pool && entry->old_volume &&
           (entry->format != NULL) == (entry->kind == CST_HYPERVISOR_JOB_COPY);
}

static gboolean block_entry_decode(GKeyFile *file, BlockEntry *ret_entry)
{
    g_autoptr(GError) error = NULL;

    ret_entry->target = g_key_file_get_string(file, GROUP, "target", NULL);
    ret_entry->source = g_key_file_get_string(file, GROUP, "source", NULL);
    ret_entry->destination = g_key_file_get_string(file, GROUP, "destination", NULL);
    ret_entry->top = g_key_file_get_string(file, GROUP, "top", NULL);
    ret_entry->base = g_key_file_get_string(file, GROUP, "base", NULL);
    ret_entry->pool = g_key_file_get_string(file, GROUP, "pool", NULL);
    ret_entry->pool_volume = g_key_file_get_string(file, GROUP, "pool-volume", NULL);
    ret_entry->old_pool = g_key_file_get_string(file, GROUP, "old-pool", NULL);
    ret_entry->old_volume = g_key_file_get_string(file, GROUP, "old-volume", NULL);
    ret_entry->format = g_key_file_get_string(file, GROUP, "format", NULL);
    ret_entry->kind = (CstHypervisorJobKind)g_key_file_get_integer(file, GROUP, "kind", &error);
    if (!error)
        ret_entry->active = g_key_file_get_boolean(file, GROUP, "active", &error);
    if (!error)
        ret_entry->naming = g_key_file_get_boolean(file, GROUP, "naming", &error);
    if (!error)
        ret_entry->switching = g_key_file_get_boolean(file, GROUP, "switching", &error);
    return !error && ret_entry->target && block_entry_has_layers(ret_entry) &&
           block_entry_has_names(ret_entry);
}

gboolean block_entry_read(int dirfd, const char *uuid, BlockEntry *ret_entry, GError **error)
{
    g_autofree char *damaged = g_strdup_printf(
        _("the entry of the block job of domain %s is damaged; end the job with virsh "
          "blockjob, then remove the entry"),
        uuid);
    g_autoptr(GKeyFile) file =
        domain_entry_read(dirfd, uuid, GROUP, damaged, &ret_entry->domain, error);

    return file && (block_entry_decode(file, ret_entry) ||
                    cst_fail(error, CST_ERROR_CORRUPT, "%s", damaged));
}

/* Starts a repair with the lock that is held. */
static gboolean block_entry_repair(int dirfd, const char *uuid, int lock, GError **error)
{
    g_autofree char *limits = detached_limits_format(hypervisor_block_limits, BLOCK_LIMIT_LAST);

    return detached_start((const char *const[]){HYPERVISOR_PROGRAM, HYPERVISOR_BLOCK, BLOCK_REPAIR,
                                                limits, uuid, "0", NULL},
                          (const int[]){dirfd, lock}, 2, error);
}

static gboolean block_entry_check(int dirfd, const char *uuid, GError **error)
{
    g_auto(BlockEntry) entry = {0};

    return block_entry_read(dirfd, uuid, &entry, error);
}

gboolean block_entry_recover(int dirfd, const char *uuid, gpointer data, GError **error)
{
    static const DomainRecovery recovery = {block_entry_check, block_entry_repair};

    return domain_entry_recover(dirfd, uuid, &recovery, error);
}
