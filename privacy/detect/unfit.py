"""Name the reasons why a text cannot be scrubbed, without quoting it."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a record is held back; a closed list, so that a count of reasons can be printed."""

    NOT_TEXT = "not_text"
    EMPTY = "empty"
    NO_LABEL = "no_label"
    NO_PERSON = "no_person"
    TOO_LONG = "too_long"
    LONE_SURROGATE = "lone_surrogate"
    UNSTABLE_MARKUP = "unstable_markup"
    NORMALISATION_FAILED = "normalisation_failed"
    DETECTION_FAILED = "detection_failed"
    REPLACEMENT_FAILED = "replacement_failed"
    RESIDUAL_FOUND = "residual_found"
    TAGS_LOST = "tags_lost"
    OTHER_LANGUAGE = "other_language"


class UnfitText(Exception):
    """Raised for a text that must not pass; carries the reason and never the text."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
