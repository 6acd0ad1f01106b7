/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The health of a pool's sessions: the number of portals with a working session, and whether the
 * session that provides the LUNs responds. The first is read from the kernel without a request to
 * the target.
 *
 * A read through a lost session hangs until open-iscsi ends the session, minutes after the kernel
 * has reported it as lost. If another session works, the pool uses that one. Therefore a thread
 * does the read. After the switch to another session, the thread is no longer waited for.
 */
#include "iscsi.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <pool/device.h>

/* The interval between two checks of a session's state. */
#define LOOK_US (500 * G_TIME_SPAN_MILLISECOND)

/* --- probe ------------------------------------------------------------------------------------ */

/* A read that may hang. Its thread and its waiter have one reference each. */
typedef struct {
    gatomicrefcount references;
    GMutex lock;
    GCond changed;
    gboolean done;
    char *node;
} Read;

static void read_unref(Read *read)
{
    if (!g_atomic_ref_count_dec(&read->references))
        return;
    g_mutex_clear(&read->lock);
    g_cond_clear(&read->changed);
    g_free(read->node);
    g_free(read);
}

/* A failed read is also a response. */
static gpointer run_read(gpointer data)
{
    Read *read = data;

    cst_device_touch(read->node, NULL);
    g_mutex_lock(&read->lock);
    read->done = TRUE;
    g_cond_signal(&read->changed);
    g_mutex_unlock(&read->lock);
    read_unref(read);
    return NULL;
}

static Read *start_read(const char *node)
{
    Read *read = g_new0(Read, 1);

    CST_TEST_POINT("iscsi.read.begin");
    g_atomic_ref_count_init(&read->references);
    g_atomic_ref_count_inc(&read->references);
    g_mutex_init(&read->lock);
    g_cond_init(&read->changed);
    read->node = g_strdup(node);
    g_thread_unref(g_thread_new("iscsi-touch", run_read, read));
    return read;
}

/* Waits for LOOK_US. Returns TRUE if the read has finished. */
static gboolean await_read(Read *read)
{
    gint64 end = g_get_monotonic_time() + LOOK_US;
    gboolean done;

    g_mutex_lock(&read->lock);
    while (!read->done) {
        CST_TEST_POINT("iscsi.read.wait");
        if (!g_cond_wait_until(&read->changed, &read->lock, end))
            break;
    }
    done = read->done;
    g_mutex_unlock(&read->lock);
    return done;
}

/*
 * Returns the session that provides the LUNs, or NULL if no session works.
 *
 * *ret_lost: I/O hangs in one of the sessions. This is the case in state FAILED. It is not the case
 * during a login, or after open-iscsi has ended the session (FREE).
 */
static IscsiSession *first_working(const CstPoolDef *def, gboolean *ret_lost)
{
    g_autoptr(GPtrArray) sessions = iscsi_sessions_of(def);

    *ret_lost = FALSE;
    for (guint i = 0; i < sessions->len; i++) {
        const IscsiSession *session = g_ptr_array_index(sessions, i);

        if (iscsi_session_works(session))
            return g_ptr_array_steal_index(sessions, i);
        *ret_lost |= strcmp(session->state, "FAILED") == 0;
    }
    return NULL;
}

static gboolean is_first_working(const CstPoolDef *def, unsigned sid)
{
    gboolean lost;
    g_autoptr(IscsiSession) session = first_working(def, &lost);

    return session && session->sid == sid;
}

/*
 * Reads from the session's first LUN. Returns FALSE if the session was lost during the read, or is
 * no longer the first working one.
 */
static gboolean session_answers(const CstPoolDef *def, const IscsiSession *session)
{
    g_autoptr(GPtrArray) luns = g_ptr_array_new_with_free_func((GDestroyNotify)cst_attached_free);
    gboolean done = FALSE;
    Read *read;

    cst_luns_find(session->host, "/dev", luns);
    if (luns->len == 0)
        return TRUE;
    read = start_read(((const CstAttached *)g_ptr_array_index(luns, 0))->node);
    do
        done = await_read(read);
    while (!done && is_first_working(def, session->sid));
    read_unref(read);
    return done;
}

/* A failed disk is a problem of its volume only, because other disks of the target may work. */
gboolean iscsi_touch(const CstPoolDef *def, GError **error)
{
    for (;;) {
        gboolean lost;
        g_autoptr(IscsiSession) session = first_working(def, &lost);

        if (session ? session_answers(def, session) : !lost)
            return TRUE;
        if (!session) {
            CST_TEST_POINT("iscsi.touch.lost");
            g_usleep(LOOK_US);
        }
    }
}

/* --- health ----------------------------------------------------------------------------------- */

static guint count_working(const GPtrArray *sessions)
{
    guint working = 0;

    for (guint i = 0; i < sessions->len; i++)
        working += iscsi_session_works(g_ptr_array_index(sessions, i));
    return working;
}

static void note_portal(CstPoolHealth *health, const char *address, unsigned port,
                        const char *state)
{
    g_autofree char *portal =
        g_strdup_printf(strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, port);
    g_autofree char *note = g_strdup_printf(_("portal %s: %s"), portal, state);

    cst_pool_health_note(health, note);
}

static void note_lost(CstPoolHealth *health, const GPtrArray *sessions)
{
    for (guint i = 0; i < sessions->len; i++) {
        const IscsiSession *session = g_ptr_array_index(sessions, i);

        if (!iscsi_session_works(session))
            note_portal(health, session->address ? session->address : "?", session->port,
                        session->state);
    }
}

/*
 * Notes the portals without any session. Host names are not resolved here, because that may take
 * long.
 */
static void note_missing(CstPoolHealth *health, const CstPoolDef *def, const GPtrArray *sessions)
{
    for (guint i = 0; i < def->source.hosts->len; i++) {
        const CstHost *host = g_ptr_array_index(def->source.hosts, i);
        IscsiNode node = {.address = host->name, .port = host->port ? host->port : ISCSI_PORT};

        if (g_hostname_is_ip_address(host->name) && !iscsi_has_session(sessions, &node))
            note_portal(health, host->name, node.port, _("no session"));
    }
}

gboolean iscsi_health(CstPoolState *state, gboolean details, CstPoolHealth *health, GError **error)
{
    const CstPoolDef *def = state->def;
    g_autoptr(GPtrArray) sessions = iscsi_sessions_of(def);
    guint wanted = MAX(sessions->len, def->source.hosts->len);
    guint working = count_working(sessions);

    health->level = working == 0       ? CST_HEALTH_FAILED
                    : working < wanted ? CST_HEALTH_DEGRADED
                                       : CST_HEALTH_GOOD;
    health->state = g_strdup_printf(_("logged in at %u of %u portals"), working, wanted);
    if (details) {
        note_lost(health, sessions);
        note_missing(health, def, sessions);
    }
    return TRUE;
}
