"""The model card of a run."""

from collections.abc import Iterator

from pipelines.social_sentiment.evaluate import TITLES
from pipelines.social_sentiment.evidence import LIMITS, METRICS, OUT_OF_SCOPE, QUESTION, EvidenceDocuments
from pipelines.social_sentiment.score import Scorer
from pipelines.social_sentiment.train import OWN
from shared.publishing.blocks import Value
from shared.publishing.model_card import CardFacts, model_card
from shared.publishing.summary import RunSummary


def run_model_card(scorer: Scorer, summary: RunSummary, evidence: EvidenceDocuments) -> str:
    """The model card of the run, Markdown."""
    return model_card(
        CardFacts(
            title="Social-media sentiment: what posts say, and how often",
            question=QUESTION,
            details=_details(scorer, evidence),
            intended_use=[
                "Watching how shares of labels among many posts change, by topic and day, with their intervals.",
                "Finding the posts behind a change, for people who read them.",
            ],
            out_of_scope=OUT_OF_SCOPE,
            factors=[
                "Dialects, age groups and second-language writers are not asked for and not audited. Tools for text "
                "are known to serve dialects worse (Blodgett et al. 2016)."
            ],
            training_data=list(_training_data(evidence)),
            evaluation_data=list(_evaluation_data(evidence)),
            split=[evidence.split],
            calibration=list(_calibration(scorer, evidence)),
            explanation=[evidence.explanation["attribution"]["warning"] or ""],
            ethical_considerations=[
                "Texts are personal data and may name people. A bundle holds no posts; its vocabulary is made of parts "
                "of their words, and the report shows some of them.",
                "Authors are a keyed digest from the moment of reading. Whoever has the key of the data home can find "
                "the digest of a name.",
            ],
            limits=list(LIMITS),
            model_titles=TITLES,
        ),
        summary,
        METRICS,
    )


def _details(scorer: Scorer, evidence: EvidenceDocuments) -> dict[str, Value]:
    config, record = scorer.config, evidence.training
    is_own = config.model.encoder == OWN
    return {
        "Encoder": "learnt from the training posts alone" if is_own else config.model.encoder,
        "Labels": ", ".join(scorer.labels),
        "Parameters": record["num_parameters"],
        "Vocabulary": record["vocabulary"],
        "Reads": f"{config.model.max_length} tokens of a post; users and links as placeholders",
    }


def _training_data(evidence: EvidenceDocuments) -> Iterator[str]:
    facts = evidence.posts["parts"]["train"]
    labels = ", ".join(f"{count:,} {label}" for label, count in facts["labels"].items())
    yield f"{facts['posts']:,} posts: {labels}."
    if facts["weak"]:
        yield f"{facts['weak']:,} of them have a weak label, that of their emoji, and no person read them."
    if facts["first"]:
        yield f"Posted from {facts['first'][:10]} to {facts['last'][:10]}."
    languages = list(facts["languages"])
    yield f"Languages: {', '.join(languages)}." if languages else "The languages of the posts are not known."
    yield from evidence.notes


def _evaluation_data(evidence: EvidenceDocuments) -> Iterator[str]:
    counts = evidence.evaluation["counts"]
    labels = ", ".join(f"{count:,} {label}" for label, count in counts["labels"].items())
    yield f"{counts['posts']:,} posts, {counts['groups']:,} of them that say different things: {labels}."
    yield "All labels of the test were given by people; intervals draw posts that say the same together."


def _calibration(scorer: Scorer, evidence: EvidenceDocuments) -> Iterator[str]:
    calibration = evidence.calibration
    yield (
        f"Logits are divided by {calibration['temperature']:.2f} and moved by one number a label, fitted to "
        f"{calibration['num_posts']:,} posts that were neither learnt from nor tested."
    )
    shares = dict(zip(scorer.labels, calibration["prior"], strict=True))
    mixture = ", ".join(f"{share:.0%} {label}" for label, share in shares.items())
    yield f"Probabilities hold for their mixture of labels: {mixture}. Shares are corrected for others."
    found = evidence.evaluation["abstention"]
    abstained, kept = found["abstained"]["value"], found["accuracy_kept"]["value"]
    if abstained and kept is not None:
        yield (
            f"Labels less sure than {calibration['abstain_below']:.2f} are left to a human: {abstained:.1%} of the "
            f"test posts. Of the others {kept:.1%} are right."
        )
