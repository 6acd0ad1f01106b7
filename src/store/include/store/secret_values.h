/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>
#include <base/uuid.h>
#include <store/paths.h>

/**
 * The files of secrets' values, in the directory of the definitions. A value is in one of
 *
 * - UUID.base64: plain, as libvirt reads and writes it;
 * - UUID.sealed: encrypted (src/store/seal.h), which libvirt passes over.
 *
 * When both are there the plain one counts, for it is what libvirt reads and may have written; a
 * change from one form to the other writes the new file, then removes the old one, so that it is
 * complete or has not happened.
 *
 * A value that is to take the place of the present one (service/secret/rotate.c) is beside it, in
 * UUID.next-base64 or UUID.next, with the same rules. It is sealed, unsealed, re-keyed and removed
 * with the present one.
 *
 * A write replaces a whole file and is durable when it returns. Callers that change something hold
 * the secrets' driver lock (CST_DRIVER_SECRET). Values are read in any process and thread.
 */

/** The form of a value that is set. */
typedef enum {
    CST_SEAL_AUTO,   /**< sealed where there is a key, or something is sealed already */
    CST_SEAL_ALWAYS, /**< sealed; makes the first key where there is none */
    CST_SEAL_NEVER   /**< plain, for libvirt to read */
} CstSealPolicy;

/** What is known of a value without its key. */
typedef struct {
    gboolean present;
    gboolean sealed;
    char key_id[17]; /**< of the key that it is sealed with; "" of a plain one */
    gint64 changed;  /**< when it was set, seconds since 1970 */
} CstSecretValueInfo;

/** Says how the value of a secret is kept. */
gboolean cst_secret_value_info(const CstPaths *paths, const CstUuid *uuid,
                               CstSecretValueInfo *ret_info, GError **error);
/**
 * Reads a value; *ret_value stays empty when there is none. INVALID_SECRET when it is sealed with a
 * key that is not here (the message names the key and where it was sought), or damaged.
 */
gboolean cst_secret_value_load(const CstPaths *paths, const CstUuid *uuid,
                               CstSecretBytes *ret_value, GError **error);
/**
 * Writes a value that is set now. INVALID_SECRET, and nothing is written, when the key is missing
 * that it, or the value that it replaces, is sealed with.
 */
gboolean cst_secret_value_save(const CstPaths *paths, const CstUuid *uuid,
                               const CstSecretBytes *value, CstSealPolicy policy, GError **error);
/**
 * Seals a plain value, or one that is sealed with another key than the present one; makes the first
 * key where there is none. *ret_changed: it was not so already. A secret without a value is none.
 */
gboolean cst_secret_value_seal(const CstPaths *paths, const CstUuid *uuid, gboolean *ret_changed,
                               GError **error);
/** Makes a sealed value a plain one, whose file is as old as the value. */
gboolean cst_secret_value_unseal(const CstPaths *paths, const CstUuid *uuid, gboolean *ret_changed,
                                 GError **error);
/** Removes the value in all its forms; succeeds when there is none. */
gboolean cst_secret_value_remove(const CstPaths *paths, const CstUuid *uuid, GError **error);

/** How many values are sealed. */
guint cst_secret_values_sealed(const CstPaths *paths);
/** Makes the first key where there is none; INVALID_SECRET when values need one that is missing. */
gboolean cst_secret_key_ensure(const CstPaths *paths, GError **error);
/**
 * Seals everything that is sealed with a new key, which is made first unless the service has it as
 * a credential; then drops the key files that nothing needs. Fails before it changes something when
 * a value can't be opened. Interrupted, it leaves each value readable; a repetition, or
 * cst_secret_value_seal() of all, completes it. *ret_count: how many were sealed anew.
 */
gboolean cst_secret_values_rekey(const CstPaths *paths, guint *ret_count, GError **error);
/** Drops the key files that no value needs, but the present one as well only with @last. */
gboolean cst_secret_keys_drop_unused(const CstPaths *paths, gboolean last, GError **error);

/* --- the value to come ------------------------------------------------------------------------ */

/** Keeps a value beside the present one, in the form that a value would have that is set now. */
gboolean cst_secret_next_save(const CstPaths *paths, const CstUuid *uuid,
                              const CstSecretBytes *value, CstSealPolicy policy, GError **error);
/** Reads it; *ret_value stays empty when there is none. Fails as cst_secret_value_load(). */
gboolean cst_secret_next_load(const CstPaths *paths, const CstUuid *uuid, CstSecretBytes *ret_value,
                              GError **error);
/** Whether there is one, readable or not. */
gboolean cst_secret_next_exists(const CstPaths *paths, const CstUuid *uuid);
/** When it was written, seconds since 1970; 0: there is none. */
gint64 cst_secret_next_saved(const CstPaths *paths, const CstUuid *uuid);
/**
 * Makes it the present value, in one step, and forgets the old one. STATE when there is none.
 * Before that step a failure leaves both as they were; a failure after it leaves the new value.
 */
gboolean cst_secret_next_promote(const CstPaths *paths, const CstUuid *uuid, GError **error);
/** Removes it; succeeds when there is none. */
gboolean cst_secret_next_remove(const CstPaths *paths, const CstUuid *uuid, GError **error);
/** The UUIDs of all secrets that have one (CstUuid in the array); some may be there twice. */
GArray *cst_secret_next_list(const CstPaths *paths);
