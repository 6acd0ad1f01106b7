/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup-create --incremental over real storage of the example backend (pool/memory.h), which
 * reports changed ranges. Random steps with two volumes and two repositories are compared with the
 * expected content of every backup. Further cases replace or change the snapshot.
 * CISTERN_BACKUP_STEPS and CISTERN_BACKUP_SEED set the number of steps and the seed.
 */
#include "incremental_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <pool/memory.h>

#define STEPS 600

/* Backs up "a" into the first repository. *ret_read: bytes that were read. Returns whether it is an
 * increment. */
static gboolean increment(World *world, uint64_t *ret_read)
{
    g_autoptr(CstBackup) backup = NULL;
    const CstBackupVolume *volume = back_up(world, 0, 0, "--incremental", &backup);

    if (ret_read)
        *ret_read = volume->read;
    assert_int_equal(volume->base[0] == '\0', strstr(world->out, "read whole") != NULL);
    return volume->base[0] != '\0';
}

/* --- cases ------------------------------------------------------------------------------------ */

static void only_changed_ranges_are_read(void **state)
{
    World *world = *state;
    Volume *volume = &world->volumes[0];
    uint64_t read;

    write_to(world, volume, 0, 8 * BLOCK, 1);
    assert_false(increment(world, &read));
    assert_int_equal(read, 8 * BLOCK);
    assert_true(increment(world, &read));
    assert_int_equal(read, 0);
    write_to(world, volume, 3 * BLOCK + 5, 7, 2);
    assert_true(increment(world, &read));
    assert_int_equal(read, BLOCK);
    assert_non_null(strstr(world->out, "64.00 KiB read, 448.00 KiB taken from backup"));
    assert_int_equal(look_at_snapshots(world, volume), 1);
    /* A dry run reports the same and changes no state. */
    write_to(world, volume, 0, 1, 3);
    plays(world, "backup-create %s/repo0 p/a p/b --incremental --dry-run", world->dir);
    assert_non_null(strstr(world->out, "vol a: would read 64.00 KiB, changed since backup"));
    assert_non_null(strstr(world->out, "vol b: would be read whole: no backup has a snapshot"));
    assert_int_equal(look_at_snapshots(world, volume), 1);
    /* So does a backup that is no increment. */
    plays(world, "backup-create %s/repo0 p/a --snapshot", world->dir);
    assert_int_equal(look_at_snapshots(world, volume), 1);
    assert_true(increment(world, &read));
    assert_int_equal(read, BLOCK);
}

static char *ours(World *world, const Volume *volume)
{
    g_autofree char *name = any_snapshot(world, volume);

    assert_true(name && g_str_has_prefix(name, "cistern-backup-"));
    return g_steal_pointer(&name);
}

static void a_snapshot_made_anew_is_another(void **state)
{
    World *world = *state;
    Volume *volume = &world->volumes[0];
    g_autofree char *name = NULL;

    increment(world, NULL);
    name = ours(world, volume);
    write_to(world, volume, BLOCK, 100, 1);
    remove_snapshot(world, volume, name);
    snapshot(world, volume, name);
    write_to(world, volume, 2 * BLOCK, 100, 2);
    assert_false(increment(world, NULL));
    assert_non_null(strstr(world->out, "the snapshot is another one"));
    assert_true(increment(world, NULL));
}

static void a_volume_made_anew_is_another(void **state)
{
    World *world = *state;
    Volume *volume = &world->volumes[0];

    increment(world, NULL);
    memset(volume->now.bytes, 7, volume->now.size);
    put(world, volume);
    assert_false(increment(world, NULL));
    /* Also where the new one has a snapshot of that name. */
    {
        g_autofree char *name = ours(world, volume);

        memset(volume->now.bytes, 8, volume->now.size);
        put(world, volume);
        g_hash_table_remove_all(volume->snapshots);
        snapshot(world, volume, name);
        assert_false(increment(world, NULL));
    }
}

static void a_volume_that_was_reverted(void **state)
{
    World *world = *state;
    Volume *volume = &world->volumes[0];

    write_to(world, volume, BLOCK, 100, 1);
    snapshot(world, volume, "before");
    write_to(world, volume, 2 * BLOCK, 100, 2);
    increment(world, NULL);
    write_to(world, volume, 3 * BLOCK, 100, 3);
    revert(world, volume, "before");
    assert_true(increment(world, NULL));
}

static void the_end_is_read_when_it_moves(void **state)
{
    static const uint64_t sizes[] = {5 * BLOCK + 512, 6 * BLOCK, 6 * BLOCK + 1024, 2 * BLOCK + 512,
                                     9 * BLOCK,       512,       24 * BLOCK};
    World *world = *state;
    Volume *volume = &world->volumes[0];

    write_to(world, volume, 0, 8 * BLOCK, 1);
    increment(world, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        resize(world, volume, sizes[i]);
        assert_true(increment(world, NULL));
    }
}

static void increment_after_forget_and_prune_is_complete(void **state)
{
    World *world = *state;
    Volume *volume = &world->volumes[0];

    write_to(world, volume, 0, 8 * BLOCK, 1);
    increment(world, NULL);
    write_to(world, volume, BLOCK, 100, 2);
    assert_true(increment(world, NULL));
    plays(world, "backup-forget %s/repo0 %s", world->dir, ((Kept *)world->kept->pdata[0])->id);
    plays(world, "backup-prune %s/repo0", world->dir);
    check_kept(world, world->kept->pdata[1]);
    assert_int_equal(look_at_snapshots(world, volume), 1);
    assert_true(increment(world, NULL));
    /* The snapshot is removed with the last backup that names it. */
    plays(world, "backup-forget %s/repo0 latest", world->dir);
    assert_int_equal(look_at_snapshots(world, volume), 0);
    assert_false(increment(world, NULL));
}

static void shell(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void shell(const char *format, ...)
{
    g_autofree char *command = NULL;
    va_list args;

    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    assert_int_equal(system(command), 0);
}

static void chunks_missing_from_the_repository_are_read_again(void **state)
{
    World *world = *state;
    Volume *volume = &world->volumes[0];

    write_to(world, volume, 0, 8 * BLOCK, 1);
    increment(world, NULL);
    /*
     * All existing packs are older than "then", independent of the clock resolution of the file
     * system.
     */
    shell("find %s/repo0/packs -type f -exec touch -d '1 hour ago' {} +; "
          "touch -d '1 minute ago' %s/then",
          world->dir, world->dir);
    write_to(world, volume, 0, 1, 2);
    assert_true(increment(world, NULL));
    /* First remove chunks whose names are still in the index, then the index entries as well. */
    shell("find %s/repo0/packs -type f ! -newer %s/then -delete", world->dir, world->dir);
    assert_false(increment(world, NULL));
    assert_non_null(strstr(world->out, "the repository has lost a chunk"));
    assert_true(increment(world, NULL));
    shell("rm %s/repo0/packs/*", world->dir);
    assert_false(increment(world, NULL));
    assert_non_null(strstr(world->out, "lacks a chunk"));
    assert_true(increment(world, NULL));
}

/* A killed command leaves a snapshot that no backup names. */
static void leftover_snapshot_is_removed_by_the_next_backup(void **state)
{
    World *world = *state;
    Volume *volume = &world->volumes[0];
    g_autoptr(CstRepo) repo = open_repo(world, 0);
    g_autofree char *left = g_strdup_printf("cistern-backup-%.8s-00000000", cst_repo_id(repo));
    g_autofree char *prefix = g_strdup_printf("cistern-backup-%.8sx", cst_repo_id(repo));

    increment(world, NULL);
    snapshot(world, volume, left);
    snapshot(world, volume, prefix);
    snapshot(world, volume, "cistern-backup-00000000-00000000");
    assert_true(increment(world, NULL));
    assert_int_equal(look_at_snapshots(world, volume), 3);
    assert_false(g_hash_table_contains(volume->snapshots, left));
    /* It may belong to a running backup. */
    snapshot(world, volume, left);
    {
        const CstBackupHow how = {.host = "h"};
        g_autoptr(CstBackupWriter) writer = cst_writer_new(repo, &how, NULL);

        assert_non_null(writer);
        assert_true(increment(world, NULL));
        assert_int_equal(look_at_snapshots(world, volume), 4);
    }
    g_clear_pointer(&repo, cst_repo_close);
    plays(world, "backup-forget %s/repo0 latest", world->dir);
    assert_int_equal(look_at_snapshots(world, volume), 2);
}

/* After a failure the previous backup remains the base of the next one. */
static void failed_backup_keeps_the_base_of_the_next_one(void **state)
{
    static const char *const calls[] = {"snapshots.create", "snapshots.changed", "snapshots.open",
                                        "pread"};
    World *world = *state;
    Volume *volume = &world->volumes[0];
    uint64_t read;

    write_to(world, volume, 0, 8 * BLOCK, 1);
    increment(world, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        write_to(world, volume, i * BLOCK, 100, (uint32_t)(2 + i));
        cst_memory_fault(calls[i], 1);
        assert_int_not_equal(play(world, "backup-create %s/repo0 p/a --incremental", world->dir),
                             CST_EXIT_OK);
        assert_true(cst_memory_struck());
        cst_memory_release();
        assert_int_equal(look_at_snapshots(world, volume), 1);
        assert_true(increment(world, NULL));
    }
    /* A snapshot that cannot be removed is reported, and removed by the next backup. */
    write_to(world, volume, BLOCK, 100, 9);
    cst_memory_fault("snapshots.remove", 1);
    plays(world, "backup-create %s/repo0 p/a --incremental", world->dir);
    assert_non_null(strstr(world->err, "is left"));
    cst_memory_release();
    assert_int_equal(look_at_snapshots(world, volume), 2);
    assert_true(increment(world, &read));
    assert_int_equal(read, 0);
    assert_int_equal(look_at_snapshots(world, volume), 1);
}

/* A change after the snapshot of the backup is not in the backup, and hides no other change. */
static void revert_to_the_first(World *world)
{
    GError *error = NULL;

    must(world,
         cst_conn_snapshot_revert(world->ctl.conn, world->volumes[0].ref, "first", NULL, NULL,
                                  &error),
         error);
}

static void revert_during_the_backup_hides_no_change(void **state)
{
    World *world = *state;
    Volume *volume = &world->volumes[0];

    write_to(world, volume, 0, 8 * BLOCK, 1);
    snapshot(world, volume, "first");
    increment(world, NULL);
    write_to(world, volume, 2 * BLOCK, 100, 2);
    meddle(world, AFTER_THE_SNAPSHOT, revert_to_the_first);
    assert_true(increment(world, NULL));
    assert_true(has_meddled());
    volume->now = *(Content *)g_hash_table_lookup(volume->snapshots, "first");
    assert_true(increment(world, NULL));
}

/* Both have the name that the manifest would have. */
static void replace_what_is_read(World *world)
{
    Volume *volume = &world->volumes[0];
    g_autoptr(GPtrArray) list = cst_conn_snapshot_list(world->ctl.conn, volume->ref, NULL);
    const CstSnapshot *newest = list->pdata[list->len - 1];

    write_to(world, volume, 5 * BLOCK, 100, 3);
    assert_true(cst_conn_snapshot_delete(world->ctl.conn, volume->ref, newest->name, NULL, NULL));
    snapshot(world, volume, newest->name);
}

static void snapshot_replaced_during_the_backup_is_refused(void **state)
{
    World *world = *state;
    Volume *volume = &world->volumes[0];

    write_to(world, volume, 0, 8 * BLOCK, 1);
    increment(world, NULL);
    write_to(world, volume, 2 * BLOCK, 100, 2);
    meddle(world, BEFORE_READING, replace_what_is_read);
    assert_int_equal(play(world, "backup-create %s/repo0 p/a --incremental", world->dir),
                     CST_EXIT_CONFLICT);
    assert_non_null(strstr(world->err, "changed during the operation"));
    assert_int_equal(look_at_snapshots(world, volume), 1);
    assert_true(increment(world, NULL));
}

/* --- random steps ----------------------------------------------------------------------------- */

static Volume *any_volume(World *world)
{
    return &world->volumes[draw(world, VOLUMES)];
}

static void step_write(World *world)
{
    Volume *volume = any_volume(world);
    uint64_t offset, length;

    if (volume->now.size == 0)
        return;
    offset = draw(world, volume->now.size);
    length = 1 + draw(world, MIN(volume->now.size - offset, 3 * BLOCK));
    write_to(world, volume, offset, MIN(length, volume->now.size - offset),
             draw(world, 3) ? 1 + draw(world, 20) : 0);
}

static void step_resize(World *world)
{
    resize(world, any_volume(world), (1 + draw(world, LARGEST / 512)) * 512);
}

static void step_snapshot(World *world)
{
    Volume *volume = any_volume(world);
    g_autofree char *name = g_strdup_printf("user%u", draw(world, 4));

    if (g_hash_table_contains(volume->snapshots, name))
        remove_snapshot(world, volume, name);
    snapshot(world, volume, name);
}

static void step_revert(World *world)
{
    Volume *volume = any_volume(world);
    g_autofree char *name = any_snapshot(world, volume);

    if (name)
        revert(world, volume, name);
}

/* Removes a snapshot, possibly of a backup, and may create another one of the same name. */
static void step_remove(World *world)
{
    Volume *volume = any_volume(world);
    g_autofree char *name = any_snapshot(world, volume);

    if (!name)
        return;
    remove_snapshot(world, volume, name);
    if (draw(world, 2))
        snapshot(world, volume, name);
}

static void step_anew(World *world)
{
    Volume *volume = any_volume(world);

    g_hash_table_remove_all(volume->snapshots);
    memset(volume->now.bytes, (int)draw(world, 256), volume->now.size);
    put(world, volume);
}

static void step_backup(World *world)
{
    unsigned repo = draw(world, REPOS), number = draw(world, VOLUMES);
    gboolean incremental = draw(world, 8) > 0;
    g_autoptr(CstBackup) backup = NULL;
    const CstBackupVolume *volume =
        back_up(world, repo, number, incremental ? "--incremental" : "--snapshot", &backup);

    if (incremental && *volume->base)
        world->increments++;
    else
        world->wholes++;
    assert_true(look_at_snapshots(world, &world->volumes[number]) <= REPOS);
}

static void step_forget(World *world)
{
    const Kept *kept;
    guint at;

    if (world->kept->len == 0)
        return;
    at = draw(world, world->kept->len);
    kept = world->kept->pdata[at];
    plays(world, "backup-forget %s/repo%u %s", world->dir, kept->repo, kept->id);
    look_at_snapshots(world, &world->volumes[kept->volume]);
    g_ptr_array_remove_index(world->kept, at);
}

static void step_prune(World *world)
{
    plays(world, "backup-prune %s/repo%u", world->dir, draw(world, REPOS));
}

static void step_restore(World *world)
{
    if (world->kept->len > 0)
        check_kept(world, world->kept->pdata[draw(world, world->kept->len)]);
}

static void step(World *world)
{
    static const struct {
        unsigned weight;
        void (*play)(World *world);
    } steps[] = {{34, step_write}, {4, step_resize}, {5, step_snapshot}, {4, step_revert},
                 {4, step_remove}, {1, step_anew},   {32, step_backup},  {8, step_forget},
                 {4, step_prune},  {4, step_restore}};
    unsigned at = draw(world, 100);

    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        if (at < steps[i].weight) {
            steps[i].play(world);
            return;
        }
        at -= steps[i].weight;
    }
}

static unsigned asked(const char *name, unsigned otherwise)
{
    const char *value = g_getenv(name);

    return value ? (unsigned)g_ascii_strtoull(value, NULL, 10) : otherwise;
}

static void random_steps(void **state)
{
    World *world = *state;
    unsigned steps = asked("CISTERN_BACKUP_STEPS", STEPS);

    g_rand_set_seed(world->rand, asked("CISTERN_BACKUP_SEED", SEED));
    for (world->step = 1; world->step <= steps; world->step++)
        step(world);
    for (guint i = 0; i < world->kept->len; i++)
        check_kept(world, world->kept->pdata[i]);
    for (unsigned i = 0; i < REPOS; i++)
        plays(world, "backup-check %s/repo%u --read-data", world->dir, i);
    printf("%u steps: %u increments, %u whole backups\n", steps, world->increments, world->wholes);
    assert_true(steps < STEPS || (world->increments > 60 && world->wholes > 30));
}

#define incremental_test(function) \
    cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        incremental_test(only_changed_ranges_are_read),
        incremental_test(a_snapshot_made_anew_is_another),
        incremental_test(a_volume_made_anew_is_another),
        incremental_test(a_volume_that_was_reverted),
        incremental_test(the_end_is_read_when_it_moves),
        incremental_test(increment_after_forget_and_prune_is_complete),
        incremental_test(chunks_missing_from_the_repository_are_read_again),
        incremental_test(leftover_snapshot_is_removed_by_the_next_backup),
        incremental_test(failed_backup_keeps_the_base_of_the_next_one),
        incremental_test(revert_during_the_backup_hides_no_change),
        incremental_test(snapshot_replaced_during_the_backup_is_refused),
        incremental_test(random_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
