"""The draft of a letter to an applicant: the decision and its principal reasons, for a person to check and to send."""

from collections.abc import Sequence

from pipelines.credit_scoring.decide import APPROVE, REVIEW
from pipelines.credit_scoring.reasons import Reason

_DRAFT = "Draft. A compliance officer decides whether these words fit the law that applies."


def letter(application_id: str, decision: str, reasons: Sequence[Reason]) -> str:
    """Plain text of a letter about one application; reasons are given to everyone who is not simply approved."""
    opening = f"Your application {application_id}"
    if decision == APPROVE:
        body = ["We are pleased to tell you that your application can be approved."]
    elif decision == REVIEW:
        body = ["We have not decided yet: a member of our staff is looking at your application."]
    else:
        body = ["We are sorry to tell you that we cannot approve your application."]
    if decision != APPROVE and reasons:
        body.append("These are the principal reasons, the most important first:")
        body.append("\n".join(f"{number}. {reason.text}" for number, reason in enumerate(reasons, 1)))
        body.append("You may ask us which data we used, and have them corrected where they are wrong.")
    return "\n\n".join([opening, *body, _DRAFT]) + "\n"
