/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/tag.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>

gboolean cst_tag_check(const char *tag, GError **error)
{
    size_t len = strlen(tag), valid = 0;

    while (valid < len && (g_ascii_isalnum(tag[valid]) || strchr("._:-", tag[valid])))
        valid++;
    if (len > 0 && len <= CST_TAG_MAX && valid == len && !strchr(".:-", *tag))
        return TRUE;
    return cst_fail(error, CST_ERROR_INVALID,
                    _("'%s' is no tag: a tag has 1 to %d letters, digits, '.', '_', ':' or '-', "
                      "and begins with a letter, a digit or '_'"),
                    tag, CST_TAG_MAX);
}

gboolean cst_note_check(const char *note, GError **error)
{
    if (strlen(note) > CST_NOTE_MAX)
        return cst_fail(error, CST_ERROR_INVALID, _("the note is longer than %d bytes"),
                        CST_NOTE_MAX);
    if (!*note || !g_utf8_validate(note, -1, NULL))
        return cst_fail(error, CST_ERROR_INVALID, _("the note is empty, or is not UTF-8"));
    for (const char *at = note; *at; at = g_utf8_next_char(at))
        if (*at != '\n' && !cst_text_is_plain(g_utf8_get_char(at)))
            return cst_fail(error, CST_ERROR_INVALID,
                            _("the note contains a control character or a direction mark"));
    return TRUE;
}
