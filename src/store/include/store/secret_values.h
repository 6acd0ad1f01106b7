/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <base/uuid.h>
#include <store/paths.h>

/**
 * The files of secrets' values, in the directory of the definitions. A value is in one of
 *
 * - UUID.base64: plain, as libvirt reads and writes it;
 * - UUID.sealed: encrypted (src/store/seal.h), which libvirt ignores.
 *
 * If both exist, the plain value counts, because libvirt reads it and may have written it. A change
 * from one form to the other writes the new file, then removes the old one. So after a crash the
 * change is either complete or has not happened.
 *
 * A value that will replace the present one (service/secret/rotate.c) is in UUID.next-base64 or
 * UUID.next, with the same rules. It is sealed, unsealed, re-keyed and removed together with the
 * present value.
 *
 * A write replaces a whole file and is durable when it returns. Callers that change a file hold the
 * secrets' driver lock (CST_DRIVER_SECRET). Values are read in any process and thread.
 */

/** The form in which a value is saved. */
typedef enum {
    CST_SEAL_AUTO,   /**< sealed if a key exists; plain if no key and no sealed value exists */
    CST_SEAL_ALWAYS, /**< sealed; makes the first key if necessary */
    CST_SEAL_NEVER   /**< plain, for libvirt to read */
} CstSealPolicy;

/** The properties of a value that are known without its key. */
typedef struct {
    gboolean present;
    gboolean sealed;
    char key_id[17]; /**< of the key that seals it; "" for a plain value */
    gint64 changed;  /**< time at which it was set, seconds since 1970 */
} CstSecretValueInfo;

/** Reads the form, key and date of a secret's value. present is FALSE if it has no value. */
gboolean cst_secret_value_info(const CstPaths *paths, const CstUuid *uuid,
                               CstSecretValueInfo *ret_info, GError **error);
/**
 * Reads a value. *ret_value remains empty if the secret has no value. Fails with INVALID_SECRET if
 * the key that seals it is missing (the message names the key and the places that were searched),
 * or if it is damaged.
 */
gboolean cst_secret_value_load(const CstPaths *paths, const CstUuid *uuid,
                               CstSecretBytes *ret_value, GError **error);
/**
 * Writes a value that is set now. Fails with INVALID_SECRET, without a write, if the key that seals
 * it, or that seals the value that it replaces, is missing.
 */
gboolean cst_secret_value_save(const CstPaths *paths, const CstUuid *uuid,
                               const CstSecretBytes *value, CstSealPolicy policy, GError **error);
/**
 * Seals a plain value, or a value that is sealed with another key than the present one. Makes the
 * first key if necessary. *ret_changed: the form or key has changed. Succeeds for a secret without
 * a value.
 */
gboolean cst_secret_value_seal(const CstPaths *paths, const CstUuid *uuid, gboolean *ret_changed,
                               GError **error);
/** Unseals a sealed value. The time of the plain file is the time at which the value was set. */
gboolean cst_secret_value_unseal(const CstPaths *paths, const CstUuid *uuid, gboolean *ret_changed,
                                 GError **error);
/** Removes the value in all its forms. Succeeds if the secret has no value. */
gboolean cst_secret_value_remove(const CstPaths *paths, const CstUuid *uuid, GError **error);

/** Returns the number of sealed values. */
guint cst_secret_values_sealed(const CstPaths *paths);
/**
 * Makes the first key if no key exists. Fails with INVALID_SECRET if values need a key that is
 * missing.
 */
gboolean cst_secret_key_ensure(const CstPaths *paths, GError **error);
/**
 * Seals all sealed values with a new key. Creates the key first, unless the service has it as a
 * credential. Then removes the key files that no value needs. If a value cannot be opened, fails
 * before any change. An interruption leaves each value readable; a repetition, or
 * cst_secret_value_seal() of all values, completes the change. *ret_count: number of values that
 * were sealed again.
 */
gboolean cst_secret_values_rekey(const CstPaths *paths, guint *ret_count, GError **error);
/** Removes the key files that no value needs. Removes the present key only with @last. */
gboolean cst_secret_keys_drop_unused(const CstPaths *paths, gboolean last, GError **error);

/* --- the next value --------------------------------------------------------------------------- */

/** Saves the next value in addition to the present one, in the form that a new value would have. */
gboolean cst_secret_next_save(const CstPaths *paths, const CstUuid *uuid,
                              const CstSecretBytes *value, CstSealPolicy policy, GError **error);
/**
 * Reads the next value. *ret_value remains empty if it does not exist. Fails as
 * cst_secret_value_load().
 */
gboolean cst_secret_next_load(const CstPaths *paths, const CstUuid *uuid, CstSecretBytes *ret_value,
                              GError **error);
/** Whether a next value exists, readable or not. */
gboolean cst_secret_next_exists(const CstPaths *paths, const CstUuid *uuid);
/**
 * Returns the time at which the next value was written, seconds since 1970; 0: it does not exist.
 */
gint64 cst_secret_next_saved(const CstPaths *paths, const CstUuid *uuid);
/**
 * Makes the next value the present one, in one step, and discards the old value. Fails with STATE
 * if no next value exists. A failure before that step leaves both values unchanged; a failure after
 * it leaves the new value.
 */
gboolean cst_secret_next_promote(const CstPaths *paths, const CstUuid *uuid, GError **error);
/** Removes the next value. Succeeds if it does not exist. */
gboolean cst_secret_next_remove(const CstPaths *paths, const CstUuid *uuid, GError **error);
/**
 * Returns the UUIDs of all secrets with a next value (CstUuid in the array). A UUID may occur
 * twice.
 */
GArray *cst_secret_next_list(const CstPaths *paths);
