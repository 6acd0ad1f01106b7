/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Initiators and targets of iSCSI keep names and passwords in 256 bytes. */
#define CST_CHAP_MAX 255

/** The values of CHAP; NULL: none. */
typedef struct {
    char *user;
    char *password;
    char *user_in; /**< what the target has to prove to know, too */
    char *password_in;
} CstChap;

/** Wipes and frees the values. */
void cst_chap_clear(CstChap *chap);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstChap, cst_chap_clear)
