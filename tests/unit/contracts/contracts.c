/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Ends a test in which a backend, blob or format breaks the contract of errors (base/call.h). The
 * dispatchers turn a broken contract into an error. A test that expects an error would accept it
 * as the right one: for example a failure that was returned as a success.
 */
#include <base/call.h>

gboolean __real_cst_call_end(CstCall *call, gboolean done, GError **error);
gboolean __wrap_cst_call_end(CstCall *call, gboolean done, GError **error);

gboolean __wrap_cst_call_end(CstCall *call, gboolean done, GError **error)
{
    if (!done != (call->why != NULL))
        g_error("the %s %s's %s %s", call->kind, call->noun, call->slot,
                done ? call->why->message : "failed without an error");
    return __real_cst_call_end(call, done, error);
}
