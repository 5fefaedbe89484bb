#!/usr/bin/env python3
"""Writes runtime/unicode_tables.inc from Python's unicodedata: general categories, combining classes and
canonical decompositions of all characters. Run by hand when tables of another version of Unicode are wanted:

    scripts/make_unicode_tables.py > runtime/unicode_tables.inc
"""
import unicodedata

CATEGORIES = ("Cn Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So "
              "Zl Zp Zs").split()
LAST = 0x110000


def runs(value_of):
    """(first character, value) of each run of characters with one value."""
    before = None
    for c in range(LAST):
        value = value_of(chr(c))
        if value != before:
            yield c, value
        before = value


def decomposition(c):
    """The one or two characters that `c` stands for canonically, Hangul syllables left to arithmetic."""
    text = unicodedata.decomposition(c)
    if not text or text.startswith("<"):
        return None
    return [int(part, 16) for part in text.split()]


def print_table(kind, name, comment, numbers):
    print(f"// {comment}")
    print(f"constexpr {kind} {name}[] = {{")
    line = "   "
    for number in numbers:
        text = f" {number:#x}," if number > 9 else f" {number},"
        if len(line) + len(text) > 110:
            print(line)
            line = "   "
        line += text
    print(line)
    print("};")


def main():
    print("// Written by scripts/make_unicode_tables.py; not to be changed by hand.")
    print(f'constexpr const char* kUnicodeVersion = "{unicodedata.unidata_version}";')
    categories = [c << 5 | CATEGORIES.index(value) for c, value in runs(unicodedata.category)]
    print_table("uint32_t", "kCategoryRuns", "First character of each run << 5 | category.", categories)
    classes = [c << 8 | value for c, value in runs(unicodedata.combining)]
    print_table("uint32_t", "kClassRuns", "First character of each run << 8 | combining class.", classes)
    triples = []
    for c in map(chr, range(LAST)):
        parts = decomposition(c)
        if parts is None:
            continue
        first, second = (parts + [0])[:2]
        assert len(parts) <= 2
        composes = second != 0 and unicodedata.normalize("NFC", chr(first) + chr(second)) == c
        triples += [ord(c) << 1 | composes, first, second]
    print_table("uint32_t", "kDecompositions",
                "Character << 1 | whether the parts compose again, first part, second part or 0.", triples)


main()
