/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <blob/chap.h>

void cst_chap_clear(CstChap *chap)
{
    g_clear_pointer(&chap->user, g_free);
    g_clear_pointer(&chap->user_in, g_free);
    cst_secret_bytes_clear(&chap->password);
    cst_secret_bytes_clear(&chap->password_in);
}
