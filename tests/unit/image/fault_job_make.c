/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Jobs that make an image: create, and convert from another one. */
#include "fault_job.h"

#include <string.h>

#include <blob/sparse.h>
#include <image/convert.h>

static void read_model(World *world, const char *name, const char *format)
{
    g_autoptr(CstBlob) guest = world_guest(world, name, format, 0, NULL);

    assert_non_null(guest);
    assert_true(cst_blob_pread(guest, world->model, SIZE, 0, NULL));
}

static const char *base_of(const World *world)
{
    return world->variant->below ? "base" : NULL;
}

/* --- create ----------------------------------------------------------------------------------- */

static gboolean stage_create(World *world, guint seed)
{
    world_add(world, "disk", cst_blob_sparse_new(0));
    if (world->variant->below) {
        world_base(world, "base", 3);
        read_model(world, "base", world->variant->below);
    }
    return TRUE;
}

static gboolean create(World *world, GError **error)
{
    return world_report(world, world_create(world, "disk", world->variant->format,
                                            &world->variant->options, base_of(world), error));
}

/* After a failure the file is not an image, or it is an image with equal content. */
static void judge_new(World *world, gboolean done)
{
    if (!done)
        return;
    assert_no_errors(world, "disk", world->variant->format, 0);
    assert_model(world);
}

const Job create_job = {"create", stage_create, create, judge_new, .seeds = 1, .stages = 1};

/* --- convert ---------------------------------------------------------------------------------- */

static gboolean stage_convert(World *world, guint seed)
{
    world_add(world, "disk", cst_blob_sparse_new(0));
    world_add(world, "source", cst_blob_sparse_new(SIZE));
    world_scatter(world, "source", "raw", 5);
    read_model(world, "source", "raw");
    if (world->variant->below)
        world_base(world, "base", 3);
    return TRUE;
}

static gboolean convert_as(World *world, unsigned flags, GError **error)
{
    const CstImageFiles files = world_files(world);
    CstImageCreate options = world->variant->options;
    g_autoptr(CstBlob) below = NULL;

    if (world->variant->below &&
        !(below = world_guest(world, "base", world->variant->below, 0, error)))
        return FALSE;
    options.files = &files;
    options.file_name = "disk";
    options.backing = base_of(world);
    options.backing_format = world->variant->below;
    options.backing_guest = below;
    return world_report(world,
                        cst_image_convert(world_blob(world, "source"), world_blob(world, "disk"),
                                          world->format, &options, flags, NULL, error));
}

static gboolean convert(World *world, GError **error)
{
    return convert_as(world, 0, error);
}

static gboolean compress(World *world, GError **error)
{
    return convert_as(world, CST_CONVERT_COMPRESS, error);
}

/* A compressed VMDK is a stream and cannot have a backing image. */
static gboolean stage_compress(World *world, guint seed)
{
    return !(world->variant->below && strcmp(world->variant->format, "vmdk") == 0) &&
           stage_convert(world, seed);
}

const Job convert_job = {"convert", stage_convert, convert, judge_new, .seeds = 1, .stages = 1};
const Job compress_job = {"compress", stage_compress, compress, judge_new, .seeds = 1, .stages = 1};
