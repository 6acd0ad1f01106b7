/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/uuid.h>
#include <store/paths.h>

/* Suffixes after the UUID in the names of value files (store/secret_values.h). */
#define SECRET_PLAIN  ".base64"
#define SECRET_SEALED ".sealed"
#define SECRET_NEXT   ".next"
/* The suffix of a next value that is kept plain. */
#define SECRET_NEXT_PLAIN ".next-base64"

/** Returns the path of a secret's file; the caller frees it. */
char *secret_file_path(const CstPaths *paths, const CstUuid *uuid, const char *suffix);
/** Returns the start of a value file's suffix in @name; NULL: not a value file. */
const char *secret_value_suffix(const char *name);
/** Fails with LIMIT if the plain file of a value is larger than any value in base64. */
gboolean secret_value_check(const CstPaths *paths, const CstUuid *uuid, GError **error);
