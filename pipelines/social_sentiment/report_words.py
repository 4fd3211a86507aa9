"""The part of the report about explanations: posts with their deciding words, and how far these can be trusted."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.social_sentiment.baselines import TFIDF
from pipelines.social_sentiment.evidence import EvidenceDocuments
from pipelines.social_sentiment.explain import GRADIENTS, LEFT_OUT
from pipelines.social_sentiment.wording import marked_pieces, post_sentence, share
from shared.publishing.blocks import (
    Block,
    Bullets,
    Callout,
    Column,
    Details,
    Kind,
    MarkedText,
    Paragraph,
    Section,
    Table,
    Value,
    show,
)

_GALLERIES = {
    "surest_right": "Surest, and right",
    "surest_wrong": "Surest, and wrong",
    "abstained": "Left to a human: the least sure",
}
_METHODS = {
    GRADIENTS: "Integrated gradients (shown)",
    LEFT_OUT: "Words left out one by one",
    TFIDF: "TF-IDF, words left out one by one",
}
_LEGEND = (
    ("against the label ", 0.0),
    ("strongly", -1.0),
    (" ", 0.0),
    ("clearly", -0.7),
    (" ", 0.0),
    ("slightly", -0.2),
    (" – ", 0.0),
    ("slightly", 0.2),
    (" ", 0.0),
    ("clearly", 0.7),
    (" ", 0.0),
    ("strongly", 1.0),
    (" for the label", 0.0),
)


def posts_section(evidence: EvidenceDocuments) -> Section:
    """Single posts with their words marked, and the words that speak most for each label."""
    document = evidence.explanation
    legend = (
        "Orange words speak for the label that the post was given, blue ones with a dotted line against it, each "
        "measured by the strongest word of its post. Users and links are placeholders."
    )
    blocks: list[Block] = [MarkedText(_LEGEND, "How to read the marks", legend)]
    for name, title in _GALLERIES.items():
        posts = document["examples"][name]
        if posts:
            blocks.append(Details(title, [_marked(post) for post in posts]))
    blocks.append(
        _words_table(
            {label: document["words"][label] for label in evidence.evaluation["labels"]},
            document["attribution"]["rows"],
            document["seen_at_least"],
        )
    )
    return Section("Which posts and words decide it", blocks)


def trust_section(evidence: EvidenceDocuments) -> Section:
    """Checks of the explanations."""
    document = evidence.explanation
    attribution = document["attribution"]
    kind: Kind = "good" if attribution["faithful"] else "warning"
    said = attribution["warning"] or _outcome(document)
    blocks: list[Block] = [Callout(kind, said, "How far the explanations hold"), Bullets(_facts(document))]
    if document["removal"]:
        blocks.append(_removal_table(document["removal"], attribution["rows"]))
    if document["truth"]:
        blocks.append(_truth_table(document["truth"]))
    return Section("How far deciding words can be trusted", blocks)


def _marked(post: Mapping[str, Any]) -> MarkedText:
    pieces = marked_pieces(post["text"], post["spans"], post["contributions"])
    return MarkedText(pieces, "", post_sentence(post))


def _words_table(
    words: Mapping[str, Sequence[Mapping[str, Any]]], num_posts: int, seen_at_least: int
) -> Table | Paragraph:
    known = {label: found for label, found in words.items() if found}
    if not known:
        return Paragraph("No word was seen often enough to say what it speaks for.")
    longest = max(len(found) for found in known.values())
    rows = [
        [_word(found[row]) if row < len(found) else None for found in known.values()]
        for row in range(longest)
    ]
    note = (
        f"Mean contribution in logits to the margin of the label, over {num_posts:,} test posts of all labels; in "
        f"brackets how often the word was seen in posts that were given the label, at least {seen_at_least} times. "
        "Case does not count."
    )
    return Table(
        [Column(f"Speaks for\n{label}") for label in known],
        rows,
        "Words that speak most for each label",
        [note],
    )


def _word(found: Mapping[str, Any]) -> str:
    return f"{found['word']}\n{show(found['mean'], 2)} ({found['count']:,})"


def _outcome(document: Mapping[str, Any]) -> str:
    if document["attribution"]["faithful"] is None:
        return "Not checked: hardly a test post has three words."
    return (
        "Posts lose their label when the deciding words are taken out, and keep it with them alone, more than with "
        "words at random; networks of random weights are explained otherwise."
    )


def _facts(document: Mapping[str, Any]) -> list[str]:
    attribution, steps = document["attribution"], document["steps"]
    path = ", ".join(f"{name} ({steps[name]:,} posts)" for name in sorted(steps, key=int))
    facts = [
        f"Explained is the {attribution['target']}; the baseline is {attribution['baseline']}. The special tokens at "
        "the ends are in both and add nothing; parts of words are summed.",
        f"Complete: values miss the difference to the baseline by {show(attribution['completeness_mean'], 3)} logits "
        f"on average, by {show(attribution['completeness_error'], 3)} at most. Steps of the path, doubled where that "
        f"was more than a twentieth: {path}.",
    ]
    other, faithfulness = document["left_out"], attribution["faithfulness"]
    if other:
        facts.append(
            "Leaving words out one by one, another explanation, orders the words alike with a rank correlation of "
            f"{show(other['spearman'], 2)} ({show(other['low'], 2)} to {show(other['high'], 2)}); 0 is chance, 1 the "
            "same order."
        )
    if faithfulness and faithfulness["randomisation_spearman"] is not None:
        facts.append(
            "Rank correlation with explanations of networks of random weights: "
            f"{faithfulness['randomisation_spearman']:.2f}, on {document['num_randomised']} posts of one length; "
            "near 0 is good."
        )
    return facts


def _removal_table(removal: Sequence[Mapping[str, Any]], num_posts: int) -> Table:
    rows: list[list[Value]] = []
    for row in removal:
        for name, title in (("explained", _METHODS[GRADIENTS]), ("other", _METHODS[LEFT_OUT])):
            found = row[name]
            rows.append(
                [
                    f"{share(row['share'], 0)} of the words\n{title}",
                    *(
                        f"{show(found[what], 3)}\n{_gain(found[f'{what}_gain'])}"
                        for what in ("comprehensiveness", "sufficiency")
                    ),
                    *(show(row["random"][what], 3) for what in ("comprehensiveness", "sufficiency")),
                ]
            )
    columns: list[Column | str] = [
        "Strongest",
        Column("Lost without them\ngain over random", number=True),
        Column("Lost with them alone\ngain over random", number=True),
        Column("Random\nlost without", number=True),
        Column("Random\nlost with alone", number=True),
    ]
    note = (
        f"What the probability of the label loses, means over {num_posts:,} test posts with 95 % intervals of the gain "
        "over words in random order (comprehensiveness: more is better; sufficiency: less is better). Words are taken "
        "out of the text. A pass: both gains, averaged over the shares, lie above 0 with their interval."
    )
    return Table(columns, rows, "Posts without the strongest words, and of them alone", [note])


def _gain(found: Mapping[str, Any]) -> str:
    ends = [f"{found[name]:+.3f}".replace("-", "−") for name in ("value", "low", "high")]
    return f"{ends[0]}, {ends[1]} to {ends[2]}"


def _truth_table(truth: Mapping[str, Any]) -> Table:
    rows: list[list[Value]] = [
        [
            _METHODS[name],
            *(
                f"{show(found[what]['value'], 2)}\n{show(found[what]['low'], 2)} to {show(found[what]['high'], 2)}"
                for what in ("first", "precision", "auroc")
            ),
        ]
        for name, found in (
            (name, truth["explanations"][name]) for name in _METHODS if name in truth["explanations"]
        )
    ]
    chance = show(truth["chance"], 2)
    rows.append(["Words in random order", chance, chance, "0.50"])
    columns: list[Column | str] = ["Explanation"]
    columns += [
        Column(title, number=True)
        for title in (
            "Strongest word\ndecides",
            "Among the strongest\nshare that decides",
            "Deciding before other\nAUROC",
        )
    ]
    note = (
        f"The generator knows which words decide. {truth['posts']:,} checked posts that were given the label that was "
        f"meant, with {show(truth['deciding'], 1)} deciding words of {show(truth['words'], 1)} on average; among the "
        "strongest: as many as decide."
    )
    return Table(columns, rows, "Against the truth of the generator", [note])
