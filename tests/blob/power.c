/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A recorder of changes that generates crash states, for tests (see the header for the model).
 *
 * The recorder keeps a copy of the blob's initial content ("base") and a list of steps. A crash
 * state is the base plus all steps before the last flush ("floor") plus some of the later steps. A
 * Survival selects these. Generating a state writes to a new sparse blob and has no other effect.
 *
 * The lock is held across each change of the inner blob, so that the steps are recorded in the
 * order of the changes. The clock is global and atomic: it orders the steps of all blobs.
 */
#include <blob/power.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/sparse.h>

#define SECTOR     512
#define COPY_CHUNK (1 * CST_MIB)
#define MAX_PIECES 4096 /* of one torn change; the pieces of a long change have several sectors */
#define MAX_DATA   CST_BLOB_MEMORY_MAX /* bytes of recorded writes */

typedef enum { STEP_WRITE, STEP_ZERO, STEP_RESIZE, STEP_FLUSH } StepKind;

typedef struct {
    StepKind kind;
    uint64_t offset; /* STEP_RESIZE: the new size */
    uint64_t length;
    uint8_t *data;
    unsigned tick; /* of the global clock */
} Step;

static gint clock_ticks;

typedef struct {
    CstBlob head;
    CstBlob *inner;
    CstBlob *base; /* content before the first step */
    GMutex lock;
    GArray *steps;
    uint64_t recorded; /* bytes of data */
} CstPowerBlob;

static void clear_step(gpointer step)
{
    g_free(((Step *)step)->data);
}

/* Called with the lock held. */
static void power_record(CstPowerBlob *power, StepKind kind, uint64_t offset, uint64_t length,
                         const void *data)
{
    Step step = {kind, offset, length, data ? g_memdup2(data, length) : NULL,
                 (unsigned)g_atomic_int_add(&clock_ticks, 1)};

    power->recorded += data ? length : 0;
    g_array_append_val(power->steps, step);
}

static gboolean power_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    return cst_blob_pread(((CstPowerBlob *)blob)->inner, buf, len, offset, error);
}

static gboolean power_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    return cst_blob_get_size(((CstPowerBlob *)blob)->inner, ret_size, error);
}

static void power_close(CstBlob *blob)
{
    CstPowerBlob *power = (CstPowerBlob *)blob;

    cst_blob_unref(power->inner);
    cst_blob_unref(power->base);
    g_array_unref(power->steps);
    g_mutex_clear(&power->lock);
    g_free(power);
}

static gboolean power_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                             GError **error)
{
    CstPowerBlob *power = (CstPowerBlob *)blob;
    gboolean ok;

    g_mutex_lock(&power->lock);
    if (power->recorded > MAX_DATA)
        ok = cst_fail(error, CST_ERROR_NO_SPACE, "too much was written to record it");
    else
        ok = cst_blob_pwrite(power->inner, buf, len, offset, error);
    if (ok)
        power_record(power, STEP_WRITE, offset, len, buf);
    g_mutex_unlock(&power->lock);
    return ok;
}

static gboolean power_flush(CstBlob *blob, GError **error)
{
    CstPowerBlob *power = (CstPowerBlob *)blob;
    gboolean ok;

    g_mutex_lock(&power->lock);
    ok = cst_blob_flush(power->inner, error);
    if (ok)
        power_record(power, STEP_FLUSH, 0, 0, NULL);
    g_mutex_unlock(&power->lock);
    return ok;
}

static gboolean power_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                             GError **error)
{
    return cst_blob_extent(((CstPowerBlob *)blob)->inner, offset, length, ret_extent, error);
}

static gboolean power_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                           GError **error)
{
    CstPowerBlob *power = (CstPowerBlob *)blob;
    gboolean ok;

    g_mutex_lock(&power->lock);
    ok = cst_blob_zero(power->inner, offset, length, flags, error);
    if (ok)
        power_record(power, STEP_ZERO, offset, length, NULL);
    g_mutex_unlock(&power->lock);
    return ok;
}

/* Discarded content is undefined; here it becomes zero, as in a file. */
static gboolean power_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return power_zero(blob, offset, length, CST_ZERO_MAY_UNMAP, error);
}

static gboolean power_resize(CstBlob *blob, uint64_t size, GError **error)
{
    CstPowerBlob *power = (CstPowerBlob *)blob;
    gboolean ok;

    g_mutex_lock(&power->lock);
    ok = cst_blob_resize(power->inner, size, error);
    if (ok)
        power_record(power, STEP_RESIZE, size, 0, NULL);
    g_mutex_unlock(&power->lock);
    return ok;
}

/* Other blobs may share extents into this one. The changes arrive as writes. */
static uint64_t power_share_unit(CstBlob *blob)
{
    return cst_blob_share_unit(((CstPowerBlob *)blob)->inner);
}

static const CstBlobOps power_ops = {
    .kind = "power",
    .pread = power_pread,
    .get_size = power_get_size,
    .close = power_close,
    .pwrite = power_pwrite,
    .flush = power_flush,
    .extent = power_extent,
    .zero = power_zero,
    .discard = power_discard,
    .resize = power_resize,
    .share_unit = power_share_unit,
};

static gboolean copy_data(CstBlob *from, CstBlob *to, uint64_t offset, uint64_t length,
                          GError **error)
{
    g_autofree uint8_t *buf = g_malloc(COPY_CHUNK);

    while (length > 0) {
        size_t n = (size_t)MIN(length, COPY_CHUNK);

        if (!cst_blob_pread(from, buf, n, offset, error) ||
            !cst_blob_pwrite(to, buf, n, offset, error))
            return FALSE;
        offset += n;
        length -= n;
    }
    return TRUE;
}

/* Copies the content of @inner, extent by extent, so that its holes need no memory. */
static CstBlob *copy_content(CstBlob *inner, GError **error)
{
    g_autoptr(CstBlob) copy = NULL;
    CstExtent extent;
    uint64_t size;

    if (!cst_blob_get_size(inner, &size, error))
        return NULL;
    copy = cst_blob_sparse_new(size);
    for (uint64_t at = 0; at < size; at += extent.length) {
        if (!cst_blob_extent(inner, at, size - at, &extent, error))
            return NULL;
        if (!(extent.flags & CST_EXTENT_ZERO) && !copy_data(inner, copy, at, extent.length, error))
            return NULL;
    }
    return g_steal_pointer(&copy);
}

CstBlob *cst_blob_power_new(CstBlob *inner, GError **error)
{
    CstBlob *base = copy_content(inner, error);
    CstPowerBlob *power;

    if (!base)
        return NULL;
    power = g_new0(CstPowerBlob, 1);
    cst_blob_init(&power->head, &power_ops, inner->name, inner->writable);
    power->inner = cst_blob_ref(inner);
    power->base = base;
    g_mutex_init(&power->lock);
    power->steps = g_array_new(FALSE, FALSE, sizeof(Step));
    g_array_set_clear_func(power->steps, clear_step);
    return &power->head;
}

unsigned cst_blob_power_steps(CstBlob *blob)
{
    CstPowerBlob *power = (CstPowerBlob *)blob;
    unsigned steps;

    g_mutex_lock(&power->lock);
    steps = power->steps->len;
    g_mutex_unlock(&power->lock);
    return steps;
}

unsigned cst_blob_power_clock(void)
{
    return (unsigned)g_atomic_int_get(&clock_ticks);
}

unsigned cst_blob_power_steps_before(CstBlob *blob, unsigned clock)
{
    CstPowerBlob *power = (CstPowerBlob *)blob;
    unsigned steps = 0;

    g_mutex_lock(&power->lock);
    while (steps < power->steps->len && g_array_index(power->steps, Step, steps).tick < clock)
        steps++;
    g_mutex_unlock(&power->lock);
    return steps;
}

/* --- crash states --------------------------------------------------------------------------- */

/* Selects the steps of [floor, end) that have reached the disk. No flush covers these steps. */
typedef struct {
    GRand *chance;
    enum { LOSE_ALL, KEEP_ALL, KEEP_FIRST, KEEP_ONE, LOSE_ONE, RANDOM } policy;
    unsigned pick; /* the step of KEEP_FIRST, KEEP_ONE and LOSE_ONE */
    double odds;   /* RANDOM: probability that a step survives */
    double longer; /* probability that a lost write past the end has still grown the file */
} Survival;

static void survival_init(Survival *survival, uint32_t seed, unsigned floor, unsigned end)
{
    static const double odds[] = {0.1, 0.5, 0.9};

    survival->chance = g_rand_new_with_seed(seed);
    /* Seeds 0 and 1 are LOSE_ALL and KEEP_ALL; all other seeds select one of the other policies. */
    survival->policy = seed < 2 ? seed : KEEP_FIRST + seed % (RANDOM - KEEP_FIRST + 1);
    survival->pick = end > floor ? (unsigned)g_rand_int_range(survival->chance, floor, end) : 0;
    survival->odds = odds[g_rand_int_range(survival->chance, 0, G_N_ELEMENTS(odds))];
    /* Seed 0 is the state without any change since the flush. */
    survival->longer = survival->policy == LOSE_ALL ? 0 : 0.5;
}

static gboolean step_survives(Survival *survival, unsigned step)
{
    switch (survival->policy) {
    case LOSE_ALL: return FALSE;
    case KEEP_ALL: return TRUE;
    case KEEP_FIRST: return step < survival->pick;
    case KEEP_ONE: return step == survival->pick;
    case LOSE_ONE: return step != survival->pick;
    case RANDOM: break;
    }
    return g_rand_double(survival->chance) < survival->odds;
}

/* Applies a step to @state, or its part in [@offset, @offset + @length). */
static gboolean step_apply(CstBlob *state, const Step *step, uint64_t offset, uint64_t length,
                           GError **error)
{
    switch (step->kind) {
    case STEP_WRITE:
        return cst_blob_pwrite(state, step->data + (offset - step->offset), length, offset, error);
    case STEP_ZERO: {
        uint64_t size = 0;

        /* The preceding resize may have been lost. */
        if (!cst_blob_get_size(state, &size, error))
            return FALSE;
        return offset >= size ||
               cst_blob_zero(state, offset, MIN(length, size - offset), CST_ZERO_MAY_UNMAP, error);
    }
    case STEP_RESIZE: return cst_blob_resize(state, step->offset, error);
    case STEP_FLUSH: break;
    }
    return TRUE;
}

/* Applies a random selection of the step's sectors. */
static gboolean apply_torn(CstBlob *state, const Step *step, GRand *chance, GError **error)
{
    uint64_t piece = (step->length / MAX_PIECES + SECTOR) / SECTOR * SECTOR;
    uint64_t end = step->offset + step->length;

    for (uint64_t at = step->offset, next; at < end; at = next) {
        next = MIN((at / piece + 1) * piece, end);
        if (g_rand_boolean(chance) && !step_apply(state, step, at, next - at, error))
            return FALSE;
    }
    return TRUE;
}

/* A lost write past the end may still have grown the file. */
static gboolean apply_lost(CstBlob *state, const Step *step, Survival *survival, GError **error)
{
    uint64_t size = 0;

    if (step->kind != STEP_WRITE || g_rand_double(survival->chance) >= survival->longer)
        return TRUE;
    if (!cst_blob_get_size(state, &size, error))
        return FALSE;
    return step->offset + step->length <= size ||
           cst_blob_resize(state, step->offset + step->length, error);
}

static gboolean apply_unflushed(CstBlob *state, const Step *step, unsigned number,
                                Survival *survival, GError **error)
{
    gboolean keep = step_survives(survival, number);

    if (survival->policy == RANDOM && step->kind != STEP_RESIZE &&
        g_rand_int_range(survival->chance, 0, 4) == 0)
        return apply_torn(state, step, survival->chance, error);
    if (keep)
        return step_apply(state, step, step->offset, step->length, error);
    return apply_lost(state, step, survival, error);
}

/* Returns the number of steps up to the last flush before @end. Called with the lock held. */
static unsigned flushed_steps(const CstPowerBlob *power, unsigned end)
{
    const Step *steps = (const Step *)power->steps->data;

    while (end > 0 && steps[end - 1].kind != STEP_FLUSH)
        end--;
    return end;
}

/* Generates the state after the first @end steps. Called with the lock held. Clears @survival. */
static CstBlob *steps_replay(CstPowerBlob *power, unsigned end, Survival *survival, GError **error)
{
    const Step *steps = (const Step *)power->steps->data;
    g_autoptr(CstBlob) state = cst_blob_sparse_copy(power->base);
    unsigned floor = flushed_steps(power, end);
    gboolean ok = TRUE;

    for (unsigned i = 0; ok && i < floor; i++)
        ok = step_apply(state, &steps[i], steps[i].offset, steps[i].length, error);
    for (unsigned i = floor; ok && i < end; i++)
        ok = apply_unflushed(state, &steps[i], i, survival, error);
    g_rand_free(survival->chance);
    return ok ? g_steal_pointer(&state) : NULL;
}

CstBlob *cst_blob_power_crash(CstBlob *blob, unsigned steps, uint32_t seed, GError **error)
{
    CstPowerBlob *power = (CstPowerBlob *)blob;
    CstBlob *state;
    Survival survival;

    g_mutex_lock(&power->lock);
    steps = MIN(steps, power->steps->len);
    survival_init(&survival, seed, flushed_steps(power, steps), steps);
    state = steps_replay(power, steps, &survival, error);
    g_mutex_unlock(&power->lock);
    return state;
}

unsigned cst_blob_power_covered(CstBlob *blob, unsigned steps)
{
    CstPowerBlob *power = (CstPowerBlob *)blob;

    g_mutex_lock(&power->lock);
    steps = flushed_steps(power, MIN(steps, power->steps->len));
    g_mutex_unlock(&power->lock);
    return steps;
}

CstBlob *cst_blob_power_crash_one(CstBlob *blob, unsigned steps, unsigned step, gboolean alone,
                                  gboolean longer, GError **error)
{
    CstPowerBlob *power = (CstPowerBlob *)blob;
    Survival survival = {.chance = g_rand_new_with_seed(step),
                         .policy = alone ? KEEP_ONE : LOSE_ONE,
                         .pick = step,
                         .longer = longer ? 1 : 0};
    CstBlob *state;

    g_mutex_lock(&power->lock);
    state = steps_replay(power, MIN(steps, power->steps->len), &survival, error);
    g_mutex_unlock(&power->lock);
    return state;
}
