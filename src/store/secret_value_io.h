/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <base/uuid.h>
#include <store/paths.h>

#include "seal_keys.h"

/** Names of a value's two forms. */
typedef struct {
    const char *plain;
    const char *sealed;
} ValuePlace;

/** Of the value that counts, and of the one that is to take its place. */
extern const ValuePlace value_present;
extern const ValuePlace value_pending;

/** A value's file as it was read. */
typedef struct {
    char *path; /**< NULL: there is none */
    CstSecretBytes bytes;
    gboolean sealed;
    gint64 mtime;
} ValueFile;

/** Overwrites and frees. */
void value_file_clear(ValueFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ValueFile, value_file_clear)

/** Reads the file at @path, which it takes over; file->path stays NULL where there is none. */
gboolean value_read_file(char *path, size_t limit, ValueFile *file, GError **error);
/** Reads the file that counts of those of @place; its path is NULL where there is none. */
gboolean value_read(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                    ValueFile *file, GError **error);
/** The value in @file, and when it was set. @keys: for a sealed one. */
gboolean value_open(const ValueFile *file, const CstUuid *uuid, const SealKeys *keys,
                    CstSecretBytes *ret_value, gint64 *ret_changed, GError **error);

/** Removes one form; succeeds where there is none. */
gboolean value_remove_form(const CstPaths *paths, const CstUuid *uuid, const char *suffix,
                           GError **error);
/** Writes the plain form, then removes the sealed one. */
gboolean value_write_plain(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                           const CstSecretBytes *value, gint64 changed, GError **error);
/** Writes the sealed form to @path, after it has been opened again. */
gboolean value_write_seal(const char *path, const CstUuid *uuid, const CstSecretBytes *value,
                          gint64 changed, const SealKey *key, GError **error);
/** Writes the sealed form, then removes the plain one. */
gboolean value_write_sealed(const CstPaths *paths, const CstUuid *uuid, const ValuePlace *place,
                            const CstSecretBytes *value, gint64 changed, const SealKey *key,
                            GError **error);
