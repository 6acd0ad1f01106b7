/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Jobs on an image with a backing image. The guest's content is the same after any fault. */
#include "fault_job.h"

#include <blob/sparse.h>
#include <image/commit.h>
#include <image/rebase.h>

/* Creates "disk" over "base", and the alternative backing image "new". */
static gboolean stage(World *world, guint seed)
{
    const Variant *variant = world->variant;
    g_autoptr(CstBlob) guest = NULL;

    if (!variant->below)
        return FALSE;
    world_add(world, "disk", cst_blob_sparse_new(0));
    world_base(world, "base", 3);
    world_base(world, "new", 11);
    if (!world_create(world, "disk", variant->format, &variant->options, "base", NULL))
        return FALSE;
    world_scatter(world, "disk", variant->format, 6);
    guest = world_guest(world, "disk", variant->format, 0, NULL);
    return cst_blob_pread(guest, world->model, SIZE, 0, NULL);
}

static void judge(World *world, gboolean done)
{
    assert_model(world);
    assert_no_errors(world, "disk", world->variant->format, 0);
    assert_no_errors(world, "base", world->variant->below, 0);
    assert_no_errors(world, "new", world->variant->below, 0);
}

static gboolean commit(World *world, GError **error)
{
    g_autoptr(CstChain) chain = world_chain(world, "disk", world->variant->format, error);

    return chain && world_report(world, cst_chain_commit(chain, 1, 0, NULL, error));
}

static gboolean rebase(World *world, GError **error)
{
    g_autoptr(CstChain) chain = world_chain(world, "disk", world->variant->format, error);
    g_autoptr(CstBlob) guest =
        chain ? world_guest(world, "new", world->variant->below, 0, error) : NULL;
    const CstImageRebase how = {
        .backing = "new", .backing_format = world->variant->below, .guest = guest};

    return guest && world_report(world, cst_chain_rebase(chain, &how, NULL, error));
}

static gboolean flatten(World *world, GError **error)
{
    g_autoptr(CstChain) chain = world_chain(world, "disk", world->variant->format, error);

    return chain && world_report(world, cst_chain_flatten(chain, NULL, error));
}

const Job commit_job = {"commit", stage, commit, judge, .seeds = 1, .stages = 1, .again = TRUE};
const Job rebase_job = {"rebase", stage, rebase, judge, .seeds = 1, .stages = 1, .again = TRUE};
const Job flatten_job = {"flatten", stage, flatten, judge, .seeds = 1, .stages = 1, .again = TRUE};
