# SPDX-License-Identifier: LGPL-2.1-or-later
"""How documents are made: the gate "xml" of scripts/lint.

A text that printf() inserts into XML may bring elements of its own. So no string in src has a "%s"
as the content of an element or as the value of an attribute: src/model's writer (model/xml_write.h)
escapes each value.

OTHERS escape each value themselves, for the reason beside them.
"""

import re

FOLDER = "src/"
# The writer itself, and the descriptor of an OVA: 60 lines with three values, which
# g_markup_escape_text() escapes.
OTHERS = ["src/model/xml_write.c", "src/cli/commands/transfer/package.c"]

LITERALS = re.compile(r'"(?:\\.|[^"\\\n])*"(?:\s*(?:[A-Z_]\w*\s*)?"(?:\\.|[^"\\\n])*")*')
COMMENT = re.compile(r"/\*.*?\*/", re.S)
# <a b='%s', <a b=\"%s, <a>%s and <a>\n%s, each with flags and a precision or without.
CONVERSION = r"%(?:\d+\$)?[-#0 ]*(?:\d+|\*)?(?:\.(?:\d+|\*))?s"
ATTRIBUTE = r"""\s[\w:]+=\\?['"]%s""" % CONVERSION
TEMPLATE = re.compile(r"<[\w:]+\s[^>]*?%s|^%s|<[\w:]+(?:\s[^<>]*)?>(?:\\n|\s)*%s(?:\\n|\s)*</"
                      % (ATTRIBUTE.replace(r"\s", "", 1), ATTRIBUTE, CONVERSION))


def templates(text):
    """The lines of @text, C source, on which such a string begins."""
    code = COMMENT.sub(lambda found: "\n" * found.group().count("\n"), text)
    for found in LITERALS.finditer(code):
        if TEMPLATE.search(re.sub(r'(?<!\\)"\s*(?:[A-Z_]\w*\s*)?"', "", found.group())[1:-1]):
            yield code.count("\n", 0, found.start()) + 1


def check_that_it_can_fail():
    """The rule sees templates in each form, and no message that names an element."""
    wrong = [r'''f("<name>%s</name>\n", x);''', r'''f("  <host name='%s'", x);''',
             r'''f(" port='%s'", x);''', r'''f("<a b=\"%s\"/>", x);''',
             '''f("<a>"\n  "<b c='%.*s'/>", 1, x);''', r'''f("<a x='" NS "' days='%s'/>", x);''',
             r'''f("<a>\n  %2$s\n</a>", x);''']
    right = [r'''f(_("<uuid> does not match the name '%s'"), x);''', r'''f("<name>x</name>");''',
             r'''f(_("no host with wwnn='%s'"), x);''', r'''/* <name>%s</name> */''', r'''f("%s <%s>", x, y);''']
    return ([f"scripts/xml_templates.py: misses {text}" for text in wrong
             if not list(templates(text))]
            + [f"scripts/xml_templates.py: complains about {text} without reason"
               for text in right if list(templates(text))])


def check(files, read):
    """Complaints; @files are all of the project's, @read gives the text of one."""
    return check_that_it_can_fail() + [
        f"{path}:{line}: %s in XML; model/xml_write.h writes documents"
        for path in files if path.startswith(FOLDER) and path not in OTHERS
        for line in templates(read(path))]
