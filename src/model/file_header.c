/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The comment at the head of definition files. Its text is libvirt's and warns people not to edit
 * the file. It contains a name chosen by a user. A name that could end the comment or be misread by
 * a shell is replaced by the UUID.
 */
#include <model/file_header.h>

#include <string.h>

/* "--" would end the comment. */
static gboolean is_shell_safe(const char *name)
{
    return name && !strpbrk(name, "\r\t\n !\"#$&'()*;<>?[\\]^`{|}~") && !strstr(name, "--");
}

char *cst_model_file_header(const char *edit_command, const char *name, const CstUuid *uuid)
{
    char text[CST_UUID_TEXT_LEN];

    return g_strdup_printf(
        "<!--\n"
        "WARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE\n"
        "OVERWRITTEN AND LOST. Changes to this xml configuration should be made using:\n"
        "  virsh %s %s\n"
        "or other application using the libvirt API.\n"
        "-->\n\n",
        edit_command, is_shell_safe(name) ? name : cst_uuid_format(uuid, text));
}
