/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random steps (write, snapshot, backup, forget, prune, restore), compared with the expected
 * content of every backup. Some steps are killed, or the power fails. CISTERN_BACKUP_STEPS and
 * CISTERN_BACKUP_SEED set the number of steps and the seed.
 */
#include "scratch.h"

#include <stdio.h>
#include <sys/wait.h>

#include "storm.h"

#define VOLUMES 3
#define LARGEST (24 * SCRATCH_CHUNK)
#define STEPS   1000
#define SEED    1

typedef struct {
    uint8_t content[LARGEST];
    uint64_t size;
    GArray *dirty; /* of CstExtent: written since the last snapshot, in order of their offsets */
    char last[CST_BACKUP_ID_TEXT]; /* backup of the last snapshot; "": no backup */
} Volume;

/* The expected content of a backup. */
typedef struct {
    char id[CST_BACKUP_ID_TEXT];
    unsigned volume;
    uint8_t *content;
    uint64_t size;
} Kept;

typedef struct {
    Scratch *s;
    CstRepo *repo;
    GRand *rand;
    Volume volumes[VOLUMES];
    GPtrArray *kept; /* of Kept * */
    unsigned step, incremental, killed, restored;
} World;

static void kept_free(gpointer data)
{
    Kept *kept = data;

    g_free(kept->content);
    g_free(kept);
}

static uint32_t draw(World *world, uint32_t below)
{
    return (uint32_t)g_rand_int_range(world->rand, 0, (gint32)below);
}

static const char *name_of(unsigned volume)
{
    static const char *const names[VOLUMES] = {"a", "b", "c"};

    return names[volume];
}

/* --- steps ------------------------------------------------------------------------------------ */

static int by_offset(gconstpointer a, gconstpointer b)
{
    const CstExtent *first = a, *second = b;

    return first->offset < second->offset ? -1 : first->offset > second->offset;
}

static void set_dirty(Volume *volume, uint64_t offset, uint64_t length)
{
    const CstExtent extent = {offset, length, 0};

    g_array_append_val(volume->dirty, extent);
    g_array_sort(volume->dirty, by_offset);
}

static void step_write(World *world)
{
    Volume *volume = &world->volumes[draw(world, VOLUMES)];
    uint64_t offset, length;

    if (volume->size == 0)
        return;
    offset = draw(world, (uint32_t)volume->size);
    length = 1 + draw(world, (uint32_t)MIN(volume->size - offset, 3 * SCRATCH_CHUNK));
    length = MIN(length, volume->size - offset);
    if (draw(world, 3) == 0)
        memset(volume->content + offset, 0, length);
    else
        scratch_fill(volume->content + offset, length, draw(world, 20));
    set_dirty(volume, offset, length);
}

static void step_resize(World *world)
{
    Volume *volume = &world->volumes[draw(world, VOLUMES)];
    uint64_t size = draw(world, LARGEST + 1), old = volume->size;

    if (size < old)
        memset(volume->content + size, 0, old - size);
    else
        set_dirty(volume, old, size - old);
    volume->size = size;
    /* The old end is now in the middle, or the reverse. */
    set_dirty(volume, MIN(size, old) / SCRATCH_CHUNK * SCRATCH_CHUNK, SCRATCH_CHUNK);
}

/* Backs up one volume. Only its changes are read if the previous backup still exists. */
static gboolean backup(World *world, unsigned number, char *ret_id, GError **error)
{
    Volume *volume = &world->volumes[number];
    g_autoptr(CstBackup) previous =
        *volume->last ? cst_repo_backup(world->repo, volume->last, NULL) : NULL;

    if (previous)
        world->incremental++;
    return scratch_try(world->repo, name_of(number), volume->content, volume->size,
                       previous ? previous->volumes->pdata[0] : NULL,
                       previous ? volume->dirty : NULL, ret_id, error);
}

static void remember(World *world, unsigned number, const char *id)
{
    Volume *volume = &world->volumes[number];
    Kept *kept = g_new0(Kept, 1);

    g_strlcpy(kept->id, id, sizeof(kept->id));
    kept->volume = number;
    kept->size = volume->size;
    kept->content = g_memdup2(volume->content, volume->size);
    g_ptr_array_add(world->kept, kept);
    g_strlcpy(volume->last, id, sizeof(volume->last));
    g_array_set_size(volume->dirty, 0);
}

static void step_backup(World *world)
{
    unsigned number = draw(world, VOLUMES);
    char id[CST_BACKUP_ID_TEXT];
    GError *error = NULL;

    if (!backup(world, number, id, &error))
        fail_msg("step %u: %s", world->step, error->message);
    remember(world, number, id);
}

static void forget(World *world, guint at)
{
    const Kept *kept = world->kept->pdata[at];

    assert_true(cst_repo_forget(world->repo, (const char *const[]){kept->id, NULL}, NULL));
    g_ptr_array_remove_index(world->kept, at);
}

static void step_forget(World *world)
{
    if (world->kept->len > 0)
        forget(world, draw(world, world->kept->len));
    while (world->kept->len > 12)
        forget(world, draw(world, world->kept->len));
}

static void step_prune(World *world)
{
    scratch_prune(world->repo);
}

static void assert_kept(World *world, const Kept *kept)
{
    GError *error = NULL;

    world->restored++;
    if (!scratch_holds(world->repo, kept->id, name_of(kept->volume), kept->content, kept->size,
                       &error))
        fail_msg("step %u: %s", world->step, error->message);
}

static void step_restore(World *world)
{
    if (world->kept->len > 0)
        assert_kept(world, world->kept->pdata[draw(world, world->kept->len)]);
}

static void step_reopen(World *world)
{
    cst_repo_close(world->repo);
    world->repo = scratch_open(world->s);
}

/* A backup, a forget or a prune in a child that does not come to its end, or only just. */
static void step_kill(World *world)
{
    unsigned what = draw(world, 3), number = draw(world, VOLUMES), nth = 1 + draw(world, 24);
    StormKind kind = STORM_KILL + (StormKind)draw(world, 2);
    unsigned seed = draw(world, 1000);
    g_autoptr(GPtrArray) backups = NULL;
    pid_t child;
    int status;

    cst_repo_close(g_steal_pointer(&world->repo));
    child = fork();
    if (child == 0) {
        char id[CST_BACKUP_ID_TEXT];

        scratch_child(world->s);
        world->repo = scratch_open(world->s);
        storm_arm(kind, nth, seed);
        if (what == 0)
            (void)!backup(world, number, id, NULL);
        else if (what == 1 && world->kept->len > 0)
            forget(world, world->kept->len - 1);
        else
            step_prune(world);
        storm_calm();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    world->killed += WEXITSTATUS(status) == STORM_STATUS;
    world->repo = scratch_open(world->s);
    backups = cst_repo_backups(world->repo, NULL, NULL);
    assert_non_null(backups);
    /* The child's change is complete or absent. */
    for (guint i = 0; i < backups->len; i++) {
        const CstBackup *found = backups->pdata[i];
        guint at = 0;

        while (at < world->kept->len &&
               strcmp(((Kept *)world->kept->pdata[at])->id, found->id) != 0)
            at++;
        if (at < world->kept->len)
            continue;
        assert_int_equal(what, 0);
        remember(world, number, found->id);
    }
    if (what == 1 && backups->len < world->kept->len)
        g_ptr_array_remove_index(world->kept, world->kept->len - 1);
    assert_int_equal(backups->len, world->kept->len);
}

/*
 * --- the run -------------------------------------------------------------------------------------
 */

static void step(World *world)
{
    static const struct {
        unsigned weight;
        void (*play)(World *world);
    } steps[] = {{40, step_write}, {3, step_resize},   {25, step_backup}, {10, step_forget},
                 {4, step_prune},  {10, step_restore}, {2, step_reopen},  {6, step_kill}};
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

static void a_thousand_steps(void **state)
{
    World *world = g_new0(World, 1);
    unsigned steps = asked("CISTERN_BACKUP_STEPS", STEPS);

    world->s = *state;
    world->rand = g_rand_new_with_seed(asked("CISTERN_BACKUP_SEED", SEED));
    world->kept = g_ptr_array_new_with_free_func(kept_free);
    for (int i = 0; i < VOLUMES; i++)
        world->volumes[i].dirty = g_array_new(FALSE, FALSE, sizeof(CstExtent));
    scratch_init(world->s, TRUE);
    world->repo = scratch_open(world->s);
    for (world->step = 1; world->step <= steps; world->step++) {
        step(world);
        if (world->step % 100 == 0 || world->step == steps) {
            for (guint i = 0; i < world->kept->len; i++)
                assert_kept(world, world->kept->pdata[i]);
            assert_int_equal(scratch_problems(world->repo, TRUE, FALSE), 0);
        }
    }
    printf("%u steps: %u incremental backups, %u restores, %u kills\n", steps, world->incremental,
           world->restored, world->killed);
    assert_true(steps < STEPS || (world->incremental > 50 && world->killed > 10));
    cst_repo_close(world->repo);
    for (int i = 0; i < VOLUMES; i++)
        g_array_unref(world->volumes[i].dirty);
    g_ptr_array_unref(world->kept);
    g_rand_free(world->rand);
    g_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {scratch_test(a_thousand_steps)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
