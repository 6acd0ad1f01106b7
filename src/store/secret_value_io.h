/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <base/uuid.h>
#include <store/paths.h>

#include "seal_keys.h"

/** Suffixes of a value's two forms. */
typedef struct {
    const char *plain;
    const char *sealed;
} ValuePlace;

/** Suffixes of the present value, and of the next value. */
extern const ValuePlace value_present;
extern const ValuePlace value_pending;

/** A value's file and its content. */
typedef struct {
    char *path; /**< NULL: the file does not exist */
    CstSecretBytes bytes;
    gboolean sealed;
    gint64 mtime;
} ValueFile;

/** Overwrites and frees the content. */
void value_file_clear(ValueFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ValueFile, value_file_clear)

/**
 * Reads the file at @path. Takes ownership of @path. file->path remains NULL if the file does not
 * exist.
 */
gboolean value_read_file(char *path, size_t limit, ValueFile *file, GError **error);
/** Reads the file of @place that counts. Its path is NULL if no file exists. */
gboolean value_read(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                    ValueFile *file, GError **error);
/** Decodes the value in @file and the time at which it was set. @keys: for a sealed value. */
gboolean value_open(const ValueFile *file, const CstUuid *uuid, const SealKeys *keys,
                    CstSecretBytes *ret_value, gint64 *ret_changed, GError **error);

/** Removes one form. Succeeds if it does not exist. */
gboolean value_remove_form(const CstPaths *paths, const CstUuid *uuid, const char *suffix,
                           GError **error);
/** Writes the plain form, then removes the sealed one. */
gboolean value_write_plain(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                           const CstSecretBytes *value, gint64 changed, GError **error);
/** Writes the sealed form to @path, after a check that it can be opened. */
gboolean value_write_seal(const char *path, const CstUuid *uuid, const CstSecretBytes *value,
                          gint64 changed, const SealKey *key, GError **error);
/** Writes the sealed form, then removes the plain one. */
gboolean value_write_sealed(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                            const CstSecretBytes *value, gint64 changed, const SealKey *key,
                            GError **error);
