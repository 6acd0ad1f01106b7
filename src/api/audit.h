/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <api/api.h>

/** The record of a call that is under way. Belongs to the call's thread. */
typedef struct ApiAudit ApiAudit;

/**
 * Begins the record of @call and makes it this thread's one. Returns NULL if the call changes
 * nothing: its procedure or these @args only read, or this is a dry run.
 */
ApiAudit *api_audit_begin(const CstApiCall *call, const void *args);
/**
 * Ends the handler of @call, and writes the record. @error: NULL if the call has succeeded. The
 * record of an upload that was opened is written at the end of the upload. Does nothing for NULL.
 */
void api_audit_end(ApiAudit *audit, CstApiCall *call, const void *ret, const GError *error);

/** Adds the identity of @pool, and of the volumes in it, to this thread's record. */
void api_audit_set_pool(CstPool *pool);
/** Adds the UUID of the schedule to this thread's record. */
void api_audit_set_schedule(const CstUuid *uuid);
