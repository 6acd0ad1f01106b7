/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Node records and their CHAP values.
 *
 * iscsiadm accepts a value only on its command line, where every user of the host can read it. It
 * reads no input. The library of open-iscsi cannot write records, and the structure on iscsid's
 * socket depends on the version. Therefore iscsiadm creates the record without secrets. Then the
 * values are written into the record's file, which has lines "name = value" and is replaced as a
 * whole. The file has mode 600, as iscsiadm creates it under our umask. iscsid reads the file again
 * after a restart, so it is kept while the pool is active.
 *
 * iscsiadm's lock is a file that survives a killed process and then blocks all access to the
 * database. This code does not acquire that lock. No other program has a reason to change a record
 * of our interfaces. A reader sees either the old or the new file.
 */
#include "iscsi.h"

#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/units.h>

#define AUTH_PREFIX "node.session.auth."
#define FIRST_LINE  "# BEGIN RECORD"

/* RECORD_MAX: a record has about 60 short lines. */
#define INITIATOR_FILE "initiatorname.iscsi"
#define INITIATOR_MAX  (64 * CST_KIB)
#define INITIATOR_KEY  "InitiatorName="
#define RECORD_MAX     (256 * CST_KIB)

/* --- secrets ---------------------------------------------------------------------------------- */

static void record_secret_wipe(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    g_clear_pointer(text, g_free);
}

/* Returns whether a line of a record can contain the value. iscsiadm strips blanks at both ends. */
static gboolean fits_in_line(const char *value, size_t len)
{
    if (len == 0 || len > CST_CHAP_MAX || value[0] == ' ' || value[len - 1] == ' ')
        return FALSE;
    for (size_t i = 0; i < len; i++)
        if (g_ascii_iscntrl(value[i]))
            return FALSE;
    return TRUE;
}

static gboolean check_value(const char *user, const CstSecretBytes *value, GError **error)
{
    return !value->data || fits_in_line((const char *)value->data, value->len) ||
           cst_fail(error, CST_ERROR_INVALID_SECRET,
                    _("the secret for CHAP user '%s' is no password that open-iscsi can keep: it "
                      "takes 1 to %d printable characters"),
                    user, CST_CHAP_MAX);
}

static gboolean record_check_user(const char *user, GError **error)
{
    return !user || fits_in_line(user, strlen(user)) ||
           cst_fail(error, CST_ERROR_CONFIG,
                    _("the user name for CHAP has to have 1 to %d printable characters"),
                    CST_CHAP_MAX);
}

gboolean iscsi_chap_read(const CstPoolState *state, CstChap *ret_chap, GError **error)
{
    return cst_chap_read(state, ret_chap, error) && record_check_user(ret_chap->user, error) &&
           record_check_user(ret_chap->user_in, error) &&
           check_value(ret_chap->user, &ret_chap->password, error) &&
           check_value(ret_chap->user_in, &ret_chap->password_in, error);
}

/* --- the text of a record --------------------------------------------------------------------- */

static void record_append_value(GString *text, const char *name, const char *value)
{
    if (value)
        g_string_append_printf(text, AUTH_PREFIX "%s = %s\n", name, value);
}

static void append_chap(GString *text, const CstChap *chap)
{
    record_append_value(text, "authmethod", chap->user ? "CHAP" : "None");
    record_append_value(text, "username", chap->user);
    record_append_value(text, "password", (const char *)chap->password.data);
    record_append_value(text, "username_in", chap->user_in);
    record_append_value(text, "password_in", (const char *)chap->password_in.data);
}

/*
 * Returns whether a line has a CHAP value. "…auth.chap_algs" is not included, because the host's
 * administrator chooses the algorithms.
 */
static gboolean is_value(const char *line, size_t len)
{
    static const char *const names[] = {
        "authmethod",  "username",           "password",        "username_in",
        "password_in", "username_in_length", "password_length", "password_in_length"};

    if (strncmp(line, AUTH_PREFIX, strlen(AUTH_PREFIX)) != 0)
        return FALSE;
    line += strlen(AUTH_PREFIX);
    len -= strlen(AUTH_PREFIX);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        size_t n = strlen(names[i]);

        if (len > n && strncmp(line, names[i], n) == 0 && (line[n] == ' ' || line[n] == '='))
            return TRUE;
    }
    return FALSE;
}

/*
 * The buffer has its full size from the start, so that no reallocation leaves a copy of a secret in
 * memory.
 */
char *iscsi_record_with(const char *text, const CstChap *chap)
{
    GString *out = g_string_sized_new(strlen(text) + 6 * (CST_CHAP_MAX + 64));
    gboolean done = FALSE;

    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        size_t whole = len + (line[len] == '\n');

        if (!is_value(line, len))
            g_string_append_len(out, line, (gssize)whole);
        if (!done && g_str_has_prefix(line, FIRST_LINE)) {
            append_chap(out, chap);
            done = TRUE;
        }
        line += whole;
    }
    if (!done)
        append_chap(out, chap);
    return g_string_free(out, FALSE);
}

/* --- files ------------------------------------------------------------------------------------ */

/* Returns the directory of the record in a database: "nodes/IQN/10.0.0.1,3260,1". */
static char *record_dir(const IscsiNode *node, const char *database)
{
    g_autofree char *portal = g_strdup_printf("%s,%u,%u", node->address, node->port, node->tpgt);

    return g_build_filename(database, "nodes", node->target, portal, NULL);
}

/*
 * First removes temporary files of a dead process, which would prevent iscsiadm from removing the
 * directory.
 */
static gboolean write_chap_to(const char *dir, const char *path, const CstChap *chap,
                              GError **error)
{
    g_autofree char *text = NULL;
    char *with = NULL;
    gboolean done;

    cst_file_drop_temporaries(dir);
    if (!cst_file_read(path, RECORD_MAX, &text, NULL, error))
        return FALSE;
    with = iscsi_record_with(text, chap);
    record_secret_wipe(&text);
    done = cst_file_replace(path, with, strlen(with), 0600, error);
    record_secret_wipe(&with);
    return done;
}

static gboolean write_chap(const IscsiNode *node, const CstChap *chap, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(iscsi_host.databases); i++) {
        g_autofree char *dir = record_dir(node, iscsi_host.databases[i]);
        g_autofree char *path = g_build_filename(dir, node->iface, NULL);

        if (g_file_test(path, G_FILE_TEST_EXISTS))
            return write_chap_to(dir, path, chap, error);
    }
    return cst_fail(error, CST_ERROR_NOT_FOUND,
                    _("'iscsiadm' claims to have made the record of target '%s', but neither '%s' "
                      "nor '%s' has it"),
                    node->target, iscsi_host.databases[0], iscsi_host.databases[1]);
}

/* --- records ---------------------------------------------------------------------------------- */

char *iscsi_portal(const IscsiNode *node)
{
    return g_strdup_printf(strchr(node->address, ':') ? "[%s]:%u,%u" : "%s:%u,%u", node->address,
                           node->port, node->tpgt);
}

/*
 * Sets startup to manual, because the pool logs in and not the boot of the host. Limits the login
 * retries, so that iscsiadm gives up (2 x 15 s) before our own timeout.
 */
gboolean iscsi_record_make(const IscsiNode *node, const CstChap *chap, GError **error)
{
    g_autofree char *portal = iscsi_portal(node);
    const char *const make[] = {"-m", "node",      "-T", node->target, "-p", portal,
                                "-I", node->iface, "-o", "new",        NULL};
    const char *const update[] = {"-m", "node",   "-T", node->target,
                                  "-p", portal,   "-I", node->iface,
                                  "-o", "update", "-n", "node.startup",
                                  "-v", "manual", "-n", "node.session.initial_login_retry_max",
                                  "-v", "2",      NULL};

    return iscsi_run(make, iscsi_host.change_s, ISCSI_DONE, NULL, error) &&
           iscsi_run(update, iscsi_host.change_s, ISCSI_DONE, NULL, error) &&
           write_chap(node, chap, error);
}

/* Returns the directories of the target's records, one for each portal. */
static GPtrArray *record_dirs(const char *target)
{
    GPtrArray *dirs = g_ptr_array_new_with_free_func(g_free);

    for (size_t i = 0; i < G_N_ELEMENTS(iscsi_host.databases); i++) {
        g_autofree char *of = g_build_filename(iscsi_host.databases[i], "nodes", target, NULL);
        g_auto(GStrv) portals = cst_kernel_list(of);

        for (char **portal = portals; *portal; portal++)
            g_ptr_array_add(dirs, g_build_filename(of, *portal, NULL));
    }
    return dirs;
}

static void drop_unfinished(const char *target)
{
    g_autoptr(GPtrArray) dirs = record_dirs(target);

    for (guint i = 0; i < dirs->len; i++)
        cst_file_drop_temporaries(g_ptr_array_index(dirs, i));
}

gboolean iscsi_records_renew(const char *target, const char *iface, const CstChap *chap,
                             GError **error)
{
    g_autoptr(GPtrArray) dirs = record_dirs(target);

    for (guint i = 0; i < dirs->len; i++) {
        const char *dir = g_ptr_array_index(dirs, i);
        g_autofree char *path = g_build_filename(dir, iface, NULL);

        if (g_file_test(path, G_FILE_TEST_EXISTS) && !write_chap_to(dir, path, chap, error))
            return FALSE;
    }
    return TRUE;
}

gboolean iscsi_records_remove(const char *target, const char *iface, GError **error)
{
    const char *const args[] = {"-m", "node", "-T", target, "-I", iface, "-o", "delete", NULL};

    drop_unfinished(target);
    return iscsi_run(args, iscsi_host.change_s, ISCSI_NO_OBJECTS, NULL, error);
}

/* --- the host --------------------------------------------------------------------------------- */

char *iscsi_host_initiator(GError **error)
{
    g_autofree char *path = g_build_filename(iscsi_host.config, INITIATOR_FILE, NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!cst_file_read(path, INITIATOR_MAX, &text, NULL, error))
        return NULL;
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        if (g_str_has_prefix(g_strstrip(*line), INITIATOR_KEY))
            return g_strdup(g_strstrip(*line + strlen(INITIATOR_KEY)));
    cst_fail(error, CST_ERROR_CONFIG, _("'%s' has no line '%s…'"), path, INITIATOR_KEY);
    return NULL;
}
