/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/uuid.h>
#include <store/paths.h>

/* What follows the UUID in the names of values' files (store/secret_values.h). */
#define SECRET_PLAIN  ".base64"
#define SECRET_SEALED ".sealed"
#define SECRET_NEXT   ".next"
/* The same, of a value that is kept plain. */
#define SECRET_NEXT_PLAIN ".next-base64"

/** The path of a secret's file; the caller frees it. */
char *secret_file_path(const CstPaths *paths, const CstUuid *uuid, const char *suffix);
/** Where the suffix of a value's file begins in @name; NULL: it is no value's. */
const char *secret_value_suffix(const char *name);
/** LIMIT when the plain file of a value has more bytes than a value can have. */
gboolean secret_value_check(const CstPaths *paths, const CstUuid *uuid, GError **error);
