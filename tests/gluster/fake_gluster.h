/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * A Gluster volume in a directory of this host, behind a library that is called as Gluster's client
 * is: a program that is linked with it finds it when the product loads "libgfapi.so.0". The
 * functions that the product calls do what glusterfs/api/glfs.h says of them. Each can be made to
 * fail, or to hang.
 */

/** The volume is what is in @directory (copied); its id is of zeroes but for the last byte, @id. */
void fake_gluster_reset(const char *directory, const char *volume, guint8 id);
/** After @skip more calls, the next @times calls of @function do nothing and fail with @err. */
void fake_gluster_fail(const char *function, guint skip, guint times, int err);
/** Calls of @function wait until fake_gluster_resume(). */
void fake_gluster_hang(const char *function);
void fake_gluster_resume(void);
/** How often @function has been called since the reset. */
guint fake_gluster_calls(const char *function);
/** Waits until @function has been called @calls times since the reset; aborts after minutes. */
void fake_gluster_await(const char *function, guint calls);
/** Waits until so many connections, and files and directories, are open; aborts after minutes. */
void fake_gluster_await_open(guint connections, guint files);
/** Connections that are open, and files and directories. */
guint fake_gluster_connections(void);
guint fake_gluster_files(void);
/** The servers of the connection that was made last, "tcp host 0", a line each. */
char *fake_gluster_servers(void);
/** The next connection has exit() run @func, as OpenSSL does when the library initialises it. */
void fake_gluster_at_exit(void (*func)(void));
/** The servers take the beginning of a file for any part of it that they copy, as those of 10.3. */
void fake_gluster_copy_wrong(void);
/** A layer that the servers say the volume has, "cluster/replicate"; NULL: the usual ones. */
void fake_gluster_set_layer(const char *layer);
