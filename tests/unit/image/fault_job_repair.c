/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Repair of a damaged image. Random words of the image's tables are changed; the cases are the
 * images that a repair can fix. A failed repair adds no error, and the next repair ends with the
 * same content.
 */
#include "fault_job.h"

#include <string.h>

#include <blob/sparse.h>

#include "same.h"

static gboolean check(World *world, unsigned flags, CstImageCheck *ret_found, GError **error)
{
    const CstImageFiles files = world_files(world);

    *ret_found = (CstImageCheck){0};
    return cst_image_check_as(world_blob(world, "disk"), world->format, flags, &files, ret_found,
                              NULL, error);
}

static gboolean repair(World *world, GError **error)
{
    CstImageCheck found;

    return world_report(world, check(world, CST_CHECK_REPAIR_ALL, &found, error));
}

/* The guest's bytes are all equal in here. */
static gboolean is_metadata(uint32_t word)
{
    return word != (word & 0xff) * UINT32_C(0x01010101);
}

/* Where the words of its tables are. */
static GArray *find_metadata(CstBlob *blob)
{
    GArray *places = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_autofree uint8_t *bytes = NULL;
    uint64_t size = 0;
    uint32_t word;

    assert_true(cst_blob_get_size(blob, &size, NULL));
    bytes = g_malloc(size);
    assert_true(cst_blob_pread(blob, bytes, size, 0, NULL));
    for (uint64_t at = 0; at + sizeof(word) <= size; at += sizeof(word)) {
        memcpy(&word, bytes + at, sizeof(word));
        if (is_metadata(word))
            g_array_append_val(places, at);
    }
    return places;
}

/*
 * Replaces a word of the tables by the next one or by 0. Returns FALSE if the image has no tables.
 */
static gboolean damage(CstBlob *blob, guint seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autoptr(GArray) places = find_metadata(blob);
    uint32_t word = 0;
    gint32 first;
    guint index;

    if (places->len < 2)
        return FALSE;
    /* tables that lead to data often lie right before it */
    first = seed % 2 ? (gint32)places->len - MIN((gint32)places->len, 8) : 0;
    index = (guint)g_rand_int_range(rand, first, (gint32)places->len);
    if (g_rand_boolean(rand))
        assert_true(cst_blob_pread(blob, &word, sizeof(word),
                                   g_array_index(places, uint64_t, (index + 1) % places->len),
                                   NULL));
    return cst_blob_pwrite(blob, &word, sizeof(word), g_array_index(places, uint64_t, index), NULL);
}

/* The guest's content before the damage. */
static uint8_t sound[SIZE];

/*
 * Repairs the whole image. Returns FALSE if the repair reports that it cannot. A reported success
 * is verified.
 */
static gboolean mends_all(World *trial)
{
    CstImageCheck repaired, found;

    if (!check(trial, CST_CHECK_REPAIR_ALL, &repaired, NULL) ||
        repaired.errors_fixed < repaired.errors || repaired.leaks_fixed < repaired.leaks)
        return FALSE;
    if (!check(trial, 0, &found, NULL) || found.errors + found.leaks > 0)
        world_fail(trial, "what was reported as repaired is not");
    return TRUE;
}

/* Whether a repair fixes every error. Sets the model to the repaired content. */
static gboolean can_be_mended(World *world)
{
    World *trial = world_copy(world, &(Aim){.part = G_MAXUINT});
    g_autoptr(CstBlob) guest = NULL;
    gboolean ok = mends_all(trial);

    if (ok) {
        guest = world_guest(trial, "disk", world->variant->format, 0, NULL);
        ok = guest && cst_blob_pread(guest, world->model, SIZE, 0, NULL);
    }
    world_free(trial);
    return ok;
}

static gboolean stage(World *world, guint seed)
{
    CstBlob *guest;
    CstImageCheck found;
    const Part *part;

    if (world->variant->below)
        return FALSE;
    world_add(world, "disk", cst_blob_sparse_new(0));
    assert_true(
        world_create(world, "disk", world->variant->format, &world->variant->options, NULL, NULL));
    world_scatter(world, "disk", world->variant->format, 6);
    guest = world_guest(world, "disk", world->variant->format, 0, NULL);
    assert_true(cst_blob_pread(guest, sound, SIZE, 0, NULL));
    g_clear_pointer(&guest, cst_blob_unref);
    part = g_ptr_array_index(world->parts, seed % world->parts->len);
    if (!damage(part->shown, seed) || !check(world, 0, &found, NULL) ||
        found.errors + found.leaks == 0)
        return FALSE;
    world->errors = found.errors;
    return can_be_mended(world);
}

/*
 * Asserts that undamaged data of the guest are intact. The content elsewhere is undefined, because
 * an entry that points into a table gets a copy of the table's current bytes.
 */
static void assert_kept(World *world)
{
    g_autoptr(CstBlob) guest = world_guest(world, "disk", world->variant->format, 0, NULL);
    static uint8_t seen[SIZE];

    if (!guest || !cst_blob_pread(guest, seen, SIZE, 0, NULL))
        world_fail(world, "it can't be read");
    for (uint64_t at = 0; (at = next_difference(seen, world->model, at, SIZE)) < SIZE; at++)
        if (sound[at] != 0 && world->model[at] == sound[at])
            world_fail(world, "content was lost");
}

static void judge(World *world, gboolean done)
{
    assert_no_errors(world, "disk", world->variant->format, done ? 0 : world->errors);
    if (done)
        assert_kept(world);
}

const Job repair_job = {"repair", stage, repair, judge, .seeds = 80, .stages = 3, .again = TRUE};
