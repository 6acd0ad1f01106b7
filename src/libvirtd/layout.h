/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>

#include "driver.h"

/**
 * Returns the name of the pool of @vol, which has no public accessor. @vol owns the text. Returns
 * NULL and sets an error if the layout of the object is unknown.
 */
const char *layout_pool_name(virStorageVolPtr vol);

/**
 * Finds the members of streams. @conn: any connection, on which a stream is made. Returns FALSE and
 * sets an error if the layout is unknown. Later calls return the result of the first one. Any
 * thread.
 */
gboolean layout_find_stream(virConnectPtr conn);

/**
 * Makes @driver the driver of @stream, with @data, which @free_data frees together with @stream.
 * Returns FALSE and sets an error if @stream is not a new stream of @conn. Needs
 * layout_find_stream().
 */
gboolean layout_set_stream(virStreamPtr stream, virConnectPtr conn, const StreamDriver *driver,
                           void *data, virFreeCallback free_data);

/** Returns the data of layout_set_stream(). */
void *layout_stream_data(virStreamPtr stream);

/** Whether @stream has the flag VIR_STREAM_NONBLOCK. Needs layout_find_stream(). */
gboolean layout_stream_is_nonblocking(virStreamPtr stream);
