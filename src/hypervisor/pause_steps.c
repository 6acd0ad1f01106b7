/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Selects the steps of a pause (see the header). */
#include "pause_steps.h"

#include "qmp_uri.h"

const PauseSteps *pause_steps_of(const char *uri)
{
    return qmp_uri_matches(uri) ? &pause_steps_qmp : &pause_steps_libvirt;
}
