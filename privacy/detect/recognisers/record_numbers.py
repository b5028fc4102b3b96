"""Recognise record numbers after a number sign."""

from privacy.detect.recognisers.base import DigitRecogniser


class RecordNumber(DigitRecogniser):
    """Recognises a number after ``#``; the rules of each language find numbers after words such as "case no."."""

    label = "RECORD_NUMBER"
    rules = (("hash", r"(?<![\w&])\#[ ]?\K\d[\w-]{2,24}", 0.4),)
