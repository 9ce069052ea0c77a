"""Conditions, as metav1.Condition has them."""

from pydantic import Field

from carillon.api.base import Instant, StatusModel


class Condition(StatusModel):
    """One aspect of the object's state, in the form that kubectl wait and GitOps tools read."""

    type: str = Field(max_length=64, description="What the condition is about, for example Ready.")
    status: str = Field(pattern="^(True|False|Unknown)$", max_length=7, description="True, False or Unknown.")
    observed_generation: int = Field(
        default=0, ge=0, description="The metadata.generation that the condition speaks of; older ones are out of date."
    )
    last_transition_time: Instant = Field(description="When the status last changed.")
    reason: str = Field(
        min_length=1, max_length=64, description="For programs, in one word: why the status is what it is."
    )
    message: str = Field(
        default="", max_length=1024, description="For people: what was found, and what would be right."
    )
