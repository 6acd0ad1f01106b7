/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/chap.h>
#include <pool/backend.h>

/**
 * Reads the CHAP credentials of the pool's definition: the initiator's from its <auth>, and the
 * target's from the options "mutual-username" and "mutual-secret", which libvirt lacks. Each user
 * and password has 1 to CST_CHAP_MAX bytes and no NUL. XML for another type of <auth>; CONFIG if
 * only one of the options is set; INVALID_SECRET if a value is not a valid password.
 */
gboolean cst_chap_read(const CstPoolState *state, CstChap *ret_chap, GError **error);

/** CstBackend.secret_options of pools with CHAP. */
extern const char *const cst_chap_secret_options[];
