/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <blob/chap.h>

#include <string.h>

static void wipe(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    g_clear_pointer(text, g_free);
}

void cst_chap_clear(CstChap *chap)
{
    g_clear_pointer(&chap->user, g_free);
    g_clear_pointer(&chap->user_in, g_free);
    wipe(&chap->password);
    wipe(&chap->password_in);
}
