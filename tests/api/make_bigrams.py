"""Makes the table of letter pairs in lua-api/bigrams.lua, from which lunette.names.random() judges.

    python3 tests/api/make_bigrams.py > lua-api/bigrams.lua

The words are the parts of Debian's package names (apt-cache pkgnames, Debian 12): tens of thousands of names that people
gave to things, English words and abbreviations of the trade among them, and nobody's prose. Each part counts once, so
that no family of packages (python3-, golang-) has its way.
"""

import collections
import math
import re
import subprocess

LETTERS = "abcdefghijklmnopqrstuvwxyz0."  # 0: any digit; .: before the first and after the last character
STEP = 8  # steps a bit
FIRST = 35  # the character for 0 bits; 92, the backslash, is left out


def words():
    names = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, text=True, check=True).stdout.split()
    found = set()
    for name in names:
        for part in re.split(r"[^a-z0-9]+", name.lower()):
            part = re.sub(r"^lib(?=...)", "", part)
            if len(part) > 2 and re.search("[a-z]", part):
                found.add(part)
    return found


def main():
    counts = collections.Counter()
    for word in words():
        text = "." + re.sub(r"\d", "0", word) + "."
        for a, b in zip(text, text[1:]):
            counts[a + b] += 1
    print("""-- How surprising is a letter after another, in the names that people give to things? For each of the 28 signs (a to z, 0 for
-- any digit, . for the edge of a word) a line with a character for each sign that may follow: its code less 35 (36 from 93
-- on) is -log2 of the probability, in eighths of a bit; a digit's is that of digits together. Made by
-- tests/api/make_bigrams.py from the parts of Debian 12's package names; figures only, no names.
return {""")
    for a in LETTERS:
        total = sum(counts[a + b] for b in LETTERS) + len(LETTERS) / 2
        line = ""
        for b in LETTERS:
            code = FIRST + min(round(-STEP * math.log2((counts[a + b] + 0.5) / total)), 90)
            line += chr(code if code < 92 else code + 1)
        print('    ["%s"] = "%s",' % (a, line.replace('"', '\\"')))
    print("}")


main()
