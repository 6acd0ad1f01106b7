/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/uuid.h>

/**
 * The comment that libvirt puts before pool definitions and run-states on disk, with the command
 * that edits the object: "virsh pool-edit NAME". (Secret files have none.) A name that a shell or
 * a comment would trip over gives way to the uuid. @edit_command: "pool-edit". g_free() it; the
 * document follows at once.
 */
char *cst_model_file_header(const char *edit_command, const char *name, const CstUuid *uuid);
