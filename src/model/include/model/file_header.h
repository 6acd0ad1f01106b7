/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/uuid.h>

/**
 * Returns the comment that libvirt writes at the head of pool definitions and states. It has the
 * command that edits the object: "virsh pool-edit NAME" for @edit_command "pool-edit". Uses the
 * uuid instead of a name that contains shell or comment syntax. The document follows immediately.
 * g_free() it.
 */
char *cst_model_file_header(const char *edit_command, const char *name, const CstUuid *uuid);
