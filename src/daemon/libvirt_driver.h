/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Returns the path of libvirt's driver @kind ("storage", "secret") below @root, or NULL if it is
 * not installed. The directory below usr/lib depends on the architecture. The caller frees the
 * path.
 */
char *libvirt_driver_find(const char *root, const char *kind);

/** Whether the storage driver @path is Cistern's, which asks cisternd. @root as above. */
gboolean libvirt_driver_is_ours(const char *root, const char *path);

/**
 * Return a sentence about a danger to Cistern's driver @path, or NULL. The caller frees it. The
 * first one is about the diversion, without which an upgrade of libvirt replaces the driver. The
 * second one is about the version of libvirt, which the driver may refuse.
 */
char *libvirt_driver_diversion_problem(const char *root, const char *path);
char *libvirt_driver_version_problem(const char *root, const char *path);
