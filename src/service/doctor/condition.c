/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The condition of a pool: started, answering, healthy, and as its definition says. */
#include "condition.h"

#include <string.h>
#include <sys/stat.h>

#include <base/file.h>
#include <base/i18n.h>

#define DEFINITION_MAX (1 << 20) /* bytes of a file */

static char *pool_command(const DoctorRun *run, const char *command)
{
    return cst_doctor_command("cistern", command, "--", run->pool->name, NULL);
}

/* --- the definition --------------------------------------------------------------------------- */

/* Returns the XML of the file as the service formats it; NULL if it cannot be read. */
static char *definition_stored(const char *path)
{
    g_autofree char *text = NULL;
    g_autoptr(CstPoolDef) def = NULL;
    size_t len;

    if (!cst_file_read(path, DEFINITION_MAX, &text, &len, NULL))
        return NULL;
    def = cst_pool_def_parse(text, 0, NULL);
    return def ? cst_pool_def_format(def, NULL) : NULL;
}

/* Drops the elements of live values, which a file does not have. */
static char *definition_compared(char *xml)
{
    static const char *const live[] = {"capacity", "allocation", "available"};

    for (guint i = 0; xml && i < G_N_ELEMENTS(live); i++) {
        g_autofree char *pattern = g_strdup_printf("\\s*<%s[^<]*</%s>", live[i], live[i]);
        g_autoptr(GRegex) regex = g_regex_new(pattern, 0, 0, NULL);
        char *less = g_regex_replace_literal(regex, xml, -1, 0, "", 0, NULL);

        g_free(xml);
        xml = less;
    }
    return xml;
}

/*
 * Whether a start would change the pool. Thresholds, limits, the automatic extension and the limits
 * of chains are in force at once.
 */
static gboolean start_would_change(const DoctorRun *run)
{
    g_autoptr(CstPoolDef) same = cst_pool_def_copy(run->def);
    g_autofree char *now = NULL, *next = NULL;

    same->thresholds = run->next_def->thresholds;
    same->limits = run->next_def->limits;
    same->autoextend = run->next_def->autoextend;
    same->chains = run->next_def->chains;
    now = definition_compared(cst_pool_def_format(same, NULL));
    next = definition_compared(cst_pool_def_format(run->next_def, NULL));
    return g_strcmp0(now, next) != 0;
}

static void definition_check(DoctorRun *run)
{
    g_autofree char *name = g_strconcat(run->pool->name, ".xml", NULL);
    g_autofree char *path = g_build_filename(run->service->paths->pool_dir, name, NULL);
    g_autofree char *stored = definition_compared(definition_stored(path));
    g_autofree char *known = definition_compared(cst_pool_def_format(run->next_def, NULL));
    g_autofree char *stop = pool_command(run, "pool-destroy");
    g_autofree char *start = pool_command(run, "pool-start");
    struct stat st;

    if (run->is_redefined && start_would_change(run))
        doctor_report(run, "definition-pending", run->pool->name,
                      g_strconcat(stop, " && ", start, NULL),
                      _("the pool was redefined while it was active; the new definition is in "
                        "force from the next start on"));
    if (stored && known && strcmp(stored, known) != 0)
        doctor_report(run, "definition-changed", run->pool->name,
                      cst_doctor_command("cistern", "pool-define", path, NULL),
                      _("'%s' was edited, and differs from the definition that is in force"), path);
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        doctor_report(run, "definition-exposed", run->pool->name,
                      cst_doctor_command("chmod", "600", path, NULL),
                      _("other users can access '%s': its mode is %04o"), path, st.st_mode & 07777);
}

/* --- the state -------------------------------------------------------------------------------- */

static void inactive_check(DoctorRun *run)
{
    g_autofree char *problem = cst_pool_get_problem(run->pool);

    if (run->has_autostart && !run->is_starting)
        doctor_report_as(run, problem ? CST_SEVERITY_ERROR : CST_SEVERITY_WARNING,
                         "pool-not-started", run->pool->name, pool_command(run, "pool-start"), "%s",
                         problem ? problem : _("the pool has autostart, and is not active"));
}

static void health_check(DoctorRun *run)
{
    g_auto(CstPoolHealth) health = {0};
    g_autofree char *notes = NULL;

    if (!cst_pool_state_has_health(run->state) ||
        !cst_pool_state_health(run->state, TRUE, &health, NULL) ||
        (health.level != CST_HEALTH_DEGRADED && health.level != CST_HEALTH_FAILED))
        return;
    if (health.notes && health.notes->len > 0)
        notes = g_strconcat(": ", g_ptr_array_index(health.notes, 0), NULL);
    doctor_report_as(run,
                     health.level == CST_HEALTH_FAILED ? CST_SEVERITY_ERROR : CST_SEVERITY_WARNING,
                     "pool-degraded", run->pool->name, NULL, _("the storage reports %s%s"),
                     health.state ? health.state : "?", notes ? notes : "");
}

/* A writable directory without the sticky bit lets each user replace a disk. */
static void directory_check_mode(DoctorRun *run)
{
    const char *dir = run->def->target_path;
    struct stat st;

    if (!dir || !cst_pool_state_holds_images(run->state) || stat(dir, &st) < 0 ||
        (st.st_mode & (S_IWOTH | S_ISVTX)) != S_IWOTH)
        return;
    doctor_report(run, "directory-open-to-all", run->pool->name,
                  cst_doctor_command("chmod", "o-w", dir, NULL),
                  _("each user of the host can replace the disks in '%s': its mode is %04o"), dir,
                  st.st_mode & 07777);
}

/* A solid-state disk that gets no discards becomes slow, and thin storage below it fills up. */
static void discard_check(DoctorRun *run)
{
    const char *dir = run->def->target_path;
    guint64 rotates, longest;
    struct stat st;

    if (!dir || !cst_pool_state_holds_images(run->state) || stat(dir, &st) < 0 ||
        !doctor_queue_number(run, st.st_dev, "rotational", &rotates) ||
        !doctor_queue_number(run, st.st_dev, "discard_max_bytes", &longest) || rotates || longest)
        return;
    doctor_report(run, "discard-unsupported", run->pool->name, NULL,
                  _("the device that has '%s' accepts no discards, so space that guests free is "
                    "not given back to it"),
                  dir);
}

gboolean doctor_check_condition(DoctorRun *run)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *problem = NULL;

    if (run->state &&
        !cst_pool_state_await(run->state, g_get_monotonic_time() + DOCTOR_STORAGE_US, &why)) {
        doctor_report(run, "pool-not-answering", run->pool->name, NULL, "%s", why->message);
        return FALSE;
    }
    if (run->is_persistent)
        definition_check(run);
    if (!run->state) {
        inactive_check(run);
        return FALSE;
    }
    if (run->is_persistent && !run->has_autostart)
        doctor_report(run, "pool-not-autostarted", run->pool->name,
                      pool_command(run, "pool-autostart"),
                      _("the pool is active, and will not be after a restart of the host"));
    problem = cst_pool_get_problem(run->pool);
    if (problem)
        doctor_report(run, "pool-inaccessible", run->pool->name, pool_command(run, "pool-refresh"),
                      "%s", problem);
    return TRUE;
}

void doctor_check_storage(DoctorRun *run)
{
    health_check(run);
    directory_check_mode(run);
    discard_check(run);
}
