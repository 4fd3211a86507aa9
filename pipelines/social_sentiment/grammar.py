"""A grammar of posts: how somebody who is pleased, displeased or neither writes, and which words of it decide.

The same adjectives are written by all three. What they mean hangs on order and on what stands far away: negators with
and without the adjective in their scope, the clause that a contrast puts first, praise of a mishap, questions, hearsay.
"""

from collections.abc import Callable, Sequence
from random import Random

# A piece of a post and whether it decides. Marks are written without a blank before them.
Piece = tuple[str, bool]

TOPICS: dict[str, tuple[str, ...]] = {
    "battery": ("battery", "battery life", "charger", "charging time", "power bank"),
    "delivery": ("delivery", "parcel", "courier", "packaging", "tracking"),
    "support": ("support", "hotline", "service desk", "repair shop", "live chat"),
    "app": ("app", "update", "new version", "login", "dark mode"),
}
_GOOD = (
    "great", "good", "brilliant", "lovely", "superb", "excellent", "amazing", "perfect", "wonderful", "impressive",
)  # fmt: skip
_BAD = (
    "awful", "terrible", "bad", "useless", "poor", "horrible", "dreadful", "disappointing", "annoying", "pathetic",
)  # fmt: skip
_ADVERBS = ("", "", "so", "really", "absolutely", "pretty", "just", "honestly", "truly", "quite")
_NEGATORS = ("is not", "isn't", "was never", "is hardly", "is by no means", "has not been")
_SCOPES = (
    "",
    "",
    "really",
    "anything i would call",
    "even remotely",
    "what you would call",
    "half as",
    "in any way",
)
_DOUBTS = (
    "i don't think",
    "nobody can tell me that",
    "i would not say",
    "can't claim that",
    "never felt that",
)
# Negators whose scope ends before the adjective.
_ASIDES = (
    "no idea why people complain",
    "not sure what the fuss is about",
    "can't stop talking about it",
    "never thought i would write this",
    "no , this is not an ad",
)
_MISHAPS = (
    "stopped working", "broke down again", "is gone for the third time", "made me wait two hours", "failed twice today",
    "needs another week", "ate my whole evening",
)  # fmt: skip
_FORTUNES = (
    "arrived a day early", "works again", "took two minutes", "was sorted on the first try", "just runs and runs",
    "got better overnight", "saved my evening",
)  # fmt: skip
_PRAISE = ("oh", "wow ,", "well ,", "how", "just", "")
_FACTS = (
    "comes with the new model", "is on page two of the manual", "is part of the order", "was mentioned in the meeting",
    "is what the survey asked about", "will be discussed tomorrow", "is listed under settings",
)  # fmt: skip
_QUESTIONS = (
    "is it true that",
    "does anyone know whether",
    "can somebody tell me if",
    "who else heard that",
    "would you say",
)
_HEARSAY = (
    "my cousin says",
    "the ad claims",
    "a colleague told me",
    "according to the forum",
    "the headline reads",
)
_UNTRIED = (
    "have not tried it",
    "can't tell yet",
    "we will see",
    "no opinion so far",
    "mine is still in the box",
)
_OTHERS = ("weather", "lunch", "traffic", "match", "coffee", "film", "train")
_WHEN = (
    "yesterday", "this morning", "last night", "on monday", "after work", "over the weekend", "since the move",
    "before lunch", "around midnight", "all week",
)  # fmt: skip
_WHERE = (
    "at the office", "in leeds", "at my sister's place", "on the train", "in the kitchen", "at the airport",
    "in the garden", "down the road", "at uni", "in the shop",
)  # fmt: skip
_WHO = (
    "with the kids", "with my flatmate", "on my own", "with two friends", "with grandma on the phone",
    "next to the dog", "with half the team", "with my brother", "without any coffee", "with a neighbour",
)  # fmt: skip
_PLEASED_EMOJI, _DISPLEASED_EMOJI = ("😍", "👍🏽", "🎉", "😊", "❤️"), ("😡", "👎", "🤬", "😞", "💔")
_IRONY = ("🙄", "#sarcasm", "#justwhatineeded", "👏👏👏", "#lifegoals")


def write(label: str, topic: str, random: Random) -> tuple[str, list[Piece]]:
    """The kind and the pieces of a post of a label (negative, neutral, positive) about a topic."""
    kinds = (
        _NEUTRAL
        if label == "neutral"
        else _POLAR
        if label == "positive"
        else {**_POLAR, "sarcasm": (3, _sarcasm)}
    )
    kind = random.choices(list(kinds), [weight for weight, _ in kinds.values()])[0]
    pieces = kinds[kind][1](label == "positive", random.choice(TOPICS[topic]), random)
    return kind, _in_context(pieces, random)


def _adjective(is_good: bool, random: Random) -> str:
    word = random.choice(_GOOD if is_good else _BAD)
    style = random.random()
    if style < 0.08:
        return word.upper()
    if style < 0.16:
        return word.replace("o", "oooo", 1) if "o" in word else word.replace("a", "aaaa", 1)
    return word


def _plain(is_good: bool, noun: str, random: Random) -> list[Piece]:
    return [("the " + noun + " is " + random.choice(_ADVERBS), False), (_adjective(is_good, random), True)]


def _negated(is_good: bool, noun: str, random: Random) -> list[Piece]:
    if random.random() < 0.5:
        negator, scope = random.choice(_NEGATORS), random.choice(_SCOPES)
        return [
            ("the " + noun, False),
            (negator, True),
            (scope, False),
            (_adjective(not is_good, random), True),
        ]
    return [
        (random.choice(_DOUBTS), True),
        (f"the {noun} is {random.choice(_ADVERBS)}", False),
        (_adjective(not is_good, random), True),
    ]


def _aside(is_good: bool, noun: str, random: Random) -> list[Piece]:
    aside, statement = (random.choice(_ASIDES), False), _plain(is_good, noun, random)
    return [aside, (",", False), *statement] if random.random() < 0.5 else [*statement, (",", False), aside]


def _contrast(is_good: bool, noun: str, random: Random) -> list[Piece]:
    """The clause after "but", and the one that "although" does not open, is what is meant."""
    other = f"the {random.choice(_OTHERS)} is {random.choice(_ADVERBS)} {_adjective(not is_good, random)}"
    meant = _plain(is_good, noun, random)
    form = random.randrange(3)
    if form == 0:
        return [(other, False), (",", False), ("but", True), *meant]
    if form == 1:
        return [("although", True), (other, False), (",", False), *meant]
    return [*meant, (",", False), ("although", True), (other, False)]


def _event(is_good: bool, noun: str, random: Random) -> list[Piece]:
    """Praise of what went well, and blame of what went wrong: the words of sarcasm, meant as they stand."""
    event = random.choice(_FORTUNES if is_good else _MISHAPS)
    return [
        (random.choice(_PRAISE), False),
        (_adjective(is_good, random), True),
        (", the " + noun, False),
        (event, True),
    ]


def _sarcasm(is_good: bool, noun: str, random: Random) -> list[Piece]:
    pieces = [
        (random.choice(_PRAISE), False),
        (_adjective(True, random), True),
        (", the " + noun, False),
        (random.choice(_MISHAPS), True),
    ]
    return [*pieces, (random.choice(_IRONY), True)] if random.random() < 0.4 else pieces


def _emoji(is_good: bool, noun: str, random: Random) -> list[Piece]:
    return [("the " + noun, False), (random.choice(_PLEASED_EMOJI if is_good else _DISPLEASED_EMOJI), True)]


def _fact(is_good: bool, noun: str, random: Random) -> list[Piece]:
    return [(f"the {noun} {random.choice(_FACTS)}", False)]


def _question(is_good: bool, noun: str, random: Random) -> list[Piece]:
    said = f"the {noun} is {random.choice(_ADVERBS)} {_adjective(random.random() < 0.5, random)}"
    return [(random.choice(_QUESTIONS), True), (said, False), ("?", True)]


def _hearsay(is_good: bool, noun: str, random: Random) -> list[Piece]:
    said = f"the {noun} is {random.choice(_ADVERBS)} {_adjective(random.random() < 0.5, random)}"
    return [(random.choice(_HEARSAY), True), (said, False), (",", False), (random.choice(_UNTRIED), True)]


def _elsewhere(is_good: bool, noun: str, random: Random) -> list[Piece]:
    """Something else is judged; the topic is only mentioned."""
    other = f"{_adjective(random.random() < 0.5, random)} {random.choice(_OTHERS)}"
    return [(other, False), (",", False), (f"and the {noun} {random.choice(_FACTS)}", True)]


def _in_context(pieces: list[Piece], random: Random) -> list[Piece]:
    context = [random.choice(words) for words in random.sample((_WHEN, _WHERE, _WHO), random.randint(1, 3))]
    told = [(" ".join(context), False)]
    return [*told, (",", False), *pieces] if random.random() < 0.5 else [*pieces, (",", False), *told]


_Kinds = dict[str, tuple[float, Callable[[bool, str, Random], list[Piece]]]]
_POLAR: _Kinds = {
    "plain": (4, _plain),
    "negated": (6, _negated),
    "aside": (3, _aside),
    "contrast": (4, _contrast),
    "event": (2, _event),
    "emoji": (1, _emoji),
}
_NEUTRAL: _Kinds = {
    "fact": (4, _fact),
    "question": (3, _question),
    "hearsay": (3, _hearsay),
    "elsewhere": (3, _elsewhere),
}


def spelt(pieces: Sequence[Piece], random: Random, typo_share: float) -> tuple[str, list[tuple[int, int]]]:
    """The text, with a typo in some words, and start and end of its deciding words."""
    text, spans = "", []
    for piece, decides in pieces:
        for word in piece.split():
            written = _mistyped(word, random) if len(word) > 3 and random.random() < typo_share else word
            if text and written[0] not in ",?!.":
                text += " "
            if decides:
                spans.append((len(text), len(text) + len(written)))
            text += written
    return text, spans


def _mistyped(word: str, random: Random) -> str:
    """Two neighbours in the middle change places, or one is left out."""
    if not word.isalpha():
        return word
    place = random.randrange(1, len(word) - 2)
    swapped = word[place + 1] + word[place] if random.random() < 0.6 else word[place]
    return word[:place] + swapped + word[place + 2 :]
