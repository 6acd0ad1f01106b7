/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The actions that are commands of their own: backup-create and backup-forget, backup-prove,
 * vol-check, trash-empty. The id of a backup is its identity.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <conn/secrets.h>
#include <schedule/selector.h>

#include "output/filter.h"
#include "output/progress.h"
#include "program.h"
#include "schedule.h"

#define DAY_S 86400

/* Adds the options of the schedule that have the same name in the command. */
static void words_add_options(const ScheduleWork *work, GPtrArray *words, const char *const *names)
{
    for (guint i = 0; names[i]; i++) {
        const char *value = cst_schedule_option(work->schedule, names[i]);

        if (value)
            schedule_words_add(words, "--%s=%s", names[i], value);
    }
}

static const char *const key_options[] = {"secret", "key-file", NULL};

/* Returns the words "COMMAND REPO". The caller drops the array. */
static GPtrArray *repo_words(const ScheduleWork *work, const char *command)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

    schedule_words_add(words, "%s", command);
    schedule_words_add(words, "%s", cst_schedule_option(work->schedule, "repo"));
    words_add_options(work, words, key_options);
    return words;
}

/* --- backup ----------------------------------------------------------------------------------- */

/* Whether a selector names the machine, so that all its disks are selected. */
static gboolean machine_is_selected(const ScheduleWork *work, const char *machine)
{
    for (char **on = work->schedule->on; *on; on++) {
        g_autoptr(CstSelector) selector = cst_selector_parse(*on, NULL);

        if (selector && selector->kind == CST_SELECT_MACHINE &&
            strcmp(selector->pattern, machine) == 0)
            return TRUE;
    }
    return FALSE;
}

/* Adds the machines and the volumes of the selectors. */
static gboolean backup_add_objects(ScheduleWork *work, GPtrArray *words, GError **error)
{
    g_autoptr(GPtrArray) groups = schedule_select(work, error);

    for (guint i = 0; groups && i < groups->len; i++) {
        const ScheduleGroup *group = groups->pdata[i];

        if (group->machine && machine_is_selected(work, group->machine)) {
            schedule_words_add(words, "--machine=%s", group->machine);
            continue;
        }
        for (guint j = 0; j < group->vols->len; j++) {
            const CstVolRef *vol = group->vols->pdata[j];

            schedule_words_add(words, "%s/%s", vol->pool, vol->name);
        }
    }
    return groups != NULL;
}

/*
 * Returns the tag that connects a backup with a run: "schedule-UUID:PLANNED". A run that was killed
 * could not record its backup. The caller frees it.
 */
static char *run_tag(const ScheduleWork *work, int64_t planned)
{
    char uuid[CST_UUID_TEXT_LEN];

    return g_strdup_printf("schedule-%s:%" PRId64, cst_uuid_format(&work->schedule->uuid, uuid),
                           planned);
}

static gboolean backup_record(ScheduleWork *work, const char *id, int64_t planned, GError **error)
{
    g_autoptr(GPtrArray) copies =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_schedule_copy_free);
    CstScheduleCopy *copy = g_new0(CstScheduleCopy, 1);

    *copy = (CstScheduleCopy){
        .place = g_strdup(cst_schedule_option(work->schedule, "repo")),
        .pool = g_strdup(""),
        .volume = g_strdup(""),
        .name = g_strdup(id),
        .time = planned,
        .created = planned,
    };
    g_ptr_array_add(copies, copy);
    work->run.made++;
    return cst_conn_schedule_set_copies(work->ctl->conn, work->schedule->name, copies, error);
}

static gboolean backup_is_recorded(const ScheduleWork *work, const GPtrArray *copies,
                                   const char *id)
{
    const char *repo = cst_schedule_option(work->schedule, "repo");

    for (guint i = 0; i < copies->len; i++) {
        const CstScheduleCopy *copy = copies->pdata[i];

        if (strcmp(copy->place, repo) == 0 && strcmp(copy->name, id) == 0)
            return TRUE;
    }
    return FALSE;
}

/* Finds the time in the tags of a backup, which have commas. FALSE: another program made it. */
static gboolean tags_find_run(const ScheduleWork *work, const char *tags, int64_t *ret_planned)
{
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *start =
        g_strconcat("schedule-", cst_uuid_format(&work->schedule->uuid, uuid), ":", NULL);
    g_auto(GStrv) each = g_strsplit(tags, ",", -1);

    for (char **tag = each; *tag; tag++)
        if (g_str_has_prefix(*tag, start))
            return g_ascii_string_to_signed(*tag + strlen(start), 10, 0, G_MAXINT64, ret_planned,
                                            NULL);
    return FALSE;
}

/*
 * Records the backups of runs that were killed before they recorded them. *ret_made: one of them is
 * of this run's time, so the run has nothing more to make.
 */
static gboolean backups_adopt(ScheduleWork *work, gboolean *ret_made, GError **error)
{
    static const char *const members[] = {"id", "tags", NULL};
    g_autoptr(GPtrArray) words = repo_words(work, "backup-list");
    g_autoptr(GPtrArray) copies =
        cst_conn_schedule_copies(work->ctl->conn, work->schedule->name, error);
    g_autoptr(GPtrArray) backups =
        copies ? schedule_program_list(work->ctl, words, "backups", members, error) : NULL;

    for (guint i = 0; backups && i < backups->len; i++) {
        char **backup = backups->pdata[i];
        int64_t planned;

        if (!tags_find_run(work, backup[1], &planned) ||
            backup_is_recorded(work, copies, backup[0]))
            continue;
        if (!backup_record(work, backup[0], planned, error))
            return FALSE;
        *ret_made |= planned == work->run.planned;
    }
    return backups != NULL;
}

static gboolean backup_create(ScheduleWork *work, GError **error)
{
    static const char *const options[] = {"consistency", "rate-limit", NULL};
    g_autoptr(GPtrArray) words = repo_words(work, "backup-create");
    g_autofree char *tag = run_tag(work, work->run.planned);
    g_autofree char *id = NULL;
    g_autoptr(GError) why = NULL;
    gboolean done;

    words_add_options(work, words, options);
    schedule_words_add(words, "--incremental");
    schedule_words_add(words, "--tag=schedule-%s,%s", work->schedule->name, tag);
    if (!backup_add_objects(work, words, error))
        return FALSE;
    done = schedule_program(work->ctl, words, "backup", &id, &why);
    if (id && !work->ctl->settings.dry_run && !backup_record(work, id, work->run.planned, error))
        return FALSE;
    /* A backup without some of the volumes exists, and is counted. */
    if (done || g_error_matches(why, CST_ERROR, CST_ERROR_PARTIAL))
        work->done++;
    if (!done)
        schedule_add_failure(work, cst_schedule_option(work->schedule, "repo"),
                             g_steal_pointer(&why));
    return TRUE;
}

gboolean schedule_run_backup(ScheduleWork *work, GError **error)
{
    g_autoptr(GError) why = NULL;
    gboolean made = FALSE;

    if (work->ctl->settings.dry_run || backups_adopt(work, &made, &why)) {
        work->done += made;
        return made || backup_create(work, error);
    }
    return schedule_fail_object(work, cst_schedule_option(work->schedule, "repo"),
                                g_steal_pointer(&why), error);
}

/* Returns the copies that no rule keeps, borrowed from @copies. The caller drops the array. */
static GPtrArray *backups_to_forget(const ScheduleWork *work, const GPtrArray *copies)
{
    const char *repo = cst_schedule_option(work->schedule, "repo");
    g_autoptr(GArray) times = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autoptr(GPtrArray) here = g_ptr_array_new();
    g_autoptr(GPtrArray) reasons = NULL;
    GPtrArray *forget = g_ptr_array_new();

    for (guint i = 0; i < copies->len; i++) {
        const CstScheduleCopy *copy = copies->pdata[i];

        /* A copy of the future was made under a wrong clock. It stays until its time. */
        if (strcmp(copy->place, repo) != 0 || copy->time > work->run.planned)
            continue;
        g_array_append_val(times, copy->time);
        g_ptr_array_add(here, copies->pdata[i]);
    }
    reasons =
        cst_schedule_decide(work->schedule, (const gint64 *)times->data, times->len, work->zone);
    for (guint i = 0; i < here->len; i++)
        if (!reasons->pdata[i] && g_array_index(times, gint64, i) != work->run.planned)
            g_ptr_array_add(forget, here->pdata[i]);
    return forget;
}

/* A backup that a person has removed already is no failure. */
static gboolean backup_forget(ScheduleWork *work, const CstScheduleCopy *copy, GError **error)
{
    g_autoptr(GPtrArray) words = repo_words(work, "backup-forget");
    g_autoptr(GError) why = NULL;

    schedule_words_add(words, "--yes");
    schedule_words_add(words, "--");
    schedule_words_add(words, "%s", copy->name);
    if (schedule_program(work->ctl, words, NULL, NULL, &why))
        work->run.removed++;
    else if (!g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return TRUE;
}

gboolean schedule_prune_backups(ScheduleWork *work, GError **error)
{
    g_autoptr(GPtrArray) copies =
        cst_conn_schedule_copies(work->ctl->conn, work->schedule->name, error);
    g_autoptr(GPtrArray) forget = copies ? backups_to_forget(work, copies) : NULL;
    g_autoptr(GPtrArray) words = repo_words(work, "backup-prune");
    guint32 removed = work->run.removed;

    for (guint i = 0; forget && i < forget->len; i++)
        if (!backup_forget(work, forget->pdata[i], error))
            return FALSE;
    if (!forget ||
        (forget->len > 0 && !cst_conn_schedule_forget_copies(work->ctl->conn, forget, error)))
        return FALSE;
    return work->run.removed == removed || schedule_program(work->ctl, words, NULL, NULL, error);
}

/* --- prove, check, trash-empty ---------------------------------------------------------------- */

/* Runs a command whose failure is the failure of the action. */
static gboolean run_one(ScheduleWork *work, const GPtrArray *words, const char *object,
                        GError **error)
{
    g_autoptr(GError) why = NULL;

    if (schedule_program(work->ctl, words, NULL, NULL, &why)) {
        work->done++;
        return TRUE;
    }
    return schedule_fail_object(work, object, g_steal_pointer(&why), error);
}

gboolean schedule_run_prove(ScheduleWork *work, GError **error)
{
    static const char *const options[] = {"rate-limit", NULL};
    g_autoptr(GPtrArray) words = repo_words(work, "backup-prove");

    words_add_options(work, words, options);
    if (g_strcmp0(cst_schedule_option(work->schedule, "boot"), "yes") == 0)
        schedule_words_add(words, "--boot");
    schedule_words_add(words, "latest");
    return run_one(work, words, cst_schedule_option(work->schedule, "repo"), error);
}

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    uint64_t rate; /* bytes per second; 0: no limit */
    CstCheckReport report;
} CheckTask;

static gboolean run_check(CstTask *task, gpointer data, GError **error)
{
    CheckTask *check = data;

    cst_task_set_rate(task, check->rate);
    return cst_conn_vol_check(check->conn, check->vol, 0, task, &check->report, error);
}

/* Checks the image of a volume. A format without metadata has no check. */
static gboolean vol_check(ScheduleWork *work, const CstVolRef *vol, uint64_t rate, GError **error)
{
    g_autofree char *text = g_strconcat(vol->pool, "/", vol->name, NULL);
    CheckTask check = {.conn = work->ctl->conn, .vol = vol, .rate = rate};
    g_auto(CstCheckReport) report = {0};
    g_autoptr(GError) why = NULL;
    gboolean checked = cli_run_task(work->ctl, _("Checking"), run_check, &check, &why);

    report = check.report;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_BUSY)) {
        schedule_add_skip(work, text, why->message);
        return TRUE;
    }
    if (!checked && !g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return schedule_fail_object(work, text, g_steal_pointer(&why), error);
    g_clear_error(&why);
    if (report.errors == 0) {
        work->done++;
        return TRUE;
    }
    cst_fail(&why, CST_ERROR_MISMATCH,
             ngettext("the image has %" PRIu64 " error", "the image has %" PRIu64 " errors",
                      report.errors),
             report.errors);
    schedule_add_failure(work, text, g_steal_pointer(&why));
    return TRUE;
}

gboolean schedule_run_check(ScheduleWork *work, GError **error)
{
    const char *limit = cst_schedule_option(work->schedule, "rate-limit");
    g_autoptr(GPtrArray) groups = NULL;
    uint64_t rate = 0;

    if (limit && !cst_units_parse(limit, 1, &rate, error))
        return FALSE;
    groups = schedule_select(work, error);
    for (guint i = 0; groups && i < groups->len; i++) {
        const ScheduleGroup *group = groups->pdata[i];

        for (guint j = 0; j < group->vols->len; j++)
            if (!vol_check(work, group->vols->pdata[j], rate, error))
                return FALSE;
    }
    return groups != NULL;
}

/* Without a selector the trash of all active pools is emptied. */
gboolean schedule_run_trash_empty(ScheduleWork *work, GError **error)
{
    static const char *const options[] = {"older-than", NULL};
    static char all_pools[] = "";
    char *const all[] = {all_pools, NULL};

    for (char *const *on = *work->schedule->on ? work->schedule->on : all; *on; on++) {
        g_autoptr(CstSelector) selector = **on ? cst_selector_parse(*on, NULL) : NULL;
        g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

        schedule_words_add(words, "trash-empty");
        schedule_words_add(words, "--yes");
        words_add_options(work, words, options);
        if (selector)
            schedule_words_add(words, "--pool=%s", selector->pool);
        if (!run_one(work, words, selector ? selector->pool : _("all pools"), error))
            return FALSE;
    }
    return TRUE;
}

/* --- rotate-check ----------------------------------------------------------------------------- */

/* Returns the maximum age of a value in seconds; 0: that of the setting secret_max_age. */
static gboolean max_age_read(const CstSchedule *schedule, uint64_t *ret_age, GError **error)
{
    const char *text = cst_schedule_option(schedule, "older-than");

    *ret_age = 0;
    return !text || cst_units_parse_seconds(text, ret_age) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("--older-than '%s' is no duration; give a number followed by s, m, h or d"),
                    text);
}

gboolean schedule_run_rotate_check(ScheduleWork *work, GError **error)
{
    g_autoptr(GPtrArray) uses = cst_conn_secret_uses(work->ctl->conn, error);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    uint64_t age;

    if (!uses || !max_age_read(work->schedule, &age, error))
        return FALSE;
    for (guint i = 0; i < uses->len; i++) {
        const CstSecretUse *use = uses->pdata[i];
        char uuid[CST_UUID_TEXT_LEN];
        g_autoptr(GError) why = NULL;
        gint64 days = (now - use->changed) / DAY_S;

        if (!use->changed || !(age ? now - use->changed > (gint64)age : use->overdue)) {
            work->done++;
            continue;
        }
        cst_fail(&why, CST_ERROR_STATE,
                 ngettext("its value is %" PRId64 " day old; secret-rotate replaces it",
                          "its value is %" PRId64 " days old; secret-rotate replaces it",
                          (unsigned long)days),
                 days);
        schedule_add_failure(work, cst_uuid_format(&use->uuid, uuid), g_steal_pointer(&why));
    }
    return TRUE;
}
