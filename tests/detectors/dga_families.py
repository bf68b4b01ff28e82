"""Names as domain generation algorithms make them, from published descriptions of their form.

The malware's own generators are not here and need not be: what decides whether a name looks drawn is its alphabet, its length, and whether letters are
drawn one by one. Each family below draws names of the published form from a seeded generator. Forms: Johannes Bader's analyses (johannesbader.ch), VIPRE
Labs' "Commonalities between the malware DGAs", part 4 (lengths and endings), SRI's addendum on Conficker C, Plohmann et al., "A Comprehensive Measurement
Study of Domain Generating Malware" (USENIX Security 2016). The last three are made of words or syllables: what letters do not tell."""
import random
import string

LETTERS, ALNUM = string.ascii_lowercase, string.ascii_lowercase + string.digits
VOWELS, CONSONANTS = "aeiou", "bcdfghjklmnpqrstvwxyz"
WORDS = """above action advance afraid against airplane almost alone already although always amount anger animal another answer appear apple army
beauty because become before begin behind belong beside better between beyond board bottle bread bridge bright broken brother building captain capture
central century chair chance chief children choose circle city class clothes company complete condition consider continue country course cover crowd
dance danger daughter decide degree difficult dinner direct discover distance doctor double dress early effort either electric enemy engine english
enough evening every except expect experience explain family famous father figure finger finish flower follow foreign forest forget forward friend
garden gather gentle glass govern happen heaven heavy history husband imagine include increase indeed journey kitchen large laughter leader little
machine manner market matter measure meeting memory middle mister modern moment morning mother mountain movement nature necessary needle neither number
object office opinion orange paper perhaps picture pleasant position possible power prepare presence problem produce promise question quiet rather reason
record remember require return school season separate service several silver simple single sister smoke soldier square station still stranger straight
strength student subject sudden suffer summer supply surprise system table teacher thick thousand through together tomorrow travel trouble usual valley
various village visit water weather welcome window winter within without woman wonder yellow""".split()


def drawn(rng, alphabet, least, most):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(least, most)))


def kraken(rng):
    """Six to twelve letters, syllable-like: vowels and consonants take turns more often than not, then often an English ending."""
    text, vowel = "", rng.random() < 0.5
    for _ in range(rng.randint(6, 10)):
        text += rng.choice(VOWELS if vowel else CONSONANTS)
        vowel = not vowel if rng.random() < 0.7 else vowel
    return text + rng.choice(["", "", "able", "dom", "hood", "ment", "ship", "ly", "ing"])


def syllables(rng):
    """Pushdo's and Simda's kind: consonant and vowel in turn."""
    return "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.randint(4, 6)))


def banjori(rng):
    """Four letters change, the rest of the name stays."""
    return drawn(rng, LETTERS, 4, 4) + "estnessbiophysicalohax"


FAMILIES = {
    "conficker_ab": (lambda r: drawn(r, LETTERS, 5, 11), "com net org info biz".split()),
    "conficker_c": (lambda r: drawn(r, LETTERS, 4, 9), "ac ae ag am as at be bo bz ca cd ch cl cn co.cr cz dk dm ec es fr".split()),
    "cryptolocker": (lambda r: drawn(r, LETTERS[:25], 12, 15), "com net biz ru org co.uk info".split()),
    "dircrypt": (lambda r: drawn(r, LETTERS, 8, 20), ["com"]),
    "locky": (lambda r: drawn(r, LETTERS[:25], 5, 15), "ru pw eu in yt pm us fr de it be uk nl tf".split()),
    "necurs": (lambda r: drawn(r, LETTERS[:25], 7, 21), "com tj in jp tw ac cm la mn so sh sc nu".split()),
    "nymaim": (lambda r: drawn(r, LETTERS, 6, 11), "com org biz net info".split()),
    "qadars": (lambda r: drawn(r, ALNUM, 12, 12), "com org net".split()),
    "qakbot": (lambda r: drawn(r, LETTERS, 8, 25), "com net org info biz".split()),
    "ramdo": (lambda r: drawn(r, LETTERS[::2], 16, 16), ["org"]),
    "ranbyus": (lambda r: drawn(r, LETTERS, 14, 14), "in me cc su tw net com pw org".split()),
    "tinba": (lambda r: drawn(r, LETTERS, 12, 12), ["com"]),
    "chinad": (lambda r: drawn(r, ALNUM, 16, 16), "com org net biz info ru cn".split()),
    "newgoz": (lambda r: drawn(r, ALNUM, 21, 28), "com net org biz".split()),
    "bamital": (lambda r: drawn(r, "0123456789abcdef", 32, 32), "info org net com".split()),
    "corebot": (lambda r: drawn(r, ALNUM, 14, 24), ["ddns.net"]),
    "kraken": (kraken, "com net tv cc".split()),
    "banjori": (banjori, ["com"]),
    "syllables": (syllables, "com ru net".split()),
    "suppobox": (lambda r: r.choice(WORDS) + r.choice(WORDS), "net ru".split()),
    "matsnu": (lambda r: r.choice(WORDS) + "-" + r.choice(WORDS) + r.choice(WORDS), ["com"]),
}

FOUND = [name for name in FAMILIES if name not in ("banjori", "syllables", "suppobox", "matsnu")]
MISSED = ["suppobox", "matsnu"]


def names(family, count, seed=1):
    """So many different names of the family, the same in each run."""
    draw, endings = FAMILIES[family]
    rng = random.Random("%s %d" % (family, seed))
    made = []
    while len(made) < count:
        name = draw(rng) + "." + rng.choice(endings)
        if name not in made:
            made.append(name)
    return made
