/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/doctor.h>
#include <store/paths.h>

/**
 * The mutes of the command doctor, in a database of the root. A completed call survives a kill and
 * a power cut. Each call opens the database, because calls are rare. Any thread and process.
 */

/**
 * Returns the mutes (CstDoctorMute *) that have not ended at @now (seconds since 1970), by id and
 * object. The caller drops the array. Creates no file.
 */
GPtrArray *cst_doctor_mutes_list(const CstPaths *paths, int64_t now, GError **error);
/**
 * Stores a checked mute (cst_doctor_mute_check()). It replaces the mute of the same id and object.
 * Removes the mutes that have ended at @now. Fails with LIMIT if there are too many.
 */
gboolean cst_doctor_mutes_set(const CstPaths *paths, const CstDoctorMute *mute, int64_t now,
                              GError **error);
/** Removes the mute of @id and @object ("": of all objects). NOT_FOUND if there is none. */
gboolean cst_doctor_mutes_remove(const CstPaths *paths, const char *id, const char *object,
                                 GError **error);
