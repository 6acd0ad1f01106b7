/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/chap.h>
#include <pool/backend.h>

/**
 * Reads the values of CHAP that the pool's definition names: those of its <auth>, and with the
 * options "mutual-username" and "mutual-secret", for which libvirt has no word, the target's own.
 * Each user and password has 1 to CST_CHAP_MAX bytes and no NUL. XML for another kind of <auth>,
 * CONFIG for half of the options, INVALID_SECRET for a value that can be no password.
 */
gboolean cst_chap_read(const CstPoolState *state, CstChap *ret_chap, GError **error);
