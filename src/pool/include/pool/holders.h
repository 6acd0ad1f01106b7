/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <glib.h>

/**
 * A user of an open volume, described for a message: "mounted on '/srv'", "process 812 (qemu-nbd)"
 * (the format of cst_process_describe()), …
 */
typedef struct {
    char *what;
    int64_t pid;         /**< 0: not a process of this host, or unknown */
    gboolean reads_only; /**< known not to write */
    gboolean passing;    /**< opens the device only briefly: udev, tools that scan all devices */
} CstHolder;

/** Frees the holder and its text. */
void cst_holder_free(CstHolder *holder);
/** Appends a holder to @holders, an array that frees its elements. Returns it, borrowed. */
CstHolder *cst_holders_add(GPtrArray *holders, int64_t pid, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/** Describes all of @holders in one line; "" if the array is empty. g_free() the result. */
char *cst_holders_describe(const GPtrArray *holders);
/** Whether @holders is not empty and each holder is passing. */
gboolean cst_holders_pass(const GPtrArray *holders);
/** Returns an array of @count lists (GPtrArray *), each NULL at first. It frees its lists. */
GPtrArray *cst_holder_lists_new(guint count);
/** Maximal number of holders in a list for many volumes. */
#define CST_HOLDERS_MAX 65536u
/** Maximum wait for passing holders before the work on a volume is refused, in µs. */
#define CST_HOLDERS_PASS_US (20 * G_TIME_SPAN_SECOND)
/**
 * Returns TRUE if @holders is empty. Otherwise fails with BUSY and names @volume and the holders.
 */
gboolean cst_holders_refuse(const GPtrArray *holders, const char *volume, GError **error);
