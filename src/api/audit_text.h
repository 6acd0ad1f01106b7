/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/uuid.h>

/** Members of the JSON object of a record, with a comma before each further member. */

/** Appends "KEY":"VALUE". A long value is cut. No effect if @value is NULL. */
void audit_add_text(GString *members, const char *key, const char *value);
/** Appends "KEY":NUMBER. */
void audit_add_number(GString *members, const char *key, uint64_t number);
/** Appends "KEY":"UUID". */
void audit_add_uuid(GString *members, const char *key, const CstUuid *uuid);
