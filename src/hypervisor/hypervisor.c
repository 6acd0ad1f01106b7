/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Questions to libvirt, by a helper process for each question (see the header and helper.c).
 *
 * The helper ends at its own deadline, which begins when it has loaded its libraries.
 * HYPERVISOR_START_S is an additional limit for a helper that does not get as far, for example
 * because its file cannot be read. An answer is bounded, and it is checked before it is used
 * (question.c).
 *
 * One helper runs for each URI. Further callers wait for it in hypervisor_begin(), so that a
 * libvirt that hangs occupies one process. Its failure is remembered for each URI, and the waiting
 * callers fail with it at once. A failure of one question only is not remembered. The lock guards
 * this state, and is not held during a question.
 */
#include <inttypes.h>

#include <hypervisor/hypervisor.h>

#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include <base/child.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/text.h>

#include "connection.h"
#include "question.h"

#define POLL_US (100 * G_TIME_SPAN_MILLISECOND) /* for a cancelled task */

#define SYSTEM_URI     "qemu:///system"
#define SYSTEM_RUN_DIR "/run/libvirt"

typedef struct {
    gint64 until; /* monotonic microseconds */
    CstErrorCode code;
    char *message;
} Failure;

/* A change of a disk that libvirt may still make. */
typedef struct {
    gint64 until; /* monotonic microseconds */
    uint64_t bytes;
} LateChange;

struct CstHypervisor {
    GStrv uris; /* NULL: the default */
    char *run_dir;
    unsigned deadline_s;
    GMutex lock;          /* guards the members below */
    GCond ended;          /* a question ended */
    GHashTable *failures; /* char * (a URI) to Failure * */
    GHashTable *asked;    /* of char *: the URIs with a helper */
    GHashTable *late;     /* char * (late_key()) to LateChange * */
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
    g_cond_init(&hypervisor->ended);
    hypervisor->asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    hypervisor->late = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
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
    g_hash_table_unref(hypervisor->asked);
    g_hash_table_unref(hypervisor->late);
    g_cond_clear(&hypervisor->ended);
    g_mutex_clear(&hypervisor->lock);
    g_free(hypervisor);
}

/* --- connections ------------------------------------------------------------------------------ */

/* Whether @socket is a link to the socket of the storage daemon, which has no domains. */
static gboolean is_storage_socket(const char *run_dir, const char *socket)
{
    g_autofree char *storage = g_build_filename(run_dir, "virtstoraged-sock", NULL);
    struct stat own, other;

    return cst_node_stat(storage, &own) && cst_node_stat(socket, &other) &&
           own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

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

        if (!g_file_test(socket, G_FILE_TEST_EXISTS) || is_storage_socket(run_dir, socket))
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

unsigned hypervisor_deadline(const CstHypervisor *hypervisor)
{
    return hypervisor->deadline_s;
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

/* --- one question at a time ------------------------------------------------------------------- */

/* Reports the remembered failure of @uri, if there is one. The caller holds the lock. */
static gboolean hypervisor_check_failure(CstHypervisor *hypervisor, const char *uri, GError **error)
{
    const Failure *failure = g_hash_table_lookup(hypervisor->failures, uri);

    if (!failure || g_get_monotonic_time() >= failure->until)
        return TRUE;
    return cst_fail(error, failure->code, "%s", failure->message);
}

gboolean hypervisor_begin(CstHypervisor *hypervisor, const char *uri, CstTask *task, GError **error)
{
    gint64 until =
        g_get_monotonic_time() + (hypervisor->deadline_s + HYPERVISOR_START_S) * G_TIME_SPAN_SECOND;
    gboolean waits = TRUE, ok = TRUE;

    g_mutex_lock(&hypervisor->lock);
    while (ok && waits) {
        ok = hypervisor_check_failure(hypervisor, uri, error);
        waits = g_hash_table_contains(hypervisor->asked, uri);
        if (ok && waits && cst_task_cancelled(task))
            ok = cst_task_check(task, error);
        if (ok && waits && g_get_monotonic_time() >= until)
            ok = cst_fail(error, CST_ERROR_TIMEOUT,
                          _("libvirt at '%s' is busy with earlier questions"), uri);
        if (ok && waits)
            g_cond_wait_until(&hypervisor->ended, &hypervisor->lock,
                              g_get_monotonic_time() + POLL_US);
    }
    if (ok)
        g_hash_table_add(hypervisor->asked, g_strdup(uri));
    g_mutex_unlock(&hypervisor->lock);
    return ok;
}

void hypervisor_end(CstHypervisor *hypervisor, const char *uri, const GError *failure)
{
    g_mutex_lock(&hypervisor->lock);
    g_hash_table_remove(hypervisor->asked, uri);
    if (failure) {
        Failure *remembered = g_new0(Failure, 1);

        remembered->until = g_get_monotonic_time() + CST_HYPERVISOR_FAILURE_S * G_TIME_SPAN_SECOND;
        remembered->code = cst_error_code(failure);
        remembered->message = g_strdup(failure->message);
        g_hash_table_insert(hypervisor->failures, g_strdup(uri), remembered);
    }
    g_cond_broadcast(&hypervisor->ended);
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

/* Returns whether the helper has sent a change to libvirt. Removes that mark from @answer. */
static gboolean answer_remove_sent(GByteArray *answer)
{
    if (answer->len == 0 || answer->data[0] != HYPERVISOR_SENT)
        return FALSE;
    g_byte_array_remove_index(answer, 0);
    return TRUE;
}

/* The deadline of a change begins anew. */
static gboolean question_may_change(const HypervisorQuestion *question)
{
    return question->disk || question->definition;
}

/* Runs the helper. Returns its answer, or NULL with an error. *ret_sent is set in both cases. */
static GBytes *hypervisor_run_helper(const CstHypervisor *hypervisor, const char *uri,
                                     const HypervisorQuestion *question, CstTask *task,
                                     gboolean *ret_sent, GError **error)
{
    g_autofree char *deadline = g_strdup_printf("%u", hypervisor->deadline_s);
    const char *const argv[] = {HYPERVISOR_PROGRAM, HYPERVISOR_HELPER, uri, deadline, NULL};
    g_autoptr(GByteArray) answer = g_byte_array_new();
    const CstChildStream stream = {.take = answer_keep, .data = answer};
    g_autoptr(GBytes) input = hypervisor_question_encode(question);
    CstChild child = {.argv = argv,
                      .timeout_s =
                          (question_may_change(question) ? 2 : 1) * hypervisor->deadline_s +
                          HYPERVISOR_START_S,
                      .stream = &stream};
    g_auto(CstChildResult) result = {0};
    g_autoptr(GError) why = NULL;
    gboolean ran;

    child.input = g_bytes_get_data(input, &child.input_len);
    ran = cst_child_run(&child, task, &result, &why);
    *ret_sent = answer_remove_sent(answer);
    if (!ran && !g_error_matches(why, CST_ERROR, CST_ERROR_TIMEOUT)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    if (!ran || result.status == 128 + SIGALRM) {
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

/*
 * Whether a missing part of libvirt is a failure. A socket of libvirt, or a URI in the setting,
 * shows that libvirt is used here.
 */
static gboolean absence_is_failure(const CstHypervisor *hypervisor, const char *uri,
                                   HypervisorOutcome outcome)
{
    g_autofree char *present = default_connection(hypervisor->run_dir);
    gboolean has_socket = g_strcmp0(present, uri) == 0;

    switch (outcome) {
    case HYPERVISOR_NO_SOCKET: return has_socket;
    case HYPERVISOR_NO_DRIVER: return hypervisor->uris != NULL;
    case HYPERVISOR_NO_LIBRARY: return has_socket || hypervisor->uris;
    default: return FALSE;
    }
}

/* Reports an outcome that is a failure. */
static gboolean outcome_check(const CstHypervisor *hypervisor, const char *uri,
                              HypervisorOutcome outcome, const char *message, GError **error)
{
    if (outcome == HYPERVISOR_DEFINED)
        return cst_fail(error, CST_ERROR_EXISTS, _("libvirt at '%s' has domain '%s' already"), uri,
                        message);
    if (outcome == HYPERVISOR_UNUSABLE || outcome == HYPERVISOR_FAILED ||
        outcome == HYPERVISOR_UNVERIFIED)
        return cst_fail(error, CST_ERROR_FAILED, _("libvirt at '%s' failed: %s"), uri, message);
    return !absence_is_failure(hypervisor, uri, outcome) ||
           cst_fail(error, CST_ERROR_FAILED, _("cannot connect to libvirt at '%s': %s"), uri,
                    message);
}

/* *ret_remember: a failure is that of all questions. */
static gboolean answer_read(const CstHypervisor *hypervisor, const char *uri, GBytes *bytes,
                            HypervisorAnswer *ret_answer, gboolean *ret_remember, GError **error)
{
    HypervisorOutcome outcome = HYPERVISOR_OUTCOME_LAST;
    g_autofree char *message = NULL;

    if (!hypervisor_answer_decode(bytes, uri, ret_answer, &outcome, &message))
        return cst_fail(error, CST_ERROR_FAILED,
                        _("the helper for libvirt at '%s' sent a malformed answer"), uri);
    *ret_remember = outcome != HYPERVISOR_FAILED && outcome != HYPERVISOR_DEFINED;
    if (outcome == HYPERVISOR_FAILED)
        ret_answer->sent = FALSE;
    return outcome_check(hypervisor, uri, outcome, message, error);
}

static gboolean hypervisor_ask(CstHypervisor *hypervisor, const char *uri,
                               const HypervisorQuestion *question, CstTask *task,
                               HypervisorAnswer *ret_answer, GError **error)
{
    const CstHypervisorDisk *disk = question->disk;
    CstTask *cancels = disk && disk->change ? NULL : task;
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) bytes = NULL;
    gboolean remember = FALSE, ok;

    if (!hypervisor_begin(hypervisor, uri, task, error))
        return FALSE;
    bytes = hypervisor_run_helper(hypervisor, uri, question, cancels, &ret_answer->sent, &why);
    ok = bytes && answer_read(hypervisor, uri, bytes, ret_answer, &remember, &why);
    /* A disk may hang because of the guest's storage. */
    remember = !disk && (remember || g_error_matches(why, CST_ERROR, CST_ERROR_TIMEOUT));
    hypervisor_end(hypervisor, uri, !ok && remember ? why : NULL);
    if (!ok)
        g_propagate_error(error, g_steal_pointer(&why));
    return ok;
}

/* Asks all connections. libvirt may need the worker of @task, because it looks up the volumes of a
 * domain that it starts. */
static gboolean hypervisor_ask_all(CstHypervisor *hypervisor, const HypervisorQuestion *question,
                                   CstTask *task, HypervisorAnswer *ret_answer, GError **error)
{
    g_auto(GStrv) uris = hypervisor_connections(hypervisor);
    gboolean ok = TRUE;

    if (uris[0] && !hypervisor_check_helper(error))
        return FALSE;
    cst_task_set_waiting(task, uris[0] != NULL);
    for (char **uri = uris; ok && *uri; uri++)
        ok = hypervisor_ask(hypervisor, *uri, question, task, ret_answer, error);
    cst_task_set_waiting(task, FALSE);
    return ok;
}

gboolean hypervisor_check_helper(GError **error)
{
    return hypervisor_has_helper() ||
           cst_fail(error, CST_ERROR_FAILED, "%s", _("this program has no helper for libvirt"));
}

GPtrArray *cst_hypervisor_find(CstHypervisor *hypervisor, const CstHypervisorVolume *volume,
                               CstTask *task, GError **error)
{
    const HypervisorQuestion question = {.kind = HYPERVISOR_FIND, .volume = volume};
    g_autoptr(GPtrArray) disks =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
    HypervisorAnswer answer = {.disks = disks};

    return hypervisor_ask_all(hypervisor, &question, task, &answer, error) ? g_steal_pointer(&disks)
                                                                           : NULL;
}

GPtrArray *cst_hypervisor_domains(CstHypervisor *hypervisor, const char *name, CstTask *task,
                                  GError **error)
{
    const HypervisorQuestion question = {.kind = HYPERVISOR_DESCRIBE, .domain = name ? name : ""};
    g_autoptr(GPtrArray) domains = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_free);
    g_autoptr(GPtrArray) disks = g_ptr_array_new();
    HypervisorAnswer answer = {.disks = disks, .domains = domains};

    return hypervisor_ask_all(hypervisor, &question, task, &answer, error)
               ? g_steal_pointer(&domains)
               : NULL;
}

/* --- definitions ------------------------------------------------------------------------------ */

gboolean cst_hypervisor_define(CstHypervisor *hypervisor, const char *name, const char *uuid,
                               const char *document, GError **error)
{
    const HypervisorDefinition definition = {name, uuid ? uuid : "", document ? document : ""};
    const HypervisorQuestion question = {.kind = HYPERVISOR_DEFINE, .definition = &definition};
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_auto(GStrv) uris = hypervisor_connections(hypervisor);
    HypervisorAnswer answer = {.disks = none};

    if (strlen(definition.document) >= HYPERVISOR_DOCUMENT_MAX)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("the definition of the domain has more than %d "
                          "bytes"),
                        HYPERVISOR_DOCUMENT_MAX);
    if (uris[0] && (!hypervisor_check_helper(error) ||
                    !hypervisor_ask(hypervisor, uris[0], &question, NULL, &answer, error))) {
        if (answer.sent && error)
            g_prefix_error(error, "%s", _("the domain may be defined (virsh list --all): "));
        return FALSE;
    }
    return answer.answered || cst_fail(error, CST_ERROR_NOT_FOUND, "%s",
                                       _("libvirt does not run on this host, or the setting "
                                         "\"hypervisor\" of cisternd.conf does not use it"));
}

/* --- changes that may be late ----------------------------------------------------------------- */

static char *late_key(const CstHypervisorDisk *disk)
{
    return g_strdup_printf("%s %s %s", disk->uri, disk->uuid, disk->target);
}

/* Remembers a change that was sent and has no answer. */
static void late_add(CstHypervisor *hypervisor, const CstHypervisorDisk *disk)
{
    LateChange *late = g_new0(LateChange, 1);

    late->until = g_get_monotonic_time() + CST_HYPERVISOR_LATE_S * G_TIME_SPAN_SECOND;
    late->bytes = disk->bytes;
    g_mutex_lock(&hypervisor->lock);
    g_hash_table_insert(hypervisor->late, late_key(disk), late);
    g_mutex_unlock(&hypervisor->lock);
}

/*
 * Checks that no change to another size is late. @capacity: of the disk; if it has that size, the
 * change is forgotten.
 */
static gboolean late_check(CstHypervisor *hypervisor, const CstHypervisorDisk *disk,
                           uint64_t capacity, GError **error)
{
    g_autofree char *target = cst_text_escape(disk->target);
    g_autofree char *key = late_key(disk);
    const LateChange *late;
    uint64_t bytes = 0;

    g_mutex_lock(&hypervisor->lock);
    late = g_hash_table_lookup(hypervisor->late, key);
    if (late && (g_get_monotonic_time() >= late->until || capacity >= late->bytes))
        g_hash_table_remove(hypervisor->late, key);
    else if (late)
        bytes = late->bytes;
    g_mutex_unlock(&hypervisor->lock);
    return bytes == 0 || bytes == disk->bytes ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("libvirt may still change disk '%s' to %" PRIu64
                      " bytes; request that size, or try again in %d s"),
                    target, bytes, CST_HYPERVISOR_LATE_S);
}

gboolean cst_hypervisor_resize(CstHypervisor *hypervisor, const CstHypervisorVolume *volume,
                               const CstHypervisorDisk *disk, CstTask *task,
                               CstDiskFitness *ret_fitness, uint64_t *ret_capacity,
                               gboolean *ret_sent, GError **error)
{
    g_autoptr(GPtrArray) none =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
    const HypervisorQuestion question = {.kind = HYPERVISOR_RESIZE, .volume = volume, .disk = disk};
    HypervisorAnswer answer = {.disks = none};
    gboolean ok;

    *ret_sent = FALSE;
    if (!hypervisor_check_helper(error) ||
        (disk->change && !late_check(hypervisor, disk, 0, error)))
        return FALSE;
    cst_task_set_waiting(task, TRUE);
    ok = hypervisor_ask(hypervisor, disk->uri, &question, task, &answer, error);
    cst_task_set_waiting(task, FALSE);
    *ret_sent = answer.sent;
    if (!ok && answer.sent)
        late_add(hypervisor, disk);
    if (ok && !answer.answered)
        return cst_fail(error, CST_ERROR_FAILED, _("libvirt at '%s' does not run any more"),
                        disk->uri);
    *ret_fitness = answer.fitness;
    *ret_capacity = answer.capacity;
    return ok && (disk->change || answer.fitness != CST_DISK_FIT ||
                  late_check(hypervisor, disk, answer.capacity, error));
}
