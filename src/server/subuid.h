/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/**
 * The subordinate uids of subuid(5). The table maps a uid of a user namespace to the account that
 * owns it.
 */
typedef struct SubuidTable SubuidTable;

/**
 * Makes a table of the files subuid and passwd in @etc_dir (NULL: an empty table). The files are
 * first read by subuid_account(). @owner: the daemon's user. Free the table with
 * subuid_table_free().
 */
SubuidTable *subuid_table_new(const char *etc_dir, uid_t owner);
/** NULL is accepted. */
void subuid_table_free(SubuidTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SubuidTable, subuid_table_free)

/**
 * Returns the account that @uid counts for:
 * - the owner of the range that contains @uid;
 * - the first uid of the range, if the range has no single owner;
 * - @uid itself, if no range contains it or passwd has a user with that uid.
 *
 * Never returns root or the daemon's user for another uid.
 *
 * Calls stat(2) twice, and reads the files again if either has changed. A missing file counts as
 * empty. A file that cannot be read is logged, and the ranges read before stay in force.
 *
 * Locks: takes no lock. The caller serializes calls for one table.
 */
uid_t subuid_account(SubuidTable *table, uid_t uid);
