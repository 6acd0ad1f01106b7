/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connection to one portal, up to the login: name, connect, login, a few redirections. Each step
 * is served here until its callback has run or its time is over. So a portal that accepts a
 * connection and never answers costs only the time-out.
 *
 * The values of CHAP are read right before a login and overwritten right after it, including
 * libiscsi's copies: libiscsi fills its 256 bytes with zeroes when it receives empty values.
 *
 * libiscsi offers "AuthMethod=CHAP,None" and does not report the method that the target has chosen.
 * But its log has each key of the target's login replies. A target that admits without CHAP
 * although the pool has a secret may be another machine, so the login fails. libiscsi formats its
 * log in one static buffer, so one thread at a time serves a login that is logged (log_lock).
 */
#include "initiator.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/* Interval in which a wait checks for its end. */
#define STEP_MS 50
/* Maximum number of portals that a target may redirect a login to. */
#define REDIRECTIONS_MAX 3

/* Classes and details of a refused login (RFC 7143, 11.13.5). */
enum {
    LOGIN_UNAUTHENTICATED = 0x0201,
    LOGIN_FORBIDDEN = 0x0202,
    LOGIN_NO_TARGET = 0x0203,
    LOGIN_TARGET_REMOVED = 0x0204,
    LOGIN_CLASS_TARGET = 0x03
};

#define LOG_REPLIES 6 /* libiscsi's level for the keys of login replies */

/* This thread's login; its replies are checked for a CHAP challenge. */
static _Thread_local struct {
    gboolean active;
    gboolean challenged;
} chap_watch;
static GMutex log_lock;

/* libiscsi's log has no user data pointer, so this uses the thread's variable. */
static void note_login_reply(int level, const char *text)
{
    if (g_str_has_prefix(text, "TargetLoginReply: CHAP_C="))
        chap_watch.challenged = TRUE;
}

static int serve_once(const IscsiLib *lib, struct iscsi_context *context, int events)
{
    int result;

    if (!chap_watch.active)
        return lib->iscsi_service(context, events);
    g_mutex_lock(&log_lock);
    result = lib->iscsi_service(context, events);
    g_mutex_unlock(&log_lock);
    return result;
}

gboolean iscsi_serve(const IscsiLib *lib, struct iscsi_context *context, const gboolean *done,
                     gint64 deadline, gint *closing)
{
    while (!*done) {
        struct pollfd fd = {.fd = lib->iscsi_get_fd(context)};
        gint64 left = deadline - g_get_monotonic_time();

        if (left <= 0 || fd.fd < 0 || g_atomic_int_get(closing))
            return FALSE;
        fd.events = (short)lib->iscsi_which_events(context);
        if (poll(&fd, 1, (int)MIN(left / G_TIME_SPAN_MILLISECOND + 1, STEP_MS)) < 0)
            continue;
        if (serve_once(lib, context, fd.revents) < 0 && !*done)
            return FALSE;
    }
    return TRUE;
}

/* The result of a libiscsi callback. */
typedef struct {
    gboolean done;
    int status;
} Step;

static void step_done(struct iscsi_context *context, int status, void *command, void *data)
{
    Step *step = data;

    step->done = TRUE;
    step->status = status;
}

/* Only libiscsi's text has the status: "… Authentication failure(513)". 0: not found. */
static unsigned login_status(const char *text)
{
    const char *at = strrchr(text, '(');

    return at ? (unsigned)strtoul(at + 1, NULL, 10) : 0;
}

static gboolean fail_login(const IscsiLogin *how, const char *portal, const char *text,
                           GError **error)
{
    const char *target = how->target->target ? how->target->target : "";
    unsigned status = login_status(text);

    if (status == LOGIN_UNAUTHENTICATED || status == LOGIN_FORBIDDEN)
        return cst_fail(error, CST_ERROR_DENIED,
                        _("portal '%s' does not let this initiator in to target '%s': check the "
                          "user and the value of the pool's secret"),
                        portal, target);
    if (strstr(text, "CHAP"))
        return cst_fail(error, CST_ERROR_DENIED,
                        _("target '%s' at portal '%s' does not prove that it knows the secret of "
                          "mutual CHAP"),
                        target, portal);
    if (status == LOGIN_NO_TARGET || status == LOGIN_TARGET_REMOVED)
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("portal '%s' has no target '%s' for this initiator"), portal, target);
    return cst_fail(
        error,
        status >> 8 == LOGIN_CLASS_TARGET || !status ? CST_ERROR_UNREACHABLE : CST_ERROR_FAILED,
        _("cannot log in to target '%s' at portal '%s' (status 0x%04x)"), target, portal, status);
}

static gboolean fail_silent(const char *portal, GError **error)
{
    return cst_fail(error, CST_ERROR_UNREACHABLE, _("portal '%s' did not answer in time"), portal);
}

static gboolean connect_to(const IscsiLib *lib, struct iscsi_context *context, const char *portal,
                           gint64 deadline, gint *closing, GError **error)
{
    Step step = {0};

    if (lib->iscsi_connect_async(context, portal, step_done, &step) == 0 &&
        !iscsi_serve(lib, context, &step.done, deadline, closing) && !step.done)
        return fail_silent(portal, error);
    return (step.done && step.status == SCSI_STATUS_GOOD) ||
           cst_fail(error, CST_ERROR_UNREACHABLE, _("cannot connect to portal '%s'"), portal);
}

static void set_chap(const IscsiLib *lib, struct iscsi_context *context, const CstChap *chap)
{
    if (chap->user)
        lib->iscsi_set_initiator_username_pwd(context, chap->user,
                                              (const char *)chap->password.data);
    if (chap->user_in)
        lib->iscsi_set_target_username_pwd(context, chap->user_in,
                                           (const char *)chap->password_in.data);
}

static void unset_chap(const IscsiLib *lib, struct iscsi_context *context)
{
    lib->iscsi_set_initiator_username_pwd(context, "", "");
    lib->iscsi_set_target_username_pwd(context, "", "");
}

static gboolean log_in(const IscsiLogin *how, const IscsiLib *lib, struct iscsi_context *context,
                       const char *portal, gint64 deadline, char **ret_elsewhere, GError **error)
{
    Step step = {0};

    if (lib->iscsi_login_async(context, step_done, &step) == 0)
        iscsi_serve(lib, context, &step.done, deadline, how->closing);
    if (step.done && step.status == SCSI_STATUS_REDIRECT) {
        *ret_elsewhere = g_strdup(lib->iscsi_get_target_address(context));
        return FALSE;
    }
    if (step.done && step.status == SCSI_STATUS_GOOD)
        return TRUE;
    if (step.done)
        return fail_login(how, portal, lib->iscsi_get_error(context), error);
    if (g_get_monotonic_time() >= deadline)
        return fail_silent(portal, error);
    return cst_fail(error, CST_ERROR_UNREACHABLE,
                    _("portal '%s' has closed the connection instead of answering the login"),
                    portal);
}

static gboolean refuse_without_chap(const IscsiLogin *how, const char *portal, GError **error)
{
    return cst_fail(error, CST_ERROR_DENIED,
                    _("cannot use target '%s' at portal '%s': it admits initiators without CHAP, "
                      "and the pool has a secret; require CHAP on the target, or remove <auth> "
                      "from the pool"),
                    how->target->target ? how->target->target : "", portal);
}

/*
 * Logs in with CHAP. A discovery may be open to all initiators; the later login verifies its
 * result.
 */
static gboolean log_in_with_chap(const IscsiLogin *how, const IscsiLib *lib,
                                 struct iscsi_context *context, const char *portal, gint64 deadline,
                                 char **ret_elsewhere, GError **error)
{
    gboolean done;

    if (how->type != ISCSI_SESSION_NORMAL)
        return log_in(how, lib, context, portal, deadline, ret_elsewhere, error);
    lib->iscsi_set_log_fn(context, note_login_reply);
    lib->iscsi_set_log_level(context, LOG_REPLIES);
    chap_watch.challenged = FALSE;
    chap_watch.active = TRUE;
    done = log_in(how, lib, context, portal, deadline, ret_elsewhere, error);
    chap_watch.active = FALSE;
    lib->iscsi_set_log_level(context, 0);
    lib->iscsi_set_log_fn(context, NULL);
    return done && (chap_watch.challenged || refuse_without_chap(how, portal, error));
}

static struct iscsi_context *new_context(const IscsiLogin *how, const IscsiLib *lib, GError **error)
{
    struct iscsi_context *context = lib->iscsi_create_context(how->target->initiator);

    if (!context) {
        cst_fail(error, CST_ERROR_NO_MEMORY, _("libiscsi has no memory"));
        return NULL;
    }
    lib->iscsi_set_noautoreconnect(context, 1);
    lib->iscsi_set_session_type(context, how->type);
    lib->iscsi_set_isid_random(context, how->isid, how->isid >> 24);
    if (how->target->target)
        lib->iscsi_set_targetname(context, how->target->target);
    return context;
}

/*
 * Logs in at one numeric portal. *ret_elsewhere: the portal that it redirects to, without an error.
 */
static struct iscsi_context *log_in_at(const IscsiLogin *how, const IscsiLib *lib,
                                       const char *portal, gint64 deadline, char **ret_elsewhere,
                                       GError **error)
{
    g_auto(CstChap) chap = {0};
    struct iscsi_context *context = new_context(how, lib, error);
    gboolean done;

    if (!context)
        return NULL;
    done = connect_to(lib, context, portal, deadline, how->closing, error) &&
           (!how->target->chap || how->target->chap(how->target->data, &chap, error));
    if (done) {
        set_chap(lib, context, &chap);
        done = (chap.user ? log_in_with_chap : log_in)(how, lib, context, portal, deadline,
                                                       ret_elsewhere, error);
    }
    unset_chap(lib, context);
    if (done)
        return context;
    lib->iscsi_destroy_context(context);
    return NULL;
}

struct iscsi_context *iscsi_log_in(const IscsiLogin *how, const char *portal, GError **error)
{
    const IscsiLib *lib = iscsi_lib(error);
    gint64 patience = how->target->timeout_ms * G_TIME_SPAN_MILLISECOND;
    g_autofree char *next = g_strdup(portal);

    for (guint i = 0; lib && i <= REDIRECTIONS_MAX; i++) {
        g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *elsewhere = NULL;
        gint64 begun = g_get_monotonic_time();

        if (!iscsi_resolve(next, begun + patience, how->closing, found, error))
            return NULL;
        for (guint j = 0; j < found->len && !elsewhere; j++) {
            struct iscsi_context *context;

            g_clear_error(error);
            context = log_in_at(how, lib, g_ptr_array_index(found, j),
                                g_get_monotonic_time() + patience, &elsewhere, error);
            if (context)
                return context;
        }
        if (!elsewhere)
            return NULL;
        g_free(next);
        next = g_steal_pointer(&elsewhere);
    }
    if (lib)
        cst_fail(error, CST_ERROR_FAILED, _("portal '%s' sends us from one portal to the next"),
                 portal);
    return NULL;
}

struct iscsi_context *iscsi_log_in_anywhere(const IscsiLogin *how, guint *at, GError **error)
{
    guint count = g_strv_length((char **)how->target->portals);
    g_autoptr(GError) told = NULL;

    for (guint i = 0; i < count && !g_atomic_int_get(how->closing); i++) {
        g_autoptr(GError) why = NULL;
        guint portal = (*at + i) % count;
        struct iscsi_context *context = iscsi_log_in(how, how->target->portals[portal], &why);

        if (context) {
            *at = portal;
            return context;
        }
        if (!told || (told->code == CST_ERROR_UNREACHABLE && why->code != CST_ERROR_UNREACHABLE)) {
            g_clear_error(&told);
            told = g_steal_pointer(&why);
        }
    }
    if (!told)
        cst_fail(&told, CST_ERROR_CANCELLED, _("the session was closed"));
    g_propagate_error(error, g_steal_pointer(&told));
    return NULL;
}

void iscsi_log_out(const IscsiLib *lib, struct iscsi_context *context, gint64 deadline)
{
    gint never = 0;
    Step step = {0};

    if (!context)
        return;
    if (lib->iscsi_is_logged_in(context) && lib->iscsi_logout_async(context, step_done, &step) == 0)
        iscsi_serve(lib, context, &step.done, deadline, &never);
    lib->iscsi_destroy_context(context);
}
