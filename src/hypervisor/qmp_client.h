/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <glib.h>

#include <json_glib_library.h>

#include "qmp_protocol.h"

/** A connection to a QMP monitor. The process has one thread and one connection. */
typedef struct {
    int fd;         /**< -1: not connected */
    GByteArray *in; /**< bytes that were received and not parsed */
    JsonParser *parser;
    QmpOutcome outcome; /**< QMP_DONE: no failure yet */
    char *detail;       /**< of a failure, or NULL */
    gint64 until;       /**< the last time of a reply, monotonic microseconds; 0: no such time */
    guint stops;        /**< events STOP since the connection */
    guint resumptions;  /**< likewise, events RESUME */
} QmpClient;

/** Sets the failure of the client. @detail may be NULL. Always returns FALSE. */
gboolean qmp_client_fail(QmpClient *client, QmpOutcome outcome, const char *detail);
/** Forgets a failure that does not concern the connection. */
void qmp_client_forget_failure(QmpClient *client);
void qmp_client_clear(QmpClient *client);

/**
 * Connects to the socket of process @pid, and negotiates. Returns FALSE with a failure of the
 * client.
 */
gboolean qmp_client_connect(QmpClient *client, const char *socket, int64_t pid);
/**
 * Sends a command, a JSON object in one line without its end, and waits for the reply. Events are
 * counted. Returns the value of "return", borrowed until the next command; NULL with a failure of
 * the client.
 */
JsonNode *qmp_client_command(QmpClient *client, const char *command);
/**
 * Counts the events that have arrived. Call it when the socket is readable. Returns FALSE with a
 * failure of the client: the monitor has closed the connection, or sends other messages.
 */
gboolean qmp_client_receive_events(QmpClient *client);

/** Returns a member of the object in @node, borrowed. NULL: no object, no member, other type. */
JsonObject *qmp_object_member(JsonObject *object, const char *name);
const char *qmp_text_member(JsonObject *object, const char *name);
/** Returns FALSE if there is no such number, or if it is negative. */
gboolean qmp_size_member(JsonObject *object, const char *name, uint64_t *ret_value);
/** Whether the member is true. */
gboolean qmp_true_member(JsonObject *object, const char *name);
