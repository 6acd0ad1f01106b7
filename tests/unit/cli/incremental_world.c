/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "incremental_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <base/error.h>
#include <pool/memory.h>
#include <pool/registry.h>

#include "groups.h"
#include "shell/run.h"

/* Replaces the product's registry. */
const CstBackend *cst_backend_for(CstPoolType type, GError **error)
{
    return &cst_memory_backend;
}

gboolean cst_backend_exists(CstPoolType type)
{
    return type == cst_memory_backend.type;
}

/*
 * --- the fixture
 * ----------------------------------------------------------------------------------
 */

static struct {
    MeddleWhen when;
    void (*with)(World *world); /* NULL: no interference */
    World *world;
} meddling;

void meddle(World *world, MeddleWhen when, void (*with)(World *world))
{
    meddling.world = world;
    meddling.when = when;
    meddling.with = with;
}

gboolean has_meddled(void)
{
    return !meddling.with;
}

static void meddle_at(MeddleWhen when)
{
    void (*with)(World * world) = meddling.with;

    if (!with || meddling.when != when)
        return;
    meddling.with = NULL;
    with(meddling.world);
}

gboolean __real_cst_conn_snapshot_create_set(CstConn *conn, const GPtrArray *vols,
                                             const CstSnapshotRequest *request, CstTask *task,
                                             CstSnapshotSet *ret_set, GError **error);
gboolean __wrap_cst_conn_snapshot_create_set(CstConn *conn, const GPtrArray *vols,
                                             const CstSnapshotRequest *request, CstTask *task,
                                             CstSnapshotSet *ret_set, GError **error);
gboolean __real_cst_conn_vol_send(CstConn *conn, const CstVolRef *vol, const CstVolSend *what,
                                  const CstConnSink *sink, CstTask *task, GError **error);
gboolean __wrap_cst_conn_vol_send(CstConn *conn, const CstVolRef *vol, const CstVolSend *what,
                                  const CstConnSink *sink, CstTask *task, GError **error);

gboolean __wrap_cst_conn_snapshot_create_set(CstConn *conn, const GPtrArray *vols,
                                             const CstSnapshotRequest *request, CstTask *task,
                                             CstSnapshotSet *ret_set, GError **error)
{
    gboolean made = __real_cst_conn_snapshot_create_set(conn, vols, request, task, ret_set, error);

    meddle_at(AFTER_THE_SNAPSHOT);
    return made;
}

gboolean __wrap_cst_conn_vol_send(CstConn *conn, const CstVolRef *vol, const CstVolSend *what,
                                  const CstConnSink *sink, CstTask *task, GError **error)
{
    meddle_at(BEFORE_READING);
    return __real_cst_conn_vol_send(conn, vol, what, sink, task, error);
}

static void forget_text(World *world)
{
    free(world->out);
    free(world->err);
    world->out = world->err = NULL;
}

CstExitStatus play(World *world, const char *format, ...)
{
    g_autofree char *line = NULL;
    size_t out_len, err_len;
    CstExitStatus status;
    va_list args;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    forget_text(world);
    world->ctl.out = open_memstream(&world->out, &out_len);
    world->ctl.err = open_memstream(&world->err, &err_len);
    status = cli_run_string(&world->ctl, line);
    fclose(world->ctl.out);
    fclose(world->ctl.err);
    return status;
}

void must(const World *world, gboolean done, GError *error)
{
    if (!done)
        fail_msg("step %u: %s", world->step, error->message);
}

uint32_t draw(World *world, uint64_t below)
{
    return (uint32_t)g_rand_int_range(world->rand, 0, (gint32)below);
}

CstRepo *open_repo(const World *world, unsigned repo)
{
    const CstRepoOpen how = {0};
    g_autofree char *path = g_strdup_printf("%s/repo%u", world->dir, repo);
    GError *error = NULL;
    CstRepo *opened = cst_repo_open(path, &how, &error);

    must(world, opened != NULL, error);
    return opened;
}

void put(World *world, Volume *volume)
{
    GError *error = NULL;

    cst_memory_put("store", volume->name, volume->now.bytes, volume->now.size);
    must(world, cst_conn_pool_refresh(world->ctl.conn, world->pool, 0, &error), error);
    cst_vol_ref_free(volume->ref);
    volume->ref = cst_conn_vol_by_name(world->ctl.conn, world->pool, volume->name, &error);
    must(world, volume->ref != NULL, error);
}

int world_setup(void **state)
{
    static const CliSettings settings = {.embedded = TRUE, .yes = TRUE, .no_config = TRUE};
    World *world = g_new0(World, 1);
    g_autofree char *xml = NULL, *path = NULL, *root = NULL;

    world->dir = g_dir_make_tmp("cst-incremental-XXXXXX", NULL);
    root = g_build_filename(world->dir, "root", NULL);
    path = g_build_filename(world->dir, "pool.xml", NULL);
    xml = g_strdup("<pool type='rbd'><name>p</name><source><host name='localhost'/>"
                   "<name>store</name></source></pool>");
    assert_true(g_file_set_contents(path, xml, -1, NULL));
    cst_memory_put("store", "a", NULL, 0);
    cli_ctl_init(&world->ctl, &settings, cli_groups());
    world->ctl.settings.root = root;
    plays(world, "pool-create %s", path);
    world->ctl.settings.root = NULL; /* it is open */
    world->pool = cst_conn_pool_by_name(world->ctl.conn, "p", NULL);
    for (unsigned i = 0; i < REPOS; i++)
        plays(world, "backup-init %s/repo%u --no-encryption", world->dir, i);
    for (unsigned i = 0; i < VOLUMES; i++) {
        world->volumes[i].name = i ? "b" : "a";
        world->volumes[i].snapshots =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        world->volumes[i].now.size = 8 * BLOCK;
        put(world, &world->volumes[i]);
    }
    world->kept = g_ptr_array_new_with_free_func(g_free);
    world->rand = g_rand_new_with_seed(SEED);
    *state = world;
    return 0;
}

int world_teardown(void **state)
{
    World *world = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", world->dir);

    meddling.with = NULL;
    for (unsigned i = 0; i < VOLUMES; i++) {
        g_hash_table_unref(world->volumes[i].snapshots);
        cst_vol_ref_free(world->volumes[i].ref);
    }
    cst_pool_ref_free(world->pool);
    cli_ctl_clear(&world->ctl);
    cst_memory_clear();
    forget_text(world);
    g_ptr_array_unref(world->kept);
    g_rand_free(world->rand);
    g_free(world->dir);
    g_free(world);
    return system(command);
}

/*
 * --- changes of volumes
 * ---------------------------------------------------------------------------
 */

void write_to(World *world, Volume *volume, uint64_t offset, uint64_t length, uint32_t seed)
{
    int fd = memfd_create("content", MFD_CLOEXEC);
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    uint8_t *to = volume->now.bytes + offset;
    GError *error = NULL;

    assert_int_equal(ftruncate(fd, (off_t)length), 0);
    memset(to, 0, length);
    for (uint64_t i = 0; seed && i < length; i++)
        to[i] = (uint8_t)g_rand_int(rand);
    if (seed)
        assert_int_equal(pwrite(fd, to, length, 0), length);
    must(world,
         cst_conn_vol_upload(world->ctl.conn, volume->ref, fd, offset, length,
                             CST_VOL_STREAM_SPARSE, NULL, &error),
         error);
    close(fd);
}

void resize(World *world, Volume *volume, uint64_t size)
{
    GError *error = NULL;

    must(world,
         cst_conn_vol_resize(world->ctl.conn, volume->ref, size,
                             size < volume->now.size ? CST_VOL_RESIZE_SHRINK : 0, NULL, &error),
         error);
    if (size < volume->now.size)
        memset(volume->now.bytes + size, 0, LARGEST - size);
    volume->now.size = size;
}

void snapshot(World *world, Volume *volume, const char *name)
{
    GError *error = NULL;

    must(world, cst_conn_snapshot_create(world->ctl.conn, volume->ref, name, 0, NULL, &error),
         error);
    g_hash_table_replace(volume->snapshots, g_strdup(name),
                         g_memdup2(&volume->now, sizeof(volume->now)));
}

void revert(World *world, Volume *volume, const char *name)
{
    GError *error = NULL;

    must(world, cst_conn_snapshot_revert(world->ctl.conn, volume->ref, name, NULL, NULL, &error),
         error);
    volume->now = *(Content *)g_hash_table_lookup(volume->snapshots, name);
}

void remove_snapshot(World *world, Volume *volume, const char *name)
{
    GError *error = NULL;

    must(world, cst_conn_snapshot_delete(world->ctl.conn, volume->ref, name, NULL, &error), error);
    g_hash_table_remove(volume->snapshots, name);
}

char *any_snapshot(World *world, const Volume *volume)
{
    g_autoptr(GPtrArray) list = cst_conn_snapshot_list(world->ctl.conn, volume->ref, NULL);

    assert_non_null(list);
    return list->len ? g_strdup(((const CstSnapshot *)list->pdata[draw(world, list->len)])->name)
                     : NULL;
}

guint look_at_snapshots(World *world, Volume *volume)
{
    g_autoptr(GPtrArray) list = cst_conn_snapshot_list(world->ctl.conn, volume->ref, NULL);
    g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter iter;
    gpointer key;
    guint of_backups = 0;

    assert_non_null(list);
    for (guint i = 0; i < list->len; i++) {
        const char *name = ((const CstSnapshot *)list->pdata[i])->name;

        g_hash_table_add(there, (gpointer)name);
        of_backups += g_str_has_prefix(name, "cistern-backup-");
        if (!g_hash_table_contains(volume->snapshots, name))
            g_hash_table_replace(volume->snapshots, g_strdup(name),
                                 g_memdup2(&volume->now, sizeof(volume->now)));
    }
    g_hash_table_iter_init(&iter, volume->snapshots);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        if (!g_hash_table_contains(there, key))
            g_hash_table_iter_remove(&iter);
    return of_backups;
}

/* --- backups ---------------------------------------------------------------------------------- */

void check_kept(World *world, const Kept *kept)
{
    g_autoptr(CstRepo) repo = open_repo(world, kept->repo);
    GError *error = NULL;
    g_autoptr(CstBackup) backup = cst_repo_backup(repo, kept->id, &error);
    const CstBackupVolume *volume =
        backup ? cst_backup_volume(backup, world->volumes[kept->volume].name, &error) : NULL;
    g_autoptr(CstBlob) blob = volume ? cst_backup_open(repo, volume, &error) : NULL;
    g_autofree uint8_t *bytes = g_malloc(LARGEST);

    if (!blob || !cst_blob_pread(blob, bytes, volume->size, 0, &error)) {
        fail_msg("step %u: %s", world->step, error->message);
        return;
    }
    assert_int_equal(volume->size, kept->content.size);
    if (memcmp(bytes, kept->content.bytes, volume->size) != 0)
        fail_msg("step %u: backup %s of %s holds something else", world->step, kept->id,
                 volume->name);
}

const CstBackupVolume *back_up(World *world, unsigned repo_number, unsigned number,
                               const char *words, CstBackup **ret_backup)
{
    Volume *volume = &world->volumes[number];
    g_autoptr(CstRepo) repo = NULL;
    Kept *kept = g_new0(Kept, 1);

    plays(world, "backup-create %s/repo%u p/%s %s", world->dir, repo_number, volume->name, words);
    assert_string_equal(world->err, "");
    repo = open_repo(world, repo_number);
    *ret_backup = cst_repo_backup(repo, "latest", NULL);
    assert_non_null(*ret_backup);
    kept->repo = repo_number;
    kept->volume = number;
    g_strlcpy(kept->id, (*ret_backup)->id, sizeof(kept->id));
    kept->content = volume->now;
    g_ptr_array_add(world->kept, kept);
    check_kept(world, kept);
    look_at_snapshots(world, volume);
    return (*ret_backup)->volumes->pdata[0];
}
