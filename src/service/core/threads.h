/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/**
 * Threads that use the service, and that their callers may leave behind because storage does not
 * answer. The kernel decides when such a thread ends.
 */

/**
 * Starts a thread that calls @run(@data). The service exists until @run has returned. Fails with
 * LIMIT if the system allows no further thread. The caller then still owns @data.
 */
gboolean service_thread_start(CstService *service, const char *name, GThreadFunc run, gpointer data,
                              GError **error);
/**
 * Call it at the end of the service. A daemon waits for the threads. An embedded process does not
 * wait, because the command has its result. If there are threads, this returns FALSE, and the last
 * thread calls the hook "unused".
 */
gboolean service_threads_end(CstService *service);
