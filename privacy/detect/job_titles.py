"""Find the job of a person beside the name: "ward manager Anna Bell", "Tom Reed, chief cashier"."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import regex

from privacy.detect.findings import Finding
from privacy.detect.languages.base import JobWords
from privacy.detect.rules import FLAGS

SCORE = 0.35
WORDS = 3  # most words before the noun
REACH = 80  # characters that are read on either side of a name
WORD = r"[\p{L}][\p{L}/-]*"
# Endings of verbs, adverbs and plurals, which are no part of a title unless a listed title has them.
NO_NOUN = regex.compile(r"\w*(?:ed|ing|ly|[^aiosu]s)")
# Nouns for specialists, which no list has completely: "cardiologist", "electrician".
SPECIALIST = r"[a-z]{3,}(?:ologist|iatrist|ician|grapher|metrist|therapist)"
# What precedes the first word of a sentence.
STARTS = regex.compile(r"(?:\A|[.!?:;\n]\s*)\Z")


class JobTitles:
    """Finds jobs right before the names of persons, and after them between commas or in brackets.

    Parameters
    ----------
    words
        The words of job titles in one language.
    function_words
        Function words of the language, in small letters.
    titles
        Expression for the titles of persons, such as "Dr", which stay.
    """

    def __init__(self, words: JobWords, function_words: Collection[str], titles: str) -> None:
        self._words, self._function_words = words, function_words
        heads = "|".join([*sorted(words.heads, key=len, reverse=True), SPECIALIST])
        job = rf"(?P<before>(?:{WORD}[ ]){{0,{WORDS}}})(?P<head>(?i:{heads}))(?:[ ]of[ ](?:the[ ])?\p{{Lu}}[\p{{L}}-]+)?"
        self._before = regex.compile(rf"(?<![\p{{L}}'-]){job},?[ ]\Z", FLAGS)
        ends = r"(?=[.,;:)!?\n]|\Z|[ ](?:at|of|for|in|from|with|and|who|since)\b)"
        article = r"(?:(?i:the|our|a|an|their|its|his|her|my|your)[ ])?"
        self._after = regex.compile(rf"(?:,[ ]|[ ]\(){article}{job}{ends}", FLAGS)
        # A model may take the last word of a title for a part of the name: "Chief [Cashier Tom Reed]".
        self._inside = regex.compile(rf"(?:{WORD}[ ])*?(?i:{heads})[ ](?={WORD}[ ]{WORD})", FLAGS)
        self._title = regex.compile(rf"(?:{titles})\.?", FLAGS)

    def split(self, text: str, findings: Sequence[Finding]) -> list[Finding]:
        """Return the findings in a text, with the jobs beside the persons; a job that begins a person is taken off.

        Parameters
        ----------
        text
            The text.
        findings
            What was found in it.
        """
        return [each for finding in findings for each in self._split(text, finding)]

    def _split(self, text: str, finding: Finding) -> Iterator[Finding]:
        """Yield one finding, and the jobs beside it if it is a person."""
        if finding.label != "PERSON":
            yield finding
            return
        job = self._inside.match(text, finding.start, finding.end)
        if job:
            yield Finding("JOB_TITLE", finding.start, job.end() - 1, SCORE)
            finding = replace(finding, start=job.end())
        yield finding
        yield from self._beside(text, finding)

    def _beside(self, text: str, person: Finding) -> Iterator[Finding]:
        """Yield the jobs beside one person."""
        first = max(0, person.start - REACH)
        for match in (
            self._before.search(text, first, person.start),
            self._after.match(text, person.end, person.end + REACH),
        ):
            if match is None:
                continue
            start = self._start(text, match)
            end = match.end() - len(match[0]) + len(match[0].rstrip(", "))
            if start is not None and not self._title.fullmatch(text, start, end):
                yield Finding("JOB_TITLE", start, end, SCORE)

    def _start(self, text: str, match: regex.Match[str]) -> int | None:
        """Return where a title starts: at the first of the words before its noun that belong to it.

        After a name, all words must belong to the title; None says that one does not.
        """
        start: int = match.start("head")
        words = list(regex.finditer(WORD, text, pos=match.start("before"), endpos=match.end("before")))
        for word in reversed(words):
            if not self._belongs(text, word, nearest=word is words[-1]):
                return start if match.re is self._before else None
            start = word.start()
        return start

    def _belongs(self, text: str, word: regex.Match[str], nearest: bool) -> bool:
        """Return whether a word before the noun is a part of the title."""
        key = word[0].casefold()
        if key in self._function_words or key in self._words.verbs:
            return False
        if key in self._words.modifiers or key in self._words.heads:
            return True
        if word[0][0].isupper() and not STARTS.search(text, 0, word.start()):
            return True
        return nearest and NO_NOUN.fullmatch(key) is None
