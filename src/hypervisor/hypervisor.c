/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Questions to libvirt, by a helper process for each question (see the header and helper.c).
 *
 * The helper ends at its own deadline, which begins when it has loaded its libraries. START_S is an
 * additional limit for a helper that does not get as far, for example because its file cannot be
 * read. An answer is bounded, and it is checked before it is used: its type, its length, the range
 * of each number, and the encoding of each text.
 *
 * A failure is remembered for each URI, so that a libvirt that hangs delays one caller in
 * CST_HYPERVISOR_FAILURE_S seconds and not each of them. The lock guards this memory only, and is
 * not held during a question.
 */
#include <hypervisor/hypervisor.h>

#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include <base/child.h>
#include <base/error.h>
#include <base/i18n.h>

#include "protocol.h"

#define PROGRAM "/proc/self/exe"
#define START_S 60

#define SYSTEM_URI     "qemu:///system"
#define SYSTEM_RUN_DIR "/run/libvirt"

typedef struct {
    gint64 until; /* monotonic microseconds */
    CstErrorCode code;
    char *message;
} Failure;

struct CstHypervisor {
    GStrv uris; /* NULL: the default */
    char *run_dir;
    unsigned deadline_s;
    GMutex lock;          /* guards @failures */
    GHashTable *failures; /* char * (a URI) to Failure * */
};

static void failure_free(Failure *failure)
{
    g_free(failure->message);
    g_free(failure);
}

CstHypervisor *cst_hypervisor_new(const char *const *uris, const char *run_dir, unsigned deadline_s)
{
    CstHypervisor *hypervisor = g_new0(CstHypervisor, 1);

    hypervisor->uris = g_strdupv((char **)uris);
    hypervisor->run_dir = g_strdup(run_dir);
    hypervisor->deadline_s = deadline_s;
    g_mutex_init(&hypervisor->lock);
    hypervisor->failures =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)failure_free);
    return hypervisor;
}

void cst_hypervisor_free(CstHypervisor *hypervisor)
{
    if (!hypervisor)
        return;
    g_strfreev(hypervisor->uris);
    g_free(hypervisor->run_dir);
    g_hash_table_unref(hypervisor->failures);
    g_mutex_clear(&hypervisor->lock);
    g_free(hypervisor);
}

/* --- connections ------------------------------------------------------------------------------ */

/*
 * Returns the URI of the default connection, or NULL if no socket of libvirt exists. Below another
 * root than "/" the URI names the socket.
 */
static char *default_connection(const char *run_dir)
{
    static const char *const names[] = {"virtqemud-sock", "libvirt-sock"};

    for (guint i = 0; run_dir && i < G_N_ELEMENTS(names); i++) {
        g_autofree char *socket = g_build_filename(run_dir, names[i], NULL);
        g_autofree char *escaped = NULL;

        if (!g_file_test(socket, G_FILE_TEST_EXISTS))
            continue;
        if (strcmp(run_dir, SYSTEM_RUN_DIR) == 0)
            return g_strdup(SYSTEM_URI);
        escaped = g_uri_escape_string(socket, "/", FALSE);
        return g_strconcat(SYSTEM_URI "?socket=", escaped, NULL);
    }
    return NULL;
}

static GStrv hypervisor_connections(const CstHypervisor *hypervisor)
{
    GStrv uris;

    if (hypervisor->uris)
        return g_strdupv(hypervisor->uris);
    uris = g_new0(char *, 2);
    uris[0] = default_connection(hypervisor->run_dir);
    return uris;
}

gboolean cst_hypervisor_is_used(const CstHypervisor *hypervisor)
{
    g_auto(GStrv) uris = hypervisor_connections(hypervisor);

    return uris[0] != NULL;
}

void cst_hypervisor_volume_set_file(CstHypervisorVolume *volume, int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return;
    volume->has_file = TRUE;
    volume->is_device = S_ISBLK(st.st_mode);
    volume->device = volume->is_device ? st.st_rdev : st.st_dev;
    volume->inode = volume->is_device ? 0 : st.st_ino;
}

/* --- remembered failures ---------------------------------------------------------------------- */

/* Returns FALSE with the remembered failure of @uri, if there is one. */
static gboolean hypervisor_check_failure(CstHypervisor *hypervisor, const char *uri, GError **error)
{
    const Failure *failure;
    gboolean failed;

    g_mutex_lock(&hypervisor->lock);
    failure = g_hash_table_lookup(hypervisor->failures, uri);
    failed = failure && g_get_monotonic_time() < failure->until;
    if (failed)
        cst_fail(error, failure->code, "%s", failure->message);
    g_mutex_unlock(&hypervisor->lock);
    return !failed;
}

static void hypervisor_remember_failure(CstHypervisor *hypervisor, const char *uri,
                                        const GError *why)
{
    Failure *failure = g_new0(Failure, 1);

    failure->until = g_get_monotonic_time() + CST_HYPERVISOR_FAILURE_S * G_TIME_SPAN_SECOND;
    failure->code = cst_error_code(why);
    failure->message = g_strdup(why->message);
    g_mutex_lock(&hypervisor->lock);
    g_hash_table_insert(hypervisor->failures, g_strdup(uri), failure);
    g_mutex_unlock(&hypervisor->lock);
}

/* --- a question ------------------------------------------------------------------------------- */

/* Implements CstChildTake: keeps the answer, up to its maximal length. */
static gboolean answer_keep(const void *bytes, size_t length, gpointer data, gboolean *ret_enough,
                            GError **error)
{
    GByteArray *answer = data;

    if (length > HYPERVISOR_ANSWER_MAX - answer->len)
        return cst_fail(error, CST_ERROR_LIMIT, _("the answer of libvirt has more than %d bytes"),
                        HYPERVISOR_ANSWER_MAX);
    g_byte_array_append(answer, bytes, (guint)length);
    return TRUE;
}

static GBytes *question_encode(const CstHypervisorVolume *volume)
{
    g_autoptr(GVariant) question = g_variant_ref_sink(
        g_variant_new(HYPERVISOR_QUESTION, volume->has_file, volume->is_device,
                      (guint64)volume->device, (guint64)volume->inode,
                      volume->pool ? volume->pool : "", volume->volume ? volume->volume : ""));

    return g_variant_get_data_as_bytes(question);
}

/* Runs the helper. Returns its answer, or NULL with an error. */
static GBytes *hypervisor_run_helper(const CstHypervisor *hypervisor, const char *uri,
                                     const CstHypervisorVolume *volume, CstTask *task,
                                     GError **error)
{
    g_autofree char *deadline = g_strdup_printf("%u", hypervisor->deadline_s);
    const char *const argv[] = {PROGRAM, HYPERVISOR_HELPER, uri, deadline, NULL};
    g_autoptr(GByteArray) answer = g_byte_array_new();
    const CstChildStream stream = {.take = answer_keep, .data = answer};
    g_autoptr(GBytes) question = question_encode(volume);
    CstChild child = {.argv = argv, .timeout_s = START_S, .stream = &stream};
    g_auto(CstChildResult) result = {0};

    child.input = g_bytes_get_data(question, &child.input_len);
    if (!cst_child_run(&child, task, &result, error))
        return NULL;
    if (result.status == 128 + SIGALRM) {
        cst_fail(error, CST_ERROR_TIMEOUT, _("libvirt at '%s' did not answer within %u s"), uri,
                 hypervisor->deadline_s);
        return NULL;
    }
    if (result.status != 0) {
        cst_fail(error, CST_ERROR_FAILED, _("the helper for libvirt at '%s' ended with status %d"),
                 uri, result.status);
        return NULL;
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&answer));
}

/* Takes the next row of the answer. Returns FALSE if a number is out of its range. */
static gboolean answer_add_row(GPtrArray *disks, GVariant *row)
{
    CstDomainDisk *disk = g_new0(CstDomainDisk, 1);
    guint32 state, agent, level;

    g_variant_get(row, HYPERVISOR_ROW, &disk->domain, &disk->uuid, &disk->target, &state, &agent,
                  &disk->reads_only, &disk->shareable, &level);
    disk->state = (CstDomainState)state;
    disk->agent = (CstDomainAgent)agent;
    disk->level = level;
    g_ptr_array_add(disks, disk);
    return state < CST_DOMAIN_STATE_LAST && agent < CST_DOMAIN_AGENT_LAST &&
           level < CST_DOMAIN_LAYERS_MAX;
}

static gboolean answer_add_rows(GPtrArray *disks, GVariant *rows)
{
    gsize count = g_variant_n_children(rows);
    gboolean valid = count <= HYPERVISOR_ROWS_MAX;

    for (gsize i = 0; valid && i < count; i++) {
        g_autoptr(GVariant) row = g_variant_get_child_value(rows, i);

        valid = answer_add_row(disks, row);
    }
    return valid;
}

/* Appends the disks of the answer to @disks. */
static gboolean answer_decode(GBytes *bytes, const char *uri, GPtrArray *disks, GError **error)
{
    g_autoptr(GVariant) answer = g_variant_ref_sink(
        g_variant_new_from_bytes(G_VARIANT_TYPE(HYPERVISOR_ANSWER), bytes, FALSE));
    g_autoptr(GVariant) rows = NULL;
    const char *message;
    guint32 outcome;

    if (!g_variant_is_normal_form(answer))
        return cst_fail(error, CST_ERROR_FAILED,
                        _("the helper for libvirt at '%s' sent a malformed answer"), uri);
    g_variant_get(answer, "(u&s@a" HYPERVISOR_ROW ")", &outcome, &message, &rows);
    if (outcome == HYPERVISOR_ABSENT)
        return TRUE;
    if (outcome == HYPERVISOR_FAILED)
        return cst_fail(error, CST_ERROR_FAILED, _("libvirt at '%s' failed: %s"), uri, message);
    return (outcome == HYPERVISOR_ANSWERED && answer_add_rows(disks, rows)) ||
           cst_fail(error, CST_ERROR_FAILED,
                    _("the helper for libvirt at '%s' sent a malformed answer"), uri);
}

static gboolean hypervisor_ask(CstHypervisor *hypervisor, const char *uri,
                               const CstHypervisorVolume *volume, CstTask *task, GPtrArray *disks,
                               GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) bytes = NULL;

    if (!hypervisor_check_failure(hypervisor, uri, error))
        return FALSE;
    bytes = hypervisor_run_helper(hypervisor, uri, volume, task, &why);
    if (bytes && answer_decode(bytes, uri, disks, &why))
        return TRUE;
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED))
        hypervisor_remember_failure(hypervisor, uri, why);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

GPtrArray *cst_hypervisor_find(CstHypervisor *hypervisor, const CstHypervisorVolume *volume,
                               CstTask *task, GError **error)
{
    g_auto(GStrv) uris = hypervisor_connections(hypervisor);
    g_autoptr(GPtrArray) disks =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);

    for (char **uri = uris; *uri; uri++)
        if (!hypervisor_ask(hypervisor, *uri, volume, task, disks, error))
            return NULL;
    return g_steal_pointer(&disks);
}
