/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fault_job.h"

#include <string.h>

#include <base/error.h>
#include <blob/sparse.h>
#include <image/convert.h>

#include "same.h"

/* The current case, for messages. */
static const char *job_name = "";
static guint case_seed;

void world_fail(const World *world, const char *what)
{
    static const char *const kinds[CST_FAULT_KINDS] = {"read",  "look",       "discard",
                                                       "write", "torn write", "flush"};
    const CstImageCreate *options = &world->variant->options;
    const Aim *aim = &world->aim;

    if (aim->part == G_MAXUINT)
        fail_msg("%s %s %s (%u): %s", job_name, world->variant->format,
                 options->subformat ? options->subformat : "", case_seed, what);
    fail_msg("%s %s %s (%u), %s %u of file %u fails: %s", job_name, world->variant->format,
             options->subformat ? options->subformat : "", case_seed, kinds[aim->kind], aim->nth,
             aim->part, what);
}

/* --- files ------------------------------------------------------------------------------------ */

static void part_free(gpointer data)
{
    Part *part = data;

    cst_blob_unref(part->inner);
    cst_blob_unref(part->shown);
    g_free(part->name);
    g_free(part);
}

void world_add(World *world, const char *name, CstBlob *inner)
{
    Part *part = g_new0(Part, 1);

    part->name = g_strdup(name);
    part->inner = inner;
    if (world->aim.part == world->parts->len) {
        part->shown = cst_blob_fault_new(inner);
        cst_blob_fault_arm(part->shown, world->aim.kind, world->aim.nth, CST_FAULT_ONCE);
    } else {
        part->shown = cst_blob_ref(inner);
    }
    g_ptr_array_add(world->parts, part);
}

static void world_init(World *world, const Variant *variant, const Aim *aim)
{
    world->variant = variant;
    world->format = cst_image_format_find(variant->format, NULL);
    world->parts = g_ptr_array_new_with_free_func(part_free);
    world->aim = *aim;
}

World *world_copy(const World *from, const Aim *aim)
{
    World *copy = g_memdup2(from, sizeof(*from));

    world_init(copy, from->variant, aim);
    for (guint i = 0; i < from->parts->len; i++) {
        const Part *part = g_ptr_array_index(from->parts, i);

        world_add(copy, part->name, cst_blob_sparse_copy(part->inner));
    }
    return copy;
}

void world_free(World *world)
{
    g_ptr_array_unref(world->parts);
    g_free(world);
}

static gboolean has_struck(const World *world)
{
    const Part *part;

    if (world->aim.part >= world->parts->len)
        return FALSE;
    part = g_ptr_array_index(world->parts, world->aim.part);
    /* Once the fault is over the plain file is worked on. */
    return part->shown != part->inner && cst_blob_fault_struck(part->shown);
}

gboolean world_report(World *world, gboolean done)
{
    world->struck = has_struck(world);
    return done;
}

/* Disables the fault. Returns whether it has struck. */
static gboolean end_fault(World *world)
{
    gboolean struck = has_struck(world);
    Part *part;

    if (world->aim.part >= world->parts->len)
        return FALSE;
    part = g_ptr_array_index(world->parts, world->aim.part);
    cst_blob_unref(part->shown);
    part->shown = cst_blob_ref(part->inner);
    return struck;
}

/* Returns NULL if no file has that name. */
static CstBlob *find_blob(const World *world, const char *name)
{
    for (guint i = 0; i < world->parts->len; i++) {
        const Part *part = g_ptr_array_index(world->parts, i);

        if (strcmp(part->name, name) == 0)
            return part->shown;
    }
    return NULL;
}

CstBlob *world_blob(const World *world, const char *name)
{
    CstBlob *blob = find_blob(world, name);

    assert_non_null(blob);
    return blob;
}

static CstBlob *open_part(const char *name, gboolean writable, gpointer data, GError **error)
{
    CstBlob *blob = find_blob(data, name);

    if (!blob) /* damage may have changed the name */
        cst_fail(error, CST_ERROR_NOT_FOUND, "%s", name);
    return blob ? cst_blob_ref(blob) : NULL;
}

static CstBlob *create_part(const char *name, gpointer data, GError **error)
{
    world_add(data, name, cst_blob_sparse_new(0));
    return open_part(name, TRUE, data, error);
}

CstImageFiles world_files(World *world)
{
    return (CstImageFiles){open_part, create_part, world};
}

/* --- images ----------------------------------------------------------------------------------- */

static CstBlob *open_backing(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    return open_part(name, FALSE, data, error);
}

static CstBlob *open_chain_part(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                                GError **error)
{
    return open_part(name, writable, data, error);
}

CstChain *world_chain(World *world, const char *name, const char *format, GError **error)
{
    const CstChainFiles files = {
        .open_backing = open_backing, .open_part = open_chain_part, .data = world};

    return cst_chain_look(world_blob(world, name), cst_image_format_find(format, NULL), &files,
                          error);
}

CstBlob *world_guest(World *world, const char *name, const char *format, unsigned flags,
                     GError **error)
{
    g_autoptr(CstChain) chain = world_chain(world, name, format, error);

    return chain && cst_chain_open_images(chain, flags, NULL, error)
               ? cst_blob_ref(cst_chain_guest(chain))
               : NULL;
}

gboolean world_create(World *world, const char *name, const char *format,
                      const CstImageCreate *options, const char *backing, GError **error)
{
    const CstImageFiles files = world_files(world);
    g_autoptr(CstBlob) below = NULL;
    CstImageCreate all = *options;

    if (backing && !(below = world_guest(world, backing, world->variant->below, 0, error)))
        return FALSE;
    all.capacity = SIZE;
    all.files = &files;
    all.file_name = name;
    all.backing = backing;
    all.backing_format = backing ? world->variant->below : NULL;
    all.backing_guest = below;
    return cst_image_create(world_blob(world, name), cst_image_format_find(format, NULL), &all,
                            NULL, error);
}

void world_base(World *world, const char *name, guint seed)
{
    const char *format = world->variant->below;
    const CstImageCreate options = {0};

    world_add(world, name, cst_blob_sparse_new(0));
    assert_true(world_create(world, name, format, &options, NULL, NULL));
    world_scatter(world, name, format, seed);
}

void world_scatter(World *world, const char *name, const char *format, guint seed)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) guest = world_guest(world, name, format, CST_IMAGE_WRITE, &error);
    g_autofree uint8_t *buf = g_malloc(SIZE);

    if (!guest)
        world_fail(world, error->message);
    for (guint i = 0; i < 4; i++) {
        uint64_t offset = (seed * 37 + i * 131) % 400 * 1024 + seed % 7 * 512;
        uint64_t length = MIN((seed * 53 + i * 29) % 90 * 1024 + 512, SIZE - offset);

        memset(buf, (int)(seed * 7 + i * 3) % 255 + 1, length);
        if (!cst_blob_pwrite(guest, buf, length, offset, &error))
            world_fail(world, error->message);
    }
    assert_true(cst_blob_flush(guest, NULL));
}

/* --- judging ---------------------------------------------------------------------------------- */

void assert_model(World *world)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) guest = world_guest(world, "disk", world->variant->format, 0, &error);
    static uint8_t seen[SIZE];
    uint64_t at;

    if (!guest || !cst_blob_pread(guest, seen, SIZE, 0, &error)) {
        world_fail(world, error->message);
        return;
    }
    at = next_difference(seen, world->model, 0, SIZE);
    if (at < SIZE) {
        g_autofree char *what =
            g_strdup_printf("byte %u is %02x, not %02x", (unsigned)at, seen[at], world->model[at]);

        world_fail(world, what);
    }
}

/* That a Parallels image was not closed is an error by itself, as QEMU counts. */
static uint64_t mark_errors(CstBlob *blob, const CstImageFormat *format)
{
    g_auto(CstImageInfo) info = {0};

    return strcmp(cst_image_format_name(format), "parallels") == 0 &&
                   cst_image_inspect(blob, format, &info, NULL) && info.dirty
               ? 1
               : 0;
}

void assert_no_errors(World *world, const char *name, const char *format, uint64_t errors)
{
    const CstImageFormat *as = cst_image_format_find(format, NULL);
    const CstImageFiles files = world_files(world);
    g_autoptr(GError) error = NULL;
    CstImageCheck found = {0};

    if (!cst_image_check_as(world_blob(world, name), as, 0, &files, &found, NULL, &error)) {
        if (!g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED))
            world_fail(world, error->message);
    } else if (found.errors > errors + mark_errors(world_blob(world, name), as)) {
        g_autofree char *what = g_strdup_printf("a check finds %u errors", (unsigned)found.errors);

        world_fail(world, what);
    }
}

/* --- playing ---------------------------------------------------------------------------------- */

/* A kind of call whose failure may go unreported. */
typedef struct {
    const char *format;
    CstFaultKind kind;
    guint most;     /* of them, in one file */
    guint per_drop; /* the same for each discard */
    const char *why;
} Tolerated;

static const char space[] = "what nothing refers to may keep its space in the file";
static const char length[] = "the same: whether the file is so long is asked before a discard";
static const char mark[] = "the mark of an image in use stays; who opens it next looks through it";
static const char replay[] = "all of it is in the log on the disk, which whoever opens it replays";
static const char ahead[] = "it was asked how far a run goes: it ends there, and is asked again";

static const Tolerated tolerated[] = {
    {"qcow2", CST_FAULT_DISCARD, 0, 1, space},  {"qcow2", CST_FAULT_QUERY, 0, 1, length},
    {"qcow", CST_FAULT_QUERY, 16, 0, ahead},    {"qcow", CST_FAULT_READ, 1, 0, ahead},
    {"qed", CST_FAULT_QUERY, 3, 0, ahead},      {"qed", CST_FAULT_WRITE, 1, 0, mark},
    {"qed", CST_FAULT_TORN, 1, 0, mark},        {"qed", CST_FAULT_FLUSH, 1, 0, mark},
    {"parallels", CST_FAULT_WRITE, 1, 0, mark}, {"parallels", CST_FAULT_TORN, 1, 0, mark},
    {"vhdx", CST_FAULT_FLUSH, 1, 0, replay},
};

/** Faults of one kind in one file. */
typedef struct {
    guint drops;   /* discards that the job makes in that file */
    guint unheard; /* faults that were not reported so far */
} Round;

static gboolean is_tolerated(const World *world, Round *round)
{
    round->unheard++;
    for (size_t i = 0; i < G_N_ELEMENTS(tolerated); i++)
        if (strcmp(tolerated[i].format, world->variant->format) == 0 &&
            tolerated[i].kind == world->aim.kind)
            return round->unheard <= tolerated[i].most + tolerated[i].per_drop * round->drops;
    return FALSE;
}

/* The storage's own words, in its class. */
static void assert_told(const World *world, const GError *error)
{
    if (!g_error_matches(error, CST_ERROR, CST_ERROR_IO) ||
        !strstr(error->message, "injected fault in"))
        world_fail(world, error->message);
}

/* FALSE once the job makes fewer such calls to that file. */
static gboolean play_one(const Job *job, const World *ground, const Aim *aim, Round *round)
{
    World *world = world_copy(ground, aim);
    g_autoptr(GError) error = NULL;
    gboolean done = job->run(world, &error), struck = end_fault(world);

    if (!struck && !done)
        world_fail(world, error->message);
    if (world->struck && done && !is_tolerated(world, round))
        world_fail(world, "it was reported as done, but a call had failed");
    if (!done)
        assert_told(world, error);
    job->judge(world, done);
    if (!done && job->again) {
        g_clear_error(&error);
        if (!job->run(world, &error))
            world_fail(world, error->message);
        job->judge(world, TRUE);
    }
    world_free(world);
    return struck;
}

/* Questions are many, and reads of a table one like the other: fewer of these. */
static guint step(CstFaultKind kind, guint nth)
{
    return kind == CST_FAULT_QUERY ? 1 + nth / 2 : 1 + nth / 8;
}

/* Counts the discards that the job makes in that file without a fault. */
static guint count_drops(const Job *job, const World *ground, guint part)
{
    World *world = world_copy(ground, &(Aim){.part = part});
    const Part *counted;
    guint drops;

    assert_true(job->run(world, NULL));
    counted = g_ptr_array_index(world->parts, part);
    drops = cst_blob_fault_count(counted->shown, CST_FAULT_DISCARD);
    world_free(world);
    return drops;
}

static guint play_stage(const Job *job, const World *ground)
{
    World *world = world_copy(ground, &(Aim){.part = G_MAXUINT});
    g_autoptr(GError) error = NULL;
    gboolean able = job->run(world, &error);
    guint cases = 0, parts = world->parts->len;

    if (able)
        job->judge(world, TRUE);
    else if (!g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED))
        world_fail(world, error->message);
    world_free(world);
    for (Aim aim = {0}; able && aim.part < parts; aim.part++)
        for (aim.kind = 0; aim.kind < CST_FAULT_KINDS; aim.kind++) {
            Round round = {count_drops(job, ground, aim.part), 0};

            for (aim.nth = 1; play_one(job, ground, &aim, &round);
                 aim.nth += step(aim.kind, aim.nth))
                cases++;
        }
    return cases;
}

guint job_play(const Job *job, const Variant *variant)
{
    guint cases = 0, stages = 0;

    job_name = job->name;
    for (case_seed = 0; case_seed < job->seeds && stages < job->stages; case_seed++) {
        World *ground = g_new0(World, 1);

        world_init(ground, variant, &(Aim){.part = G_MAXUINT});
        if (job->stage(ground, case_seed)) {
            cases += play_stage(job, ground);
            stages++;
        }
        world_free(ground);
    }
    return cases;
}
