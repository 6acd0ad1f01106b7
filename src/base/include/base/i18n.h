/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libintl.h>

/** Messages for people are translated with gettext, in the text domain "cistern". */
#define CST_TEXT_DOMAIN "cistern"
#define _(text)         dgettext(CST_TEXT_DOMAIN, text)
#define N_(text)        (text)
