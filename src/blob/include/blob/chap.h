/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/secret_bytes.h>

/** Initiators and targets of iSCSI keep names and passwords in 256 bytes. */
#define CST_CHAP_MAX 255

/** The values of CHAP; NULL, or without data: none. No password has a NUL in it. */
typedef struct {
    char *user;
    CstSecretBytes password;
    char *user_in; /**< what the target has to prove to know, too */
    CstSecretBytes password_in;
} CstChap;

/** Wipes and frees the values. */
void cst_chap_clear(CstChap *chap);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstChap, cst_chap_clear)
