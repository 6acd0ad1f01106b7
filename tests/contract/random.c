/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <stdio.h>
#include <string.h>

#include <service/images.h>
#include <service/snapshots.h>

/*
 * Random work on volumes and their snapshots against a model of what each must hold.
 *
 * CISTERN_CONTRACT_STEPS (1000) and CISTERN_CONTRACT_SEED pick how much of it and which.
 */

#define STEPS           1000
#define SEED            20110704
#define SIZE            (4 * CST_MIB)
#define BLOCKS          (SIZE / TAG_BLOCK)
#define MOST_VOLUMES    5
#define MOST_SHOTS      4
#define LOOK_AT_ALL     100 /* steps between two looks at everything */
#define LOOK_AT_CHANGES 10  /* at what has changed since snapshots */

typedef struct {
    char *name;
    uint32_t tags[BLOCKS];
    guint taken; /* World.names of then: what is newer has a higher one */
} Shot;

typedef struct {
    char *name;
    uint32_t tags[BLOCKS];
    GPtrArray *shots; /* of Shot, oldest first */
    char *origin;     /* volume that it is a clone of, as far as it hangs on it; NULL: none */
    char *origin_at;  /* snapshot of that one; NULL: what it was then */
    guint taken;      /* when that was, as with Shot */
} Vol;

typedef struct {
    Site *site;
    GRand *rand;
    GPtrArray *vols;
    guint names; /* made so far */
} World;

static void shot_free(gpointer data)
{
    Shot *shot = data;

    g_free(shot->name);
    g_free(shot);
}

static void vol_free(gpointer data)
{
    Vol *vol = data;

    g_ptr_array_unref(vol->shots);
    g_free(vol->origin);
    g_free(vol->origin_at);
    g_free(vol->name);
    g_free(vol);
}

static guint below(World *world, guint limit)
{
    return (guint)g_rand_int_range(world->rand, 0, (gint32)limit);
}

static char *fresh_name(World *world, const char *prefix)
{
    return g_strdup_printf("%s%u", prefix, world->names++);
}

static Vol *add_vol(World *world, char *name, const uint32_t *tags)
{
    Vol *vol = g_new0(Vol, 1);

    vol->name = name;
    vol->shots = g_ptr_array_new_with_free_func(shot_free);
    if (tags)
        memcpy(vol->tags, tags, sizeof(vol->tags));
    g_ptr_array_add(world->vols, vol);
    return vol;
}

static Vol *any_vol(World *world)
{
    return world->vols->len ? g_ptr_array_index(world->vols, below(world, world->vols->len)) : NULL;
}

static Shot *any_shot(World *world, Vol **ret_vol)
{
    *ret_vol = any_vol(world);
    if (!*ret_vol || (*ret_vol)->shots->len == 0)
        return NULL;
    return g_ptr_array_index((*ret_vol)->shots, below(world, (*ret_vol)->shots->len));
}

/* Does a clone hang on the volume (@shot NULL), or on one of its snapshots? */
static gboolean is_needed(World *world, const Vol *vol, const Shot *shot)
{
    for (guint i = 0; i < world->vols->len; i++) {
        const Vol *other = g_ptr_array_index(world->vols, i);

        if (g_strcmp0(other->origin, vol->name) == 0 &&
            (!shot || g_strcmp0(other->origin_at, shot->name) == 0))
            return TRUE;
    }
    return FALSE;
}

/* Done, or refused because something hangs on it, as the model says. */
static gboolean done_or_busy(gboolean done, gboolean needed, GError **error)
{
    if (needed) {
        assert_false(done);
        assert_error(error, CST_ERROR_BUSY);
        return FALSE;
    }
    assert_no_error(*error);
    return TRUE;
}

static gboolean is_full(const World *world)
{
    guint room = world->site->ground->room;

    return world->vols->len >= (room ? MIN(room, MOST_VOLUMES) : MOST_VOLUMES);
}

/* --- steps ------------------------------------------------------------------------------------ */

static void step_create(World *world)
{
    if (is_full(world))
        return;
    add_vol(world, fresh_name(world, "v"), NULL);
    volume_make(world->site, ((Vol *)world->vols->pdata[world->vols->len - 1])->name, SIZE);
    /* Not every technology defines the content of a new volume. */
    content_write(world->site, ((Vol *)world->vols->pdata[world->vols->len - 1])->name, 0, BLOCKS,
                  0);
}

static void step_write(World *world)
{
    Vol *vol = any_vol(world);
    guint first = below(world, BLOCKS);
    guint count = 1 + below(world, MIN(8, BLOCKS - first));
    uint32_t tag = below(world, 5) == 0 ? 0 : g_rand_int(world->rand);

    if (!vol)
        return;
    content_write(world->site, vol->name, first, count, tag);
    for (guint i = 0; i < count; i++)
        vol->tags[first + i] = tag;
}

static void step_snapshot(World *world)
{
    Vol *vol = any_vol(world);
    g_autoptr(GError) error = NULL;
    Shot *shot;

    if (!vol || vol->shots->len >= MOST_SHOTS)
        return;
    shot = g_new0(Shot, 1);
    shot->name = fresh_name(world, "s");
    shot->taken = world->names;
    memcpy(shot->tags, vol->tags, sizeof(shot->tags));
    g_ptr_array_add(vol->shots, shot);
    cst_vol_snapshot_create(world->site->pool, vol->name, shot->name, 0, NULL, &error);
    assert_no_error(error);
}

/* Does a clone hang on what the volume held after @shot? */
static gboolean newer_is_needed(World *world, const Vol *vol, const Shot *shot)
{
    for (guint i = 0; i < world->vols->len; i++) {
        const Vol *other = g_ptr_array_index(world->vols, i);

        if (g_strcmp0(other->origin, vol->name) == 0 && other->taken > shot->taken)
            return TRUE;
    }
    return FALSE;
}

/* Agrees to lose what the service says would be lost. */
static gboolean revert(World *world, const Vol *vol, const Shot *shot, GError **error)
{
    CstPool *pool = world->site->pool;
    g_autoptr(GPtrArray) agreed =
        cst_vol_snapshot_revert_loses(pool, vol->name, shot->name, NULL, error);

    if (!agreed)
        return FALSE;
    g_ptr_array_add(agreed, NULL);
    return cst_vol_snapshot_revert(pool, vol->name, shot->name, (const char *const *)agreed->pdata,
                                   NULL, error);
}

static void step_revert(World *world)
{
    gboolean any = site_has(world->site, GROUND_REVERTS_ANY);
    g_autoptr(GError) error = NULL;
    Vol *vol;
    const Shot *shot = any_shot(world, &vol);
    gboolean done;

    if (!shot)
        return;
    done = revert(world, vol, shot, &error);
    if (!done_or_busy(done, !any && newer_is_needed(world, vol, shot), &error))
        return;
    memcpy(vol->tags, shot->tags, sizeof(vol->tags));
    while (!any && g_ptr_array_index(vol->shots, vol->shots->len - 1) != shot)
        g_ptr_array_remove_index(vol->shots, vol->shots->len - 1);
    content_assert(world->site, vol->name, vol->tags, BLOCKS);
}

static void step_remove_snapshot(World *world)
{
    g_autoptr(GError) error = NULL;
    Vol *vol;
    Shot *shot = any_shot(world, &vol);
    gboolean done;

    if (!shot)
        return;
    done = cst_vol_snapshot_delete(world->site->pool, vol->name, shot->name, NULL, &error);
    if (done_or_busy(done, is_needed(world, vol, shot), &error))
        g_ptr_array_remove(vol->shots, shot);
}

static void step_rename_snapshot(World *world)
{
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;
    Vol *vol;
    Shot *shot = any_shot(world, &vol);

    if (!shot)
        return;
    name = fresh_name(world, "s");
    cst_vol_snapshot_rename(world->site->pool, vol->name, shot->name, name, NULL, &error);
    assert_no_error(error);
    for (guint i = 0; i < world->vols->len; i++) {
        Vol *other = g_ptr_array_index(world->vols, i);

        if (g_strcmp0(other->origin, vol->name) == 0 &&
            g_strcmp0(other->origin_at, shot->name) == 0) {
            g_free(other->origin_at);
            other->origin_at = g_strdup(name);
        }
    }
    g_free(shot->name);
    shot->name = g_steal_pointer(&name);
}

/* @at: NULL: on what the origin holds now */
static void hang_on(World *world, Vol *clone, const Vol *origin, const Shot *at)
{
    if (!site_has(world->site, GROUND_CLONES_DEPEND))
        return;
    clone->origin = g_strdup(origin->name);
    clone->origin_at = at ? g_strdup(at->name) : NULL;
    clone->taken = at ? at->taken : world->names;
}

static void step_clone(World *world)
{
    const Vol *vol = any_vol(world);
    g_autofree char *xml = NULL;
    g_autofree char *made = NULL;
    g_autoptr(GError) error = NULL;
    Vol *clone;

    if (!vol || is_full(world))
        return;
    clone = add_vol(world, fresh_name(world, "c"), vol->tags);
    xml = volume_clone_xml(world->site, vol->name, clone->name);
    cst_vol_create_from(world->site->pool, xml, world->site->pool, vol->name, 0, NULL, &made,
                        &error);
    assert_no_error(error);
    hang_on(world, clone, vol, NULL);
    content_assert(world->site, clone->name, clone->tags, BLOCKS);
}

static void step_clone_snapshot(World *world)
{
    g_autoptr(GError) error = NULL;
    Vol *vol, *clone;
    const Shot *shot = any_shot(world, &vol);

    if (!shot || is_full(world))
        return;
    clone = add_vol(world, fresh_name(world, "c"), shot->tags);
    cst_vol_snapshot_clone(world->site->pool, vol->name, shot->name, clone->name, NULL, &error);
    assert_no_error(error);
    hang_on(world, clone, vol, shot);
    content_assert(world->site, clone->name, clone->tags, BLOCKS);
}

static void step_flatten(World *world)
{
    Vol *vol = any_vol(world);
    g_autoptr(GError) error = NULL;
    gboolean done, needed;

    if (!vol || !vol->origin)
        return;
    needed = !site_has(world->site, GROUND_FLATTENS_ANY) &&
             (vol->shots->len > 0 || is_needed(world, vol, NULL));
    done = cst_vol_flatten(world->site->pool, vol->name, NULL, &error);
    if (!done_or_busy(done, needed, &error))
        return;
    g_clear_pointer(&vol->origin, g_free);
    g_clear_pointer(&vol->origin_at, g_free);
    content_assert(world->site, vol->name, vol->tags, BLOCKS);
}

static void step_delete(World *world)
{
    Vol *vol = any_vol(world);
    g_autoptr(GError) error = NULL;
    gboolean done;

    if (!vol)
        return;
    done =
        cst_vol_delete(world->site->pool, vol->name, site_delete_flags(world->site), NULL, &error);
    if (done_or_busy(done, is_needed(world, vol, NULL), &error))
        g_ptr_array_remove(world->vols, vol);
}

static void step_refresh(World *world)
{
    assert_true(cst_pool_refresh(world->site->pool, 0, NULL, NULL));
}

typedef struct {
    void (*run)(World *world);
    guint weight;
    unsigned needs;
} Step;

static const Step steps[] = {
    {step_create, 6, 0},
    {step_write, 30, 0},
    {step_snapshot, 15, GROUND_SNAPSHOTS},
    {step_revert, 12, GROUND_SNAPSHOTS},
    {step_remove_snapshot, 8, GROUND_SNAPSHOTS},
    {step_rename_snapshot, 3, GROUND_SNAPSHOTS},
    {step_clone, 6, 0},
    {step_clone_snapshot, 8, GROUND_SNAPSHOTS},
    {step_flatten, 6, GROUND_CLONES_DEPEND},
    {step_delete, 7, 0},
    {step_refresh, 1, 0},
};

static const Step *pick(World *world)
{
    guint total = 0, at;
    size_t i = 0;

    for (size_t k = 0; k < G_N_ELEMENTS(steps); k++)
        total += steps[k].weight;
    at = below(world, total);
    while (at >= steps[i].weight)
        at -= steps[i++].weight;
    return &steps[i];
}

/* --- the test --------------------------------------------------------------------------------- */

static int compare_vols(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const Vol *const *)a)->name, (*(const Vol *const *)b)->name);
}

static void look_at_snapshots(World *world, const Vol *vol)
{
    g_autofree char *names = snapshot_names(world->site, vol->name);
    GString *expected = g_string_new(NULL);

    for (guint i = 0; i < vol->shots->len; i++)
        g_string_append_printf(expected, "%s%s", i ? " " : "",
                               ((Shot *)vol->shots->pdata[i])->name);
    assert_string_equal(names, expected->str);
    g_string_free(expected, TRUE);
}

/* Every block that differs is told. */
static void assert_told(World *world, const Vol *vol, const Shot *since, const Shot *until)
{
    const uint32_t *now = until ? until->tags : vol->tags;
    g_auto(CstChanged) told = {.max = BLOCKS};
    g_autoptr(GError) error = NULL;
    gboolean known[BLOCKS] = {FALSE};

    if (!cst_vol_changed(world->site->pool, vol->name, since->name, until ? until->name : NULL,
                         NULL, &told, &error)) {
        /* Not of all the way back. */
        assert_true(!site_has(world->site, GROUND_TELLS) || (until && until->taken < since->taken));
        assert_error(&error, CST_ERROR_UNSUPPORTED);
        return;
    }
    assert_int_equal(told.capacity, SIZE);
    assert_int_equal(told.next, SIZE);
    for (guint i = 0; i < told.ranges->len; i++) {
        const CstRange *range = &g_array_index(told.ranges, CstRange, i);

        for (uint64_t at = range->offset / TAG_BLOCK;
             at * TAG_BLOCK < range->offset + range->length; at++)
            known[at] = TRUE;
    }
    for (guint i = 0; i < BLOCKS; i++)
        if (since->tags[i] != now[i] && !known[i])
            fail_msg("block %u of '%s' has changed since '%s' until '%s', and is not told", i,
                     vol->name, since->name, until ? until->name : "now");
}

static void look_at_changes(World *world)
{
    for (guint i = 0; i < world->vols->len; i++) {
        const Vol *vol = g_ptr_array_index(world->vols, i);
        const Shot *first = vol->shots->len > 0 ? vol->shots->pdata[0] : NULL;
        const Shot *last = first ? vol->shots->pdata[vol->shots->len - 1] : NULL;

        if (!first)
            continue;
        assert_told(world, vol, first, NULL);
        assert_told(world, vol, last, NULL);
        assert_told(world, vol, first, last);
        assert_told(world, vol, last, first);
    }
}

static void look_at_all(World *world)
{
    g_autofree char *names = NULL;
    GString *expected = g_string_new(NULL);

    assert_true(cst_pool_refresh(world->site->pool, 0, NULL, NULL));
    names = volume_names(world->site);
    g_ptr_array_sort(world->vols, compare_vols);
    for (guint i = 0; i < world->vols->len; i++) {
        Vol *vol = g_ptr_array_index(world->vols, i);

        g_string_append_printf(expected, "%s%s", i ? " " : "", vol->name);
        content_assert(world->site, vol->name, vol->tags, BLOCKS);
        if (site_has(world->site, GROUND_SNAPSHOTS))
            look_at_snapshots(world, vol);
    }
    assert_string_equal(names, expected->str);
    g_string_free(expected, TRUE);
}

static guint64 number_from(const char *variable, guint64 otherwise)
{
    const char *text = g_getenv(variable);

    return text ? g_ascii_strtoull(text, NULL, 10) : otherwise;
}

static void random_steps(Site *site)
{
    guint64 count = number_from("CISTERN_CONTRACT_STEPS", STEPS);
    guint32 seed = (guint32)number_from("CISTERN_CONTRACT_SEED", SEED);
    World world = {.site = site,
                   .rand = g_rand_new_with_seed(seed),
                   .vols = g_ptr_array_new_with_free_func(vol_free)};

    fprintf(stderr, "# %" G_GUINT64_FORMAT " random steps, seed %u\n", count, seed);
    for (guint64 i = 1; i <= count; i++) {
        const Step *step = pick(&world);

        if ((step->needs & ~site->ground->flags) == 0)
            step->run(&world);
        if (i % LOOK_AT_CHANGES == 0 && site_has(site, GROUND_SNAPSHOTS))
            look_at_changes(&world);
        if (i % LOOK_AT_ALL == 0 || i == count)
            look_at_all(&world);
    }
    g_ptr_array_unref(world.vols);
    g_rand_free(world.rand);
}

const ContractTest random_tests[] = {
    {"random steps against a model", random_steps, 0, NULL},
    {0},
};
