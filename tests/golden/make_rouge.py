"""Writes rouge.json: tokens, stems and ROUGE scores of the Python package rouge-score.

The texts are written here; pairs are derived from them with a fixed seed.
Made with Python 3.11 and: pip install rouge-score==0.1.2 nltk==3.10.4 numpy==2.4.6 absl-py==2.5.1
Usage: python3 make_rouge.py [--output rouge.json] [--pairs 300] [--seed 20260301]
"""

import argparse
import json
import pathlib
import random
from importlib import metadata

from nltk.stem import PorterStemmer
from rouge_score import rouge_scorer, tokenize, tokenizers

METRICS = ["rouge1", "rouge2", "rouge3", "rouge4", "rouge9", "rougeL", "rougeLsum"]

SENTENCES = """
The old ferry was late again, and nobody on the pier seemed surprised.
Maria painted the kitchen door green while her brother repaired the window.
A storm has damaged hundreds of roofs along the northern coast.
Scientists measured the ice and concluded that it is melting faster than expected.
Can you bring the blue folder to the meeting tomorrow morning?
The committee rejected the proposal because the costs were not explained.
Our neighbours are selling their house and moving to a smaller town.
He promised to call back, but he never did.
Ten runners finished the marathon in less than three hours.
The new library opens on Monday at 9:30 and closes at 18:00.
She has been studying chemistry, biology and a little bit of history.
Heavy traffic delayed the delivery of fresh vegetables to the market.
The dog that barked all night belongs to the baker's daughter.
I don't think it's fair; they've been waiting since seven o'clock!
Engineers tested the bridge by driving forty loaded trucks across it.
The museum is lending two paintings to a gallery in another country.
Prices rose by 2.5% in March, after falling slightly in February.
Nobody knows why the lights in the tower went out at midnight.
The children were happily building castles out of wet sand.
Tom asked Anna whether she would join them for dinner on Friday.
Anna said that she could not come to dinner because her train leaves early.
The minister announced additional funding for schools in rural areas.
Farmers complained about the unusually dry summer and the failing harvest.
A short circuit in the cellar caused the fire, according to the police.
The fire in the cellar was caused by a short circuit, police said.
Volunteers collected more than 4,000 kilograms of rubbish from the river bank.
The train to the airport leaves every fifteen minutes from platform 7.
My grandmother's recipe needs flour, butter, sugar and plenty of patience.
The company is planning to hire around three hundred people this year.
The team lost the first match, won the second and drew the third.
It rained, and it rained, and it rained until the streets were flooded.
Researchers are analysing the relational structure of conversational speech.
The orchestra rehearsed the symphony twice before the conductor was satisfied.
Please send me the corrected version of the report by e-mail (PDF only).
Two hikers were rescued after spending a night on the mountain.
The hikers, who had spent the night on the mountain, were rescued by helicopter.
The bakery on the corner sells bread, rolls and apple cakes.
Students protested peacefully against the proposed changes to the examination rules.
A lorry carrying oranges overturned, and the motorway was closed for hours.
The patient is recovering slowly but steadily, the doctors reported.
""".strip().split("\n")

UNICODE = """
Zoë's café in Málaga serves crème brûlée — naïve tourists love it…
Der Größenunterschied beträgt 3½ Fuß; die Straße heißt „Fährweg“.
Температура упала до −12 °C в Москве in January.
東京 is 2 hours away by 新幹線 train.
The sensor read 300 \u212a, not 300 K; \u0130stanbul and D\u0130YARBAKIR were colder.
Emoji 🎂 party 🎉 at 8pm 👩\u200d👩\u200d👧 bring cake!!
ﬁne ﬂour and Ⅷ rooms, x² + y² = z², ½ price, ＦＵＬＬ width
non\u00a0breaking\u2003spaces and\u2028line\u2029separators\u0085here
soft\u00adhyphen zero\u200bwidth combining e\u0301 a\u030a
Straße STRASSE straße ΣΊΣΥΦΟΣ ǅungla ẞ
""".strip("\n").split("\n")

EDGES = [
    ("", ""), ("", "word"), ("word", ""), ("word", "word"), ("word", "other"), ("Word", "wORD"),
    ("a", "a"), ("a a", "a"), ("a", "a a a a"), ("...", "!!!"), ("?!", "words"), ("words", "--"),
    (" ", "\n"), ("\n\n", "a\nb"), ("\n \n", "\n"), ("a\nb", "a b"), ("a b", "b\na"),
    ("a b\nc d", "a b c d"), ("a b c d", "a b\nc d\n"), ("\na b\n\nc", "c\n\n\na b"),
    ("a\r\nb", "a\nb"), ("a\tb\x0bc\x0cd", "a b c d"), ("a\x00b", "a b"), ("a\x1cb", "a b"),
    ("running", "runs"), ("run", "running"), ("skies", "sky"), ("dies", "died"), ("ties", "tied"),
    ("as", "a"), ("news", "new"), ("the the the", "the"), ("the", "the the the the"),
    ("1 2 3 4 5 6 7 8 9", "1 2 3 4 5 6 7 8 9"), ("1 2 3 4 5 6 7 8", "1 2 3 4 5 6 7 8"),
    ("1 2 3 4 5 6 7 8 9 10", "0 1 2 3 4 5 6 7 8 9"), ("3.14", "3 14"), ("it's", "its"),
    ("snake_case", "snake case"), ("x" * 300, "x" * 300), ("\u0130", "i"), ("\u0130x", "ix"),
    ("\u212a", "k"), ("o\u212a", "ok"), ("é", "e"), ("日本", "日本"),
    ("police killed the gunman", "police kill the gunman"),
    ("police killed the gunman", "the gunman kill police"),
    ("police killed the gunman", "the gunman police killed"),
]

WORDS = """
caresses ponies ties dies flies cats gas this feed agreed bleed freed plastered bled motoring sing
conflated troubled sized hopping tanned falling hissing fizzed failing filing happy sky enjoy say by
cry spied tied died cried relational conditional rational valenci hesitanci digitizer conformabli
radicalli differentli vileli analogousli vietnamization predication operator feudalism decisiveness
hopefulness callousness formaliti sensitiviti sensibiliti triplicate formative formalize electriciti
electrical hopeful goodness revival allowance inference airliner gyroscopic adjustable defensible
irritant replacement adjustment dependent adoption homologou communism activate angulariti
homologous effective bowdlerize probate rate cease controll roll skies dying lying tying news
innings inning outings outing cannings canning howe proceed exceed succeed proceeded exceeding
generally really finally nationally rationally locally usefully carefully fully hopefully apology
apologi archaeology geology theology logi analogi biology possibly ably probably terribly reply
oed owed aged used icing aping added inned bing being seeing dyed eyed yelling yying syzygy rhythms
ied ies iing eing ously ement ment sion tion ion ative ness ful icate aal agreement cement element
enough bought children mice geese feet data criteria oxen better worst arguing argued argues argue
argument multiply multiplied multiplication connected connecting connection connections connective
generalizations oscillators vibrating hesitation organization organisation colours favoured
""".split()
SUFFIXES = """
s es ed ing ies ied eed sses y ly ational tional enci anci izer bli alli entli eli ousli ization
ation ator alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical
ful ness al ance ence er ic able ible ant ement ment ent ion sion tion ou ism ate iti ous ive ize e
ll
""".split()
STEMS = ["", "a", "b", "ab", "tr", "trab", "boy", "yy", "abab", "xow", "fil", "hopp", "r2d"]


def inflect(rng, word):
    """The word with another ending."""
    return word.rstrip("esdyging") + rng.choice(["", "s", "ed", "ing", "er", "ly", "ation", "ness"])


def disturb(rng, text):
    """The text with some words dropped, repeated, swapped, inflected or replaced."""
    words = text.split(" ")
    amount = rng.choice([0.05, 0.2, 0.5])
    others = rng.choice(SENTENCES).split(" ")
    result = []
    for word in words:
        if rng.random() >= amount:
            result.append(word)
            continue
        result += rng.choice([
            [], [word, word], [inflect(rng, word)], [rng.choice(others)], [word.upper()],
            [word + rng.choice(["...", " - ", "!", "\u2019s", "'s"])], ["\n" + word],
        ])
    if rng.random() < 0.3 and len(result) > 1:
        i = rng.randrange(len(result))
        result = result[i:] + result[:i]
    return " ".join(result)


def document(rng):
    separator = rng.choice(["\n", "\n", " ", "\n\n", " \n "])
    return separator.join(rng.choice(SENTENCES) for _ in range(rng.randint(2, 5)))


def repetitive(rng):
    """Lines of few different words: many common subsequences are equally long."""
    words = ["the", "cats", "cat", "sat", "sitting", "on"][: rng.randint(2, 6)]
    return "\n".join(
        " ".join(rng.choice(words) for _ in range(rng.randint(0, 12)))
        for _ in range(rng.randint(1, 6)))


def pair(rng):
    kind = rng.randrange(6)
    if kind == 0:
        return repetitive(rng), repetitive(rng)
    if kind == 1:
        text = rng.choice(UNICODE)
        return text, rng.choice([disturb(rng, text), rng.choice(UNICODE)])
    if kind == 2:
        text = rng.choice(SENTENCES)
        return text, disturb(rng, text)
    if kind == 3:
        return rng.choice(SENTENCES), rng.choice(SENTENCES)
    text = document(rng)
    return text, document(rng) if kind == 4 and rng.random() < 0.5 else disturb(rng, text)


def numbers(scores):
    """[precision, recall, f] of every metric; 0 and 1 as integers, which are shorter."""
    short = lambda x: int(x) if x in (0, 1) else float(x)
    return [[short(x) for x in (s.precision, s.recall, s.fmeasure)]
            for s in (scores[m] for m in METRICS)]


def case(texts, plain, stem):
    """A row; the scores with stems only where they differ."""
    row = dict(texts, plain=numbers(plain))
    if stem != plain:
        row["stem"] = numbers(stem)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=pathlib.Path,
                        default=pathlib.Path(__file__).parent / "rouge.json")
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=20260301)
    options = parser.parse_args()

    rng = random.Random(options.seed)
    plain = rouge_scorer.RougeScorer(METRICS, use_stemmer=False)
    stem = rouge_scorer.RougeScorer(METRICS, use_stemmer=True)
    pairs = EDGES + [pair(rng) for _ in range(options.pairs - len(EDGES))]
    cases = [case(dict(reference=r, candidate=c), plain.score(r, c), stem.score(r, c))
             for r, c in pairs]
    best = []
    for _ in range(20):
        text = document(rng)
        references = [disturb(rng, text) for _ in range(rng.randint(1, 4))]
        best.append(case(dict(references=references, candidate=text),
                         plain.score_multi(references, text), stem.score_multi(references, text)))
    stemmer = PorterStemmer()
    words = WORDS + [s + e for e in SUFFIXES for s in STEMS]
    words += [a + b + c for a in ["ab", "trab"] for b in SUFFIXES[10:]
              for c in ["s", "ly", "ed", "alli", "ness", "ation"]]
    texts = SENTENCES[::4] + UNICODE
    parts = {
        "tokens": [[t, tokenizers.DefaultTokenizer(False).tokenize(t),
                    tokenize.tokenize(t, stemmer)] for t in texts],
        "stems": [[w, stemmer.stem(w)] for w in sorted(set(words))],
        "pairs": cases,
        "best": best,
    }
    head = {name: metadata.version(name) for name in ("rouge-score", "nltk")}
    head["metrics"] = METRICS
    with open(options.output, "w", encoding="utf-8") as out:
        out.write(json.dumps(head)[:-1])
        for key, rows in parts.items():
            separator = "," if key == "stems" else ",\n"
            lines = (json.dumps(r, ensure_ascii=False, separators=(",", ":")) for r in rows)
            out.write(f',\n"{key}":[\n{separator.join(lines)}\n]')
        out.write("}\n")


if __name__ == "__main__":
    main()
