/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ownership of the secrets' directory. libvirt's secret driver (in virtsecretd or libvirtd) holds
 * the lock of run/libvirt/secrets/driver.pid for its whole life, and keeps the directory's content
 * in memory. A daemon that serves virtsecretd's socket does the same: its memory is consistent with
 * the directory. Every other process of Cistern holds the lock only while it changes a secret. It
 * rereads the directory before each answer, because another process may have changed it.
 *
 * The mutex secret_files is held while the directory is read or changed. It is acquired after the
 * definitions' mutex and before the tables' lock.
 */
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <store/rotation_lock.h>

#include "core/definitions.h"
#include "core/service.h"
#include "secret.h"

/*
 * Acquires the driver's lock without waiting. Cistern's processes already exclude each other by the
 * storage driver's lock, and libvirt's driver would not release it. A dry run creates no directory;
 * without the directory no process holds the lock.
 */
static gboolean secrets_acquire_lock(CstService *service, GError **error)
{
    if (cst_driver_lock_is_held(service->secret_lock))
        return TRUE;
    if (cst_dry_run() && access(service->paths->secret_run_dir, F_OK) < 0)
        return TRUE;
    if (!cst_driver_lock_acquire(service->secret_lock, 0, error))
        return FALSE;
    g_atomic_int_set(&service->secrets_held, service->manages_secrets);
    return TRUE;
}

/* Releases the lock, unless this process manages the secrets or is in an outer change. */
static void release_lock(CstService *service)
{
    if (service->manages_secrets || service->secret_depth > 0)
        return;
    g_atomic_int_set(&service->secrets_held, FALSE);
    cst_driver_lock_release(service->secret_lock);
}

/*
 * Removes temporary files of dead processes. If another program has the lock, they may belong to
 * its current change, and are kept.
 */
static void drop_leftovers(CstService *service)
{
    if (!cst_secret_files_have_leftovers(service->paths) || !secrets_acquire_lock(service, NULL))
        return;
    cst_secret_files_drop_leftovers(service->paths);
    release_lock(service);
}

gboolean secrets_load(CstService *service, GError **error)
{
    g_autoptr(GPtrArray) files = NULL;
    gpointer *items;
    gsize count;

    g_rec_mutex_lock(&service->secret_files);
    drop_leftovers(service);
    /* Read them without the tables' lock, which must not be held during I/O. */
    files = cst_secret_files_load(service->paths, error);
    if (!files) {
        g_rec_mutex_unlock(&service->secret_files);
        return FALSE;
    }
    g_mutex_lock(&service->tables);
    /* Ephemeral secrets have no file. They live as long as the process. */
    items = g_hash_table_get_keys_as_array(service->secrets, NULL);
    for (guint i = 0; items && items[i]; i++) {
        CstSecretFile *secret = g_hash_table_lookup(service->secrets, items[i]);

        if (!secret->def->ephemeral)
            g_hash_table_remove(service->secrets, items[i]);
    }
    g_free(items);
    items = g_ptr_array_steal(files, &count);
    for (gsize i = 0; i < count; i++) {
        CstSecretFile *secret = items[i];

        g_hash_table_replace(service->secrets, &secret->def->uuid, secret);
    }
    g_free(items);
    g_mutex_unlock(&service->tables);
    g_rec_mutex_unlock(&service->secret_files);
    return TRUE;
}

/* During a change of this process (secret_depth) the table is newer than the files. */
gboolean secrets_refresh(CstService *service, GError **error)
{
    gboolean loaded = TRUE;

    if (service->mode == CST_SERVICE_EMBEDDED || g_atomic_int_get(&service->secrets_held))
        return TRUE;
    g_rec_mutex_lock(&service->secret_files);
    if (service->secret_depth == 0) {
        /* The program that held the lock may have ended. */
        if (service->manages_secrets && !cst_dry_run())
            secrets_acquire_lock(service, NULL);
        loaded = secrets_load(service, error);
    }
    g_rec_mutex_unlock(&service->secret_files);
    return loaded;
}

gboolean secrets_sync(CstService *service, GError **error)
{
    return definitions_sync(service, error) && secrets_refresh(service, error);
}

void secrets_leave(CstService *service)
{
    service->secret_depth--;
    release_lock(service);
    g_rec_mutex_unlock(&service->secret_files);
    definitions_leave(service);
}

/*
 * Lock order: see core/definitions.h. After acquiring the lock the files are reread, because
 * another process may have changed them.
 */
gboolean secrets_enter(CstService *service, GError **error)
{
    gboolean was_held;

    if (!definitions_enter(service, error))
        return FALSE;
    g_rec_mutex_lock(&service->secret_files);
    was_held = cst_driver_lock_is_held(service->secret_lock);
    service->secret_depth++;
    if (!secrets_acquire_lock(service, error)) {
        service->secret_depth--;
        g_rec_mutex_unlock(&service->secret_files);
        definitions_leave(service);
        return FALSE;
    }
    if (was_held || secrets_load(service, error))
        return TRUE;
    secrets_leave(service);
    return FALSE;
}

gboolean secret_refuse_rotating(const CstService *service, const CstUuid *uuid, GError **error)
{
    char text[CST_UUID_TEXT_LEN];

    return !cst_rotation_is_locked(service->paths, uuid) ||
           cst_fail(error, CST_ERROR_BUSY, _("secret '%s' is being rotated"),
                    cst_uuid_format(uuid, text));
}

gboolean cst_service_manage_secrets(CstService *service, GError **error)
{
    gboolean taken;

    g_rec_mutex_lock(&service->secret_files);
    /* Set this even if the lock cannot be acquired: secrets_refresh() retries. */
    service->manages_secrets = TRUE;
    taken = secrets_acquire_lock(service, error) && secrets_load(service, error);
    g_rec_mutex_unlock(&service->secret_files);
    return taken;
}

void cst_service_leave_secrets(CstService *service)
{
    g_rec_mutex_lock(&service->secret_files);
    service->manages_secrets = FALSE;
    release_lock(service);
    g_rec_mutex_unlock(&service->secret_files);
}
