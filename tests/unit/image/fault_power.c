/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The power fails after any prefix of the work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <blob/power.h>

#include "fault_case.h"

/*
 * Discards any part of the unflushed writes of each file, at the same point in time for all files.
 */
static void cut_power(Disk *disk, CstBlob *const *powers, unsigned clock, uint32_t seed)
{
    for (guint i = 0; i < disk->parts->len; i++) {
        unsigned steps = cst_blob_power_steps_before(powers[i], clock);
        uint32_t fate = seed < 2 ? seed : clock * 16 + seed + i;

        part_at(disk, i)->shown = cst_blob_power_crash(powers[i], steps, fate, NULL);
    }
}

static void drop_shown(Disk *disk)
{
    for (guint i = 0; i < disk->parts->len; i++)
        g_clear_pointer(&part_at(disk, i)->shown, cst_blob_unref);
}

guint play_power_cuts(Case *c, const Disk *ground, const View *old, const View *new)
{
    guint count = ground->parts->len;
    g_autofree CstBlob **powers = g_new0(CstBlob *, count);
    unsigned from, to;
    gboolean struck;
    Disk disk;

    if (moves_its_only_mark(c))
        return 0;
    disk_copy(ground, &disk);
    drop_shown(&disk);
    for (guint i = 0; i < count; i++)
        part_at(&disk, i)->shown = powers[i] = cst_blob_power_new(part_at(&disk, i)->inner, NULL);
    from = cst_blob_power_clock();
    assert_true(run_operation(&disk, c->operation, NULL, NULL, &struck, NULL));
    to = cst_blob_power_clock();
    assert_int_equal(disk.parts->len, count);
    c->kind = "power cut";
    for (c->nth = 0; c->nth <= to - from; c->nth++)
        for (c->seed = 0; c->seed < 3; c->seed++) {
            cut_power(&disk, powers, from + c->nth, c->seed);
            judge(c, &disk, c->nth == to - from, old, new);
            drop_shown(&disk);
        }
    for (guint i = 0; i < count; i++)
        part_at(&disk, i)->shown = powers[i];
    disk_clear(&disk);
    c->seed = 0;
    return to - from;
}
