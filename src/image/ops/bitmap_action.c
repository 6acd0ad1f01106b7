/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/bitmap.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

typedef struct {
    CstImage *image;
    const char *name;
    uint64_t granularity;
    CstImage *source;
    const char *from;
} Work;

typedef gboolean (*DoFunc)(const Work *work, GError **error);

static gboolean add(const Work *work, GError **error)
{
    return cst_image_bitmap_add(work->image, work->name, work->granularity, TRUE, error);
}

static gboolean remove_it(const Work *work, GError **error)
{
    return cst_image_bitmap_remove(work->image, work->name, error);
}

static gboolean clear(const Work *work, GError **error)
{
    return cst_image_bitmap_clear(work->image, work->name, error);
}

static gboolean enable(const Work *work, GError **error)
{
    return cst_image_bitmap_enable(work->image, work->name, TRUE, error);
}

static gboolean disable(const Work *work, GError **error)
{
    return cst_image_bitmap_enable(work->image, work->name, FALSE, error);
}

static gboolean merge(const Work *work, GError **error)
{
    return work->from
               ? cst_image_bitmap_merge(work->image, work->name, work->source, work->from, error)
               : cst_fail(error, CST_ERROR_INVALID, _("say which bitmap is to be added to '%s'"),
                          work->name);
}

static const struct {
    const char *deed;
    DoFunc run;
} deeds[] = {
    {"add", add},       {"remove", remove_it}, {"clear", clear},
    {"enable", enable}, {"disable", disable},  {"merge", merge},
};

static DoFunc find(const char *deed)
{
    for (size_t i = 0; i < G_N_ELEMENTS(deeds); i++)
        if (strcmp(deeds[i].deed, deed) == 0)
            return deeds[i].run;
    return NULL;
}

gboolean cst_image_bitmap_has_deed(const char *deed)
{
    return find(deed) != NULL;
}

gboolean cst_image_bitmap_do(CstImage *image, const char *deed, const char *name,
                             uint64_t granularity, CstImage *source, const char *from,
                             GError **error)
{
    const Work work = {image, name, granularity, source, from};
    DoFunc run = find(deed);

    return run ? run(&work, error)
               : cst_fail(error, CST_ERROR_INVALID, _("'%s' can't be done with a bitmap"), deed);
}
