"""Recognise numbers of records by their sign."""

from privacy.detect.recognisers.base import DigitRecogniser


class RecordNumber(DigitRecogniser):
    """Recognises a number after ``#``; each language has its own words for registers."""

    label = "RECORD_NUMBER"
    rules = (("hash", r"(?<![\w&])\#[ ]?\K\d[\w-]{2,24}", 0.4),)
