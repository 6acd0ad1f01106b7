/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of the checks of the command doctor, their findings, and mutes. */
#include <model/doctor.h>

#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/* Sorted by id. A severity is that of most findings; a check may report a worse one. */
static const CstDoctorRule rules[] = {
    {"autoextend-by-dmeventd", CST_SEVERITY_NOTE},
    {"autoextend-off", CST_SEVERITY_WARNING},
    {"autostart-link-broken", CST_SEVERITY_WARNING},
    {"backing-format-differs", CST_SEVERITY_ERROR},
    {"backing-missing", CST_SEVERITY_ERROR},
    {"backing-not-readable", CST_SEVERITY_ERROR},
    {"backing-undeclared", CST_SEVERITY_WARNING},
    {"backup-too-old", CST_SEVERITY_WARNING},
    {"backup-unproven", CST_SEVERITY_WARNING},
    {"chain-loop", CST_SEVERITY_ERROR},
    {"chain-too-deep", CST_SEVERITY_WARNING},
    {"check-failed", CST_SEVERITY_WARNING},
    {"clock-apart", CST_SEVERITY_WARNING},
    {"content-differs", CST_SEVERITY_NOTE},
    {"data-file-undeclared", CST_SEVERITY_WARNING},
    {"definition-changed", CST_SEVERITY_WARNING},
    {"definition-exposed", CST_SEVERITY_WARNING},
    {"definition-pending", CST_SEVERITY_WARNING},
    {"directory-open-to-all", CST_SEVERITY_WARNING},
    {"discard-unsupported", CST_SEVERITY_NOTE},
    {"disk-immutable", CST_SEVERITY_ERROR},
    {"disk-in-use", CST_SEVERITY_NOTE},
    {"disk-not-readable", CST_SEVERITY_ERROR},
    {"disk-not-writable", CST_SEVERITY_ERROR},
    {"dmeventd-absent", CST_SEVERITY_WARNING},
    {"doctor-incomplete", CST_SEVERITY_WARNING},
    {"domain-disk-missing", CST_SEVERITY_WARNING},
    {"image-header-lost", CST_SEVERITY_ERROR},
    {"image-unusable", CST_SEVERITY_ERROR},
    {"inodes-nearly-used", CST_SEVERITY_WARNING},
    {"libvirt-not-answering", CST_SEVERITY_WARNING},
    {"mount-read-only", CST_SEVERITY_ERROR},
    {"multipath-one-path", CST_SEVERITY_WARNING},
    {"path-not-searchable", CST_SEVERITY_ERROR},
    {"pool-degraded", CST_SEVERITY_WARNING},
    {"pool-inaccessible", CST_SEVERITY_ERROR},
    {"pool-nearly-full", CST_SEVERITY_WARNING},
    {"pool-not-answering", CST_SEVERITY_ERROR},
    {"pool-not-autostarted", CST_SEVERITY_NOTE},
    {"pool-not-started", CST_SEVERITY_ERROR},
    {"pool-over-promised", CST_SEVERITY_NOTE},
    {"schedule-failed", CST_SEVERITY_WARNING},
    {"schedule-late", CST_SEVERITY_WARNING},
    {"schedule-matches-nothing", CST_SEVERITY_WARNING},
    {"schedule-paused", CST_SEVERITY_NOTE},
    {"secret-exposed", CST_SEVERITY_ERROR},
    {"secret-old", CST_SEVERITY_WARNING},
    {"secret-unreadable", CST_SEVERITY_ERROR},
    {"secret-unsealed", CST_SEVERITY_NOTE},
    {"secret-without-value", CST_SEVERITY_ERROR},
    {"sector-size", CST_SEVERITY_WARNING},
    {"selinux-label", CST_SEVERITY_ERROR},
    {"size-unaligned", CST_SEVERITY_WARNING},
    {"snapshot-old", CST_SEVERITY_NOTE},
    {"snapshots-many", CST_SEVERITY_NOTE},
    {"space-lost", CST_SEVERITY_ERROR},
    {"space-nearly-full", CST_SEVERITY_WARNING},
    {"trash-large", CST_SEVERITY_NOTE},
    {"volume-orphaned", CST_SEVERITY_NOTE},
    {0},
};

const CstDoctorRule *cst_doctor_rules(void)
{
    return rules;
}

const CstDoctorRule *cst_doctor_rule(const char *id)
{
    for (const CstDoctorRule *rule = rules; rule->id; rule++)
        if (strcmp(rule->id, id) == 0)
            return rule;
    return NULL;
}

/* --- findings --------------------------------------------------------------------------------- */

void cst_doctor_finding_free(CstDoctorFinding *finding)
{
    if (!finding)
        return;
    g_free(finding->id);
    g_free(finding->object);
    g_free(finding->evidence);
    g_free(finding->repair);
    g_free(finding);
}

GPtrArray *cst_doctor_findings_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)cst_doctor_finding_free);
}

void cst_doctor_findings_add(GPtrArray *findings, const char *id, CstSeverity severity,
                             const char *object, char *repair, char *evidence)
{
    CstDoctorFinding *finding = g_new0(CstDoctorFinding, 1);

    *finding = (CstDoctorFinding){
        .id = g_strdup(id),
        .severity = severity,
        .object = g_strdup(object),
        .evidence = evidence,
        .repair = repair,
    };
    g_ptr_array_add(findings, finding);
}

/* Whether a POSIX shell takes each character of @word literally. */
static gboolean word_is_plain(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "@%+=:,./-_";

    return *word && word[strspn(word, plain)] == '\0';
}

char *cst_doctor_command(const char *first, ...)
{
    GString *line = g_string_new(first);
    g_autoptr(GString) rest = NULL;
    gboolean is_option = FALSE;
    const char *word;
    va_list words;

    va_start(words, first);
    while ((word = va_arg(words, const char *))) {
        g_autofree char *quoted = word_is_plain(word) ? g_strdup(word) : g_shell_quote(word);

        if (!rest && strcmp(word, "--") == 0) {
            rest = g_string_new(NULL);
            continue;
        }
        is_option = is_option || (rest && *word == '-');
        g_string_append_printf(rest ? rest : line, " %s", quoted);
    }
    va_end(words);
    if (is_option)
        g_string_append(line, " --");
    if (rest)
        g_string_append(line, rest->str);
    return g_string_free(line, FALSE);
}

static int finding_compare(gconstpointer a, gconstpointer b)
{
    const CstDoctorFinding *first = *(CstDoctorFinding *const *)a;
    const CstDoctorFinding *second = *(CstDoctorFinding *const *)b;
    int order = (int)second->severity - (int)first->severity;

    if (order == 0)
        order = strcmp(first->id, second->id);
    return order ? order : strcmp(first->object, second->object);
}

void cst_doctor_findings_sort(GPtrArray *findings)
{
    g_ptr_array_sort(findings, finding_compare);
}

/* --- mutes ------------------------------------------------------------------------------------ */

void cst_doctor_mute_free(CstDoctorMute *mute)
{
    if (!mute)
        return;
    g_free(mute->id);
    g_free(mute->object);
    g_free(mute);
}

gboolean cst_doctor_mute_check(const CstDoctorMute *mute, int64_t now, GError **error)
{
    if (!cst_doctor_rule(mute->id))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("there is no check '%s'; 'doctor' prints the names of checks"), mute->id);
    if (strlen(mute->object) > CST_DOCTOR_OBJECT_MAX || !g_utf8_validate(mute->object, -1, NULL))
        return cst_fail(error, CST_ERROR_INVALID, _("the object of a mute of '%s' is no name"),
                        mute->id);
    if ((int)mute->severity < 0 || mute->severity >= CST_SEVERITY_LAST)
        return cst_fail(error, CST_ERROR_INVALID, _("the severity of a mute of '%s' is unknown"),
                        mute->id);
    return mute->until > now ||
           cst_fail(error, CST_ERROR_INVALID, _("the end of the mute of '%s' is not in the future"),
                    mute->id);
}

static gboolean mute_hides(const CstDoctorMute *mute, const CstDoctorFinding *finding, int64_t now)
{
    return mute->until > now && finding->severity <= mute->severity &&
           strcmp(mute->id, finding->id) == 0 &&
           (!*mute->object || strcmp(mute->object, finding->object) == 0);
}

void cst_doctor_findings_mute(const GPtrArray *findings, const GPtrArray *mutes, int64_t now)
{
    for (guint i = 0; i < findings->len; i++) {
        CstDoctorFinding *finding = findings->pdata[i];

        for (guint j = 0; j < mutes->len; j++)
            if (mute_hides(mutes->pdata[j], finding, now))
                finding->muted = MAX(finding->muted, ((CstDoctorMute *)mutes->pdata[j])->until);
    }
}
