"""Recognise time stamps in the form that programs write."""

from privacy.detect.recognisers.base import DigitRecogniser

CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:[ ]?(?i:[ap]\.?m\b\.?))?"


class Timestamp(DigitRecogniser):
    """Recognises a date with a time of day (ISO 8601)."""

    label = "DATE_TIME"
    rules = (("stamp", rf"\b\d{{4}}-\d\d-\d\d[T ]{CLOCK}(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?", 0.6),)
