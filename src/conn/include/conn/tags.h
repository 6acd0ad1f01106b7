/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>
#include <model/tags.h>

/**
 * Tags and notes of volumes and snapshots. All fail with NO_SUPPORT if the server does not have
 * them.
 */

/** Queries whether the server has tags. */
gboolean cst_conn_has_tags(CstConn *conn, gboolean *ret_has, GError **error);
/**
 * Changes the tags and the note of @vol, or of its snapshot (NULL: the volume). INVALID, LIMIT,
 * NO_VOL, NOT_FOUND.
 */
gboolean cst_conn_vol_tag(CstConn *conn, const CstVolRef *vol, const char *snapshot,
                          const CstTagChange *change, CstTask *task, GError **error);
/**
 * Returns the records of a volume and its snapshots (CstTagged *). Objects without tags and note
 * have no record. The caller drops the array.
 */
GPtrArray *cst_conn_vol_tagged(CstConn *conn, const CstVolRef *vol, GError **error);
/** Returns the records of a pool's volumes by name (CstTagged *). The caller unrefs the table. */
GHashTable *cst_conn_pool_tagged(CstConn *conn, const CstPoolRef *pool, GError **error);
/** Returns the record of a volume (@snapshot NULL) or snapshot in @rows, borrowed, or NULL. */
const CstTagged *cst_conn_tagged_find(const GPtrArray *rows, const char *snapshot);
/** Returns the volumes of active pools with the tag (CstVolRef *). The caller drops the array. */
GPtrArray *cst_conn_tag_matches(CstConn *conn, const char *tag, GError **error);
