/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>

/** Initiators and targets of iSCSI store names and passwords in 256 bytes. */
#define CST_CHAP_MAX 255

/** The values of CHAP; NULL or empty: not set. No password contains a NUL. */
typedef struct {
    char *user;
    CstSecretBytes password;
    char *user_in; /**< for mutual CHAP: the credentials that the target must present */
    CstSecretBytes password_in;
} CstChap;

/** Wipe and free the values. */
void cst_chap_clear(CstChap *chap);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstChap, cst_chap_clear)
