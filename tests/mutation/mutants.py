# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mutants of a C file: each is one small change that a good test notices.

libclang finds the places, so that an operator sees a comparison or an argument's type and not text
that looks like one. What it gives is checked against the text, because everything within a macro
has the place of the whole macro; such places are left alone.
"""

import bisect
import collections
import hashlib
import re

from clang.cindex import CursorKind, Index, TranslationUnit, TypeKind

# start and end are offsets in bytes; before and after are the whole lines, for people and for the
# list of equivalents; copy counts those with equal texts in one function. first_line to last_line is
# the whole statement, since gcov may count any line of it.
Mutant = collections.namedtuple(
    "Mutant",
    "file function operator start end replacement line first_line last_line before after copy")

Edit = collections.namedtuple("Edit", "operator start end replacement")

BOUNDARY = {b"<": b"<=", b"<=": b"<", b">": b">=", b">=": b">"}
LOGIC = {b"&&": b"||", b"||": b"&&"}
# Without those that clang-tidy insists on (android-cloexec-*), and one that is 0.
FLAG = re.compile(rb"(?!\w*CLOEXEC$|O_RDONLY$)[A-Z][A-Z0-9_]*")
# To which it is all one which of two comes first.
SYMMETRIC = re.compile(r"strcmp|g_strcmp0|g_str_equal|memcmp|\w+_equal")
# To leave these out loses memory or a line in the log, which is not what the tests are for. Where
# g_new0 has made them, locks and conditions are ready without a call.
HARMLESS = re.compile(r"g_free|g_strfreev|g_clear_\w+|g_dir_close|va_end|cst_log\w*|"
                      r"g_(mutex|rw_lock|cond)_(init|clear)|\w*_(free|unref)")
# Descriptor 0 is standard input and never what an open of ours gives, so "fd <= 0" is no change.
DESCRIPTOR = re.compile(rb"[\w>.-]*fd")
# Calls whose result is used, and without which all looks well until the power fails.
DURABLE = re.compile(r"sync|flush|barrier|rollback")
# Operators that change which way is taken, and nothing else.
DECISIONS = {"boundary", "logic", "invert"}
SUCCESS = {"gboolean": "TRUE", "int": "0"}
FAILURES = {"gboolean": re.compile(rb"return\s+(FALSE|cst_fail\w*\(.*\))", re.S),
            "int": re.compile(rb"return\s+-\s*(1|E[A-Z]+|errno)")}
BODIES = {CursorKind.IF_STMT: slice(1, None), CursorKind.FOR_STMT: slice(-1, None),
          CursorKind.WHILE_STMT: slice(-1, None), CursorKind.DO_STMT: slice(0, 1),
          CursorKind.COMPOUND_STMT: slice(0, None), CursorKind.CASE_STMT: slice(-1, None),
          CursorKind.DEFAULT_STMT: slice(-1, None), CursorKind.LABEL_STMT: slice(-1, None)}
CONDITIONS = {CursorKind.IF_STMT: 0, CursorKind.WHILE_STMT: 0, CursorKind.CONDITIONAL_OPERATOR: 0,
              CursorKind.DO_STMT: -1}


def span(cursor):
    return cursor.extent.start.offset, cursor.extent.end.offset


class Source:
    """A parsed file: its bytes, and where macros with arguments are used."""

    def __init__(self, path, arguments):
        with open(path, "rb") as stream:
            self.text = stream.read()
        self.unit = Index.create().parse(
            path, arguments, options=TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD)
        fatal = [str(d) for d in self.unit.diagnostics if d.severity >= 3]
        if fatal:
            raise ValueError(f"{path} does not compile: {fatal[0]}")
        self.path = path
        self.macros = sorted(span(c) for c in self.own(CursorKind.MACRO_INSTANTIATION)
                             if b"(" in self.of(c))

    def own(self, kind):
        return [c for c in self.unit.cursor.get_children()
                if c.kind == kind and c.location.file and c.location.file.name == self.path]

    def of(self, cursor):
        start, end = span(cursor)
        return self.text[start:end]

    def line_at(self, offset):
        return self.text.count(b"\n", 0, offset) + 1

    def in_macro(self, cursor):
        start, end = span(cursor)
        at = bisect.bisect_right(self.macros, (start, len(self.text)))
        return at > 0 and end <= self.macros[at - 1][1]

    def functions(self):
        return [c for c in self.own(CursorKind.FUNCTION_DECL) if c.is_definition()]


def statement_calls(parent, children):
    return [c for c in children[BODIES.get(parent.kind, slice(0, 0))]
            if c.kind == CursorKind.CALL_EXPR]


def dropped_calls(source, cursor, children):
    """A call that is a statement is left out; one whose result is used is taken for a success."""
    statements = statement_calls(cursor, children)
    for call in children:
        if call.kind != CursorKind.CALL_EXPR or source.in_macro(call):
            continue
        value = SUCCESS.get(call.type.spelling)
        if call in statements and not HARMLESS.fullmatch(call.spelling):
            yield Edit("drop", *span(call), b"")
        elif call not in statements and value and DURABLE.search(call.spelling):
            yield Edit("drop", *span(call), value.encode())


def changed_operators(source, cursor, children):
    """Off by one at a comparison; && for ||; a flag left out."""
    if cursor.kind != CursorKind.BINARY_OPERATOR or len(children) != 2 or source.in_macro(cursor):
        return
    (left_start, left_end), (right_start, right_end) = map(span, children)
    between = source.text[left_end:right_start]
    sign = between.strip()
    at = left_end + len(between) - len(between.lstrip())
    if sign in BOUNDARY and not DESCRIPTOR.fullmatch(source.of(children[0])):
        yield Edit("boundary", at, at + len(sign), BOUNDARY[sign])
    elif sign in LOGIC:
        yield Edit("logic", at, at + len(sign), LOGIC[sign])
    elif sign == b"|":
        if FLAG.fullmatch(source.of(children[1])):
            yield Edit("flag", left_end, right_end, b"")
        if FLAG.fullmatch(source.of(children[0])):
            yield Edit("flag", left_start, right_start, b"")


def inverted_condition(source, cursor, children):
    if cursor.kind in CONDITIONS and not source.in_macro(cursor):
        condition = children[CONDITIONS[cursor.kind]]
        yield Edit("invert", *span(condition), b"!(" + source.of(condition) + b")")


def swapped_arguments(source, cursor, _children):
    if cursor.kind != CursorKind.CALL_EXPR or source.in_macro(cursor) or \
            HARMLESS.fullmatch(cursor.spelling) or SYMMETRIC.fullmatch(cursor.spelling):
        return
    arguments = list(cursor.get_arguments())
    for one, other in zip(arguments, arguments[1:]):
        (start, middle), (resume, end) = span(one), span(other)
        same_type = one.type.get_canonical().spelling == other.type.get_canonical().spelling
        if same_type and middle <= resume and source.of(one) != source.of(other):
            yield Edit("swap", start, end,
                       source.of(other) + source.text[middle:resume] + source.of(one))


def early_returns(source, function):
    """Back before the first statement, and before the last one, with nothing in the hand."""
    kind = function.result_type.get_canonical().kind
    body = [c for c in function.get_children() if c.kind == CursorKind.COMPOUND_STMT]
    if kind == TypeKind.RECORD or not body or HARMLESS.fullmatch(function.spelling):
        return
    value = b"return; " if kind == TypeKind.VOID else b"return 0; "
    statements = [c for c in body[0].get_children()
                  if c.kind not in (CursorKind.DECL_STMT, CursorKind.RETURN_STMT)
                  and not source.in_macro(c)]
    for at in {0, len(statements) - 1} if statements else ():
        left_out = statements[at:]
        # One call that is skipped is what "drop" does.
        if len(left_out) > 1 or left_out[0].kind != CursorKind.CALL_EXPR:
            start = statements[at].extent.start.offset
            yield Edit("return", start, start, value)


def errors_as_success(source, function, cursor):
    kind = function.result_type.spelling
    if cursor.kind == CursorKind.RETURN_STMT and kind in FAILURES and \
            FAILURES[kind].fullmatch(source.of(cursor)):
        yield Edit("success", *span(cursor), b"return " + SUCCESS[kind].encode())


def statement_spans(function):
    """Where the statements of @function begin and end, without the statements in them."""
    for cursor in function.walk_preorder():
        for statement in list(cursor.get_children())[BODIES.get(cursor.kind, slice(0, 0))]:
            start, end = span(statement)
            parts = list(statement.get_children())
            # A bare for (;;) has no code of its own: whoever reaches its body has reached it.
            if statement.kind in BODIES and (statement.kind != CursorKind.FOR_STMT or
                                             len(parts) > 1):
                end = max([start, *(span(part)[1] for part in parts if part.kind not in BODIES)])
            yield start, end


def around(spans, edit):
    """The smallest of the statements that @edit lies in."""
    within = [s for s in spans if s[0] <= edit.start and edit.end <= s[1]]
    return min(within, key=lambda s: s[1] - s[0], default=(edit.start, edit.end))


def edits_of(source, function):
    waiting, found, pointless = [function], list(early_returns(source, function)), []
    while waiting:
        cursor = waiting.pop()
        children = list(cursor.get_children())
        waiting += children
        for operator in (dropped_calls, changed_operators, inverted_condition, swapped_arguments):
            found += operator(source, cursor, children)
        found += errors_as_success(source, function, cursor)
        if cursor.kind == CursorKind.IF_STMT and is_harmless(children):
            pointless.append(span(children[0]))
    return {e for e in found if e.operator not in DECISIONS or not any(
        start <= e.start and e.end <= end for start, end in pointless)}


def is_harmless(parts):
    """Of an if's @parts: all that it decides is whether a harmless call is made."""
    return len(parts) == 2 and parts[1].kind == CursorKind.CALL_EXPR and \
        HARMLESS.fullmatch(parts[1].spelling)


def apply(text, mutant):
    return text[:mutant.start] + mutant.replacement + text[mutant.end:]


def shown(text):
    return " ".join(text.decode(errors="replace").split())


def mutants_of(path, name, arguments):
    """All mutants of the file at @path in the order of their places; @name is what to call it."""
    source = Source(path, arguments)
    found, copies = [], collections.Counter()
    for function in source.functions():
        spans = list(statement_spans(function))
        for edit in sorted(edits_of(source, function), key=lambda e: e[1:]):
            start = source.text.rfind(b"\n", 0, edit.start) + 1
            end = source.text.find(b"\n", max(edit.end - 1, edit.start))
            before = shown(source.text[start:end])
            after = shown(source.text[start:edit.start] + edit.replacement +
                          source.text[edit.end:end])
            key = (function.spelling, before, after)
            copies[key] += 1
            statement = around(spans, edit)
            found.append(Mutant(name, function.spelling, edit.operator, edit.start, edit.end,
                                edit.replacement, source.line_at(edit.start),
                                *map(source.line_at, statement), before, after, copies[key]))
    return found


def identity(mutant):
    """What a mutant is known by. It holds when lines above it come and go."""
    return mutant.file, mutant.function, mutant.before, mutant.after, mutant.copy


def digest(mutant, seed=0):
    """A short name for the mutant, or its place in an order that @seed decides."""
    return hashlib.sha256(repr((identity(mutant), seed)).encode()).hexdigest()[:16]
