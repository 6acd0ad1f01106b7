# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages that translators can find: the gate "messages" of scripts/lint.

xgettext puts the pieces of a message together, and knows PRIu64 and its like from <inttypes.h>.
At GLib's names for the same (G_GUINT64_FORMAT) it ends the message: the catalogue gets half of it,
and the whole is never translated.
"""

import re

# A string or a character, which may hold what looks like a comment or a parenthesis; or a comment.
TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)
CALL = re.compile(r"\b(?:_|N_|ngettext)\(")
GLIB_FORMAT = re.compile(r"\bG_G\w+_FORMAT\b|\bG_G\w+_MODIFIER\b")


def bare(text):
    """C source without what stands in strings and comments; every other character is in its place."""
    return TOKEN.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def end_of_call(code, start):
    """Where the parenthesis that opens before @start is closed."""
    depth = 1
    for found in re.finditer(r"[()]", code[start:]):
        depth += 1 if found.group() == "(" else -1
        if depth == 0:
            return start + found.start()
    return len(code)


def cut_messages(text):
    """The lines of C source where a message ends for xgettext before it does for the compiler."""
    code = bare(text)
    return sorted({code.count("\n", 0, call.end() + found.start()) + 1
                   for call in CALL.finditer(code)
                   for found in GLIB_FORMAT.finditer(code[call.end():end_of_call(code, call.end())])})


def check_that_it_can_fail():
    planted = ('_("a %" G_GUINT64_FORMAT " b");\nN_("(" /* ) */\n "%" G_GSIZE_FORMAT);\n'
               'ngettext("a", "%" G_GINT64_MODIFIER "d", n);')
    if cut_messages(planted) != [1, 3, 4]:
        return ["scripts/messages.py: misses a message that was planted"]
    harmless = ('f(_("a %" PRIu64), g("%" G_GUINT64_FORMAT));\n'
                'my_("%" G_GUINT64_FORMAT); "_(" G_GUINT64_FORMAT /* _( */;')
    return [f"scripts/messages.py: complains about line {line} without reason"
            for line in cut_messages(harmless)]


def check(files, read):
    """Complaints; @files are all of the project's, @read gives the text of one."""
    complaints = check_that_it_can_fail()
    for path in files:
        complaints += [f"{path}:{line}: a translated message with GLib's format: use PRIu64 and its "
                       "like, which xgettext knows" for line in cut_messages(read(path))]
    return complaints
