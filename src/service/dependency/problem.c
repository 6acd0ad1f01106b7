/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Problems of a volume that are visible in the pools' tables: of its own content, undeclared
 * references, and of its backing file. The backing file may be missing or have another format than
 * the reference says. No image is opened, so that a list of ten thousand volumes can show the
 * problems.
 *
 * volume_problem() returns the first problem, for lists. cst_vol_problems() returns all problems.
 */
#include "problem.h"

#include <base/i18n.h>
#include <base/url.h>

#include "core/pool.h"
#include "core/scan.h"
#include "core/trust.h"
#include "core/trust_device.h"

/*
 * The format of a backing file that is in no pool. NULL is the format of a volume of unknown
 * format.
 */
static const char nowhere[] = "";

VolumeBases *volume_bases_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

/*
 * Returns the format (static) of the volume at @path. Returns nowhere if the volume does not exist.
 * May scan the volume if its pool does not know it yet.
 */
static const char *problem_find_format(CstService *service, const char *path)
{
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(CstPoolState) state = NULL;
    g_autoptr(CstVolume) volume = NULL;
    g_autofree char *name = NULL;
    const char *format;

    if (!cst_service_volume_by_path(service, path, &pool, &name, NULL))
        return nowhere;
    state = pool_state_get(pool, NULL);
    volume = state ? pool_volume(pool, state, name, NULL) : NULL;
    if (!volume)
        return nowhere;
    return trust_content_format(pool, state, volume, &format, NULL) ? format : NULL;
}

const char *volume_format_at(CstService *service, const char *path)
{
    const char *format = problem_find_format(service, path);

    return format == nowhere ? NULL : format;
}

/*
 * Looks up the format once for each path, because thousands of overlays may have the same backing
 * file.
 */
static const char *format_at(CstService *service, const char *path, VolumeBases *bases)
{
    const char *format = bases ? g_hash_table_lookup(bases, path) : NULL;

    if (format)
        return format;
    format = problem_find_format(service, path);
    if (bases)
        g_hash_table_insert(bases, g_strdup(path), (char *)format);
    return format;
}

/* Returns the text for a backing or data file. @what is translated. */
static char *undeclared_problem(const char *what, const char *reference)
{
    g_autofree char *shown = cst_reference_shown(reference);

    return g_strdup_printf(_("its content names '%s' as its %s, which is not declared; it is not "
                             "followed (vol-trust)"),
                           shown, what);
}

/*
 * Returns the problem of a reference to a file in no active pool: it is missing, or not permitted
 * outside of pools. Returns NULL if it is permitted.
 */
static char *missing_problem(CstPool *pool, const CstVolumeExtra *extra)
{
    g_autofree char *shown = cst_reference_shown(extra->backing_path);

    if (!g_file_test(extra->backing_path, G_FILE_TEST_EXISTS))
        return g_strdup_printf(_("its backing store '%s' does not exist"), shown);
    if (trust_follows_outside(pool, extra->backing_trust))
        return NULL;
    return g_strdup_printf(_("its backing store '%s' is no volume of an active pool; define and "
                             "start a pool that holds it, or declare it (vol-trust)"),
                           shown);
}

/*
 * Returns the first problem of the backing file: undeclared, missing, or of another format. Returns
 * NULL if it has no problem.
 */
static char *backing_problem(CstPool *pool, const CstVolumeExtra *extra, VolumeBases *bases)
{
    const char *format;

    if (!extra->backing_path)
        return NULL;
    if (extra->backing_trust == CST_TRUST_NONE)
        return undeclared_problem(_("backing store"), extra->backing_path);
    format = format_at(pool->service, extra->backing_path, bases);
    if (format == nowhere)
        return missing_problem(pool, extra);
    if (!extra->backing_format || cst_volume_same_format(extra->backing_format, format))
        return NULL;
    return g_strdup_printf(_("it says that its backing store '%s' is %s, but that is %s; its guest "
                             "would see other bytes than are meant"),
                           extra->backing_path, extra->backing_format, format);
}

static char *data_problem(const CstVolumeExtra *extra)
{
    return extra->data_file && extra->data_trust == CST_TRUST_NONE
               ? undeclared_problem(_("data file"), extra->data_file)
               : NULL;
}

/* Problems of the content itself come first. */
char *volume_problem(CstPool *pool, const CstVolume *volume, VolumeBases *bases)
{
    const CstVolumeExtra *extra = volume->extra;
    char *problem;

    if (!extra)
        return NULL;
    if (extra->problem)
        return g_strdup(extra->problem);
    if (volume->type != CST_VOL_FILE)
        return NULL;
    problem = backing_problem(pool, extra, bases);
    return problem ? problem : data_problem(extra);
}

static void problems_append(GPtrArray *problems, char *problem)
{
    if (problem)
        g_ptr_array_add(problems, problem);
}

GPtrArray *cst_vol_problems(CstPool *pool, const char *name, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(CstVolume) volume = state ? pool_volume_now(pool, state, name, error) : NULL;
    const CstVolumeExtra *extra = volume ? volume->extra : NULL;
    GPtrArray *problems;

    if (!volume)
        return NULL;
    problems = g_ptr_array_new_with_free_func(g_free);
    if (!extra)
        return problems;
    problems_append(problems, g_strdup(extra->problem));
    if (extra->content && !cst_volume_header_is_lost(volume))
        problems_append(problems,
                        g_strdup_printf(_("its content looks like %s, but it is declared to be %s "
                                          "(vol-trust --format %s, if that is meant)"),
                                        extra->content, volume->format, extra->content));
    if (volume->type == CST_VOL_FILE) {
        problems_append(problems, backing_problem(pool, extra, NULL));
        problems_append(problems, data_problem(extra));
    }
    return problems;
}
