/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/**
 * The subordinate uids of subuid(5): which account answers for a uid of a user namespace.
 */
typedef struct SubuidTable SubuidTable;

/**
 * Makes a table of the files subuid and passwd in @etc_dir (NULL: an empty table). Reads nothing
 * before the first question. @owner: the daemon's user. Free it with subuid_table_free().
 */
SubuidTable *subuid_table_new(const char *etc_dir, uid_t owner);
/** NULL is accepted. */
void subuid_table_free(SubuidTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SubuidTable, subuid_table_free)

/**
 * Returns the account that @uid counts for: the owner of the range that has @uid; the first uid of
 * the range, where the range has no single owner; @uid itself, where no range has it or where it is
 * a user of its own. Never root or the daemon's user for another uid.
 *
 * Costs two stat(2); reads the files again after a change of either. A file that is missing is
 * empty; one that cannot be read is logged, and the ranges that were read before stay in force.
 *
 * Locks: none. The caller serializes calls for one table.
 */
uid_t subuid_account(SubuidTable *table, uid_t uid);
