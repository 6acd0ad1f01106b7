/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Orphans: volumes that no object refers to. People delete by this list, so a volume is in it only
 * if each of these is known and does not refer to it: the machines of libvirt, the images of the
 * active pools, schedules, running processes, the protection from deletion. It was also not written
 * for ORPHAN_DAYS. A query that fails ends the search without findings.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <conn/domains.h>
#include <conn/schedules.h>
#include <conn/tags.h>
#include <schedule/selector.h>

#include "doctor.h"

#define ORPHAN_DAYS 30
#define DAY_S       86400

/* All known references. */
typedef struct {
    GHashTable *names;    /* set of "POOL/VOLUME" */
    GHashTable *paths;    /* set of paths */
    GPtrArray *selectors; /* of CstSelector *: of schedules */
} References;

static void references_clear(References *references)
{
    g_hash_table_unref(references->names);
    g_hash_table_unref(references->paths);
    g_ptr_array_unref(references->selectors);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(References, references_clear)

static void references_init(References *references)
{
    *references = (References){
        .names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .selectors = g_ptr_array_new_with_free_func((GDestroyNotify)cst_selector_free),
    };
}

static void references_add_name(References *references, const char *pool, const char *volume)
{
    g_hash_table_add(references->names, g_strconcat(pool, "/", volume, NULL));
}

/* Adds the disks of all machines. Returns FALSE if there is none, or libvirt does not answer. */
static gboolean machines_add(DoctorWork *work, References *references)
{
    g_autoptr(GPtrArray) domains = cst_conn_domains(work->ctl->conn, NULL, NULL);

    if (!domains || domains->len == 0)
        return FALSE;
    for (guint i = 0; i < domains->len; i++) {
        const CstDomain *domain = domains->pdata[i];

        for (guint j = 0; j < domain->drives->len; j++) {
            const CstDomainDrive *drive = domain->drives->pdata[j];

            if (drive->pool && drive->volume)
                references_add_name(references, drive->pool, drive->volume);
            if (drive->path)
                g_hash_table_add(references->paths, g_strdup(drive->path));
        }
    }
    return TRUE;
}

static gboolean tag_add(DoctorWork *work, const char *tag, References *references)
{
    g_autoptr(GPtrArray) vols = cst_conn_tag_matches(work->ctl->conn, tag, NULL);

    for (guint i = 0; vols && i < vols->len; i++) {
        const CstVolRef *vol = vols->pdata[i];

        references_add_name(references, vol->pool, vol->name);
    }
    return vols != NULL;
}

/*
 * Adds the selectors of a schedule. One of backups refers to all that it selects, and any other one
 * to single volumes.
 */
static gboolean selectors_add(DoctorWork *work, const CstSchedule *schedule, References *references)
{
    gboolean backs_up = schedule->action == CST_SCHEDULE_BACKUP;

    for (char **on = schedule->on; *on; on++) {
        g_autoptr(CstSelector) selector = cst_selector_parse(*on, NULL);

        if (!selector)
            continue;
        if (selector->kind == CST_SELECT_TAG && backs_up &&
            !tag_add(work, selector->pattern, references))
            return FALSE;
        if (selector->kind == CST_SELECT_VOLUME || (selector->kind == CST_SELECT_POOL && backs_up))
            g_ptr_array_add(references->selectors, g_steal_pointer(&selector));
    }
    return TRUE;
}

static gboolean schedules_add(DoctorWork *work, References *references)
{
    g_autoptr(GPtrArray) schedules = cst_conn_schedules(work->ctl->conn, NULL, NULL);

    for (guint i = 0; schedules && i < schedules->len; i++) {
        const CstSchedule *schedule = schedules->pdata[i];
        g_autoptr(GPtrArray) copies =
            cst_conn_schedule_copies(work->ctl->conn, schedule->name, NULL);

        if (!copies)
            return FALSE;
        for (guint j = 0; j < copies->len; j++) {
            const CstScheduleCopy *copy = copies->pdata[j];

            references_add_name(references, copy->pool, copy->volume);
        }
        if (!selectors_add(work, schedule, references))
            return FALSE;
    }
    return schedules != NULL;
}

static gboolean selectors_match(const References *references, const char *pool, const char *volume)
{
    for (guint i = 0; i < references->selectors->len; i++) {
        const CstSelector *selector = references->selectors->pdata[i];

        if (strcmp(selector->pool, pool) == 0 &&
            (selector->kind == CST_SELECT_POOL ||
             g_pattern_match_simple(selector->pattern, volume)))
            return TRUE;
    }
    return FALSE;
}

/* A pool with its volumes, and the properties of each. */
typedef struct {
    const CstPoolRef *pool;
    GPtrArray *rows;       /* of CstVolRow * */
    GPtrArray *properties; /* of CstVolMore * */
    GHashTable *protected_names;
} PoolVolumes;

static void pool_volumes_free(PoolVolumes *volumes)
{
    g_clear_pointer(&volumes->rows, g_ptr_array_unref);
    g_clear_pointer(&volumes->properties, g_ptr_array_unref);
    g_clear_pointer(&volumes->protected_names, g_hash_table_unref);
    g_free(volumes);
}

/* Reads an active pool. Returns NULL on failure. Adds the backing files to @references. */
static PoolVolumes *pool_volumes_read(DoctorWork *work, const CstPoolRef *pool,
                                      References *references)
{
    PoolVolumes *volumes = g_new0(PoolVolumes, 1);
    CstConn *conn = work->ctl->conn;

    volumes->pool = pool;
    volumes->rows = cst_conn_vol_list(conn, pool, TRUE, NULL);
    volumes->properties =
        volumes->rows ? cst_conn_vol_list_more(conn, pool, volumes->rows,
                                               CST_VOL_MORE_BACKING | CST_VOL_MORE_HOLDERS, NULL)
                      : NULL;
    volumes->protected_names = cst_conn_pool_protected(conn, pool, NULL);
    if (!volumes->properties || !volumes->protected_names) {
        pool_volumes_free(volumes);
        return NULL;
    }
    for (guint i = 0; i < volumes->properties->len; i++) {
        const CstVolMore *properties = volumes->properties->pdata[i];

        if (properties->backing)
            g_hash_table_add(references->paths, g_strdup(properties->backing));
    }
    return volumes;
}

/* Returns the days since the last change of a file; 0: unknown, or it is no file. */
static int64_t days_unchanged(DoctorWork *work, const CstPoolRef *pool, const CstVolRow *row)
{
    CstVolRef vol = {pool->name, row->name, row->key};
    g_autofree char *xml = cst_conn_vol_xml(work->ctl->conn, &vol, 0, NULL);
    g_autoptr(CstVolDef) def =
        xml ? cst_vol_def_parse(xml, CST_POOL_DIR, CST_VOL_PARSE_LIVE, NULL) : NULL;

    if (!def || !def->times || def->times->mtime.tv_nsec == CST_TIME_ABSENT)
        return 0;
    return (g_get_real_time() / G_USEC_PER_SEC - def->times->mtime.tv_sec) / DAY_S;
}

static void orphans_add(DoctorWork *work, const PoolVolumes *volumes, const References *references)
{
    for (guint i = 0; i < volumes->rows->len; i++) {
        const CstVolRow *row = volumes->rows->pdata[i];
        const CstVolMore *properties = volumes->properties->pdata[i];
        g_autofree char *object = g_strconcat(volumes->pool->name, "/", row->name, NULL);
        int64_t days;

        if (row->info.type != CST_VOL_FILE || !properties->holders ||
            properties->holders->len > 0 || g_hash_table_contains(references->names, object) ||
            g_hash_table_contains(references->paths, row->path) ||
            g_hash_table_contains(volumes->protected_names, row->name) ||
            selectors_match(references, volumes->pool->name, row->name))
            continue;
        days = days_unchanged(work, volumes->pool, row);
        if (days < ORPHAN_DAYS)
            continue;
        cst_doctor_findings_add(
            work->findings, "volume-orphaned", CST_SEVERITY_NOTE, object, NULL,
            g_strdup_printf(_("no machine, image, schedule, process or mark refers to it, and it "
                              "was not changed for %" PRId64 " days"),
                            (int64_t)days));
    }
}

gboolean doctor_check_orphans(DoctorWork *work, GError **error)
{
    g_auto(References) references = {0};
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)pool_volumes_free);
    g_autoptr(GPtrArray) pools = NULL;

    references_init(&references);
    if (!machines_add(work, &references) || !schedules_add(work, &references))
        return TRUE;
    pools = cst_conn_pool_list(work->ctl->conn, CST_LIST_POOLS_ACTIVE, error);
    if (!pools)
        return FALSE;
    /* An image of any pool may refer to a volume of any other pool, so all are read first. */
    for (guint i = 0; i < pools->len; i++) {
        const CstPoolRef *pool = pools->pdata[i];
        PoolVolumes *volumes = doctor_pool_answers(work, pool->name)
                                   ? pool_volumes_read(work, pool, &references)
                                   : NULL;

        if (!volumes)
            return TRUE;
        g_ptr_array_add(all, volumes);
    }
    for (guint i = 0; i < all->len; i++)
        orphans_add(work, all->pdata[i], &references);
    return TRUE;
}
