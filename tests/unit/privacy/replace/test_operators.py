from datetime import date

import pytest

from privacy.detect.findings import Finding
from privacy.detect.languages.en.language import ENGLISH
from privacy.replace.operators import NumberedTag, Replacer, TagTable

LABELS = ("PERSON", "LOCATION")


def find(text: str, word: str, label: str = "PERSON", start: int = 0) -> Finding:
    place = text.index(word, start)
    return Finding(label, place, place + len(word), 1.0)


def test_tags_are_numbered_in_reading_order_and_equal_values_share_one() -> None:
    replacer = Replacer("tag", LABELS, ENGLISH)
    texts = ("Ann met Bob.", "bob, ANN and Cy in Rome")
    table = replacer.table(texts)
    first = replacer.replace(texts[0], [find(texts[0], "Ann"), find(texts[0], "Bob")], table)
    words = [find(texts[1], "bob"), find(texts[1], "ANN"), find(texts[1], "Cy"), find(texts[1], "Rome", "LOCATION")]
    assert first == "<PERSON_1> met <PERSON_2>."
    assert replacer.replace(texts[1], words, table) == "<PERSON_2>, <PERSON_1> and <PERSON_3> in <LOCATION_1>"


def test_values_are_equal_whatever_stands_between_their_letters_and_digits() -> None:
    table = TagTable()
    assert table.tag("PHONE_NUMBER", "020 7946-0018") == table.tag("PHONE_NUMBER", "(020) 79460018")


def test_redact_shows_the_type_alone() -> None:
    replacer = Replacer("redact", LABELS, ENGLISH)
    text = "Ann met Bob and <PERSON_999>."
    table = replacer.table([text])
    tagged = replacer.replace(text, [find(text, "Ann"), find(text, "Bob")], table)
    assert replacer.finish({"text": tagged}, table, b"1") == {"text": "<PERSON> met <PERSON> and <PERSON_999>."}


def test_dates_of_a_record_move_together_under_tags() -> None:
    replacer = Replacer("tag", (*LABELS, "DATE_TIME"), ENGLISH, "shift", b"k" * 32)
    text = "from 2021-03-01 to 2021-03-31"
    table = replacer.table([text])
    found = [find(text, "2021-03-01", "DATE_TIME"), find(text, "2021-03-31", "DATE_TIME")]
    done = replacer.finish({"text": replacer.replace(text, found, table)}, table, b"1")["text"]
    first, last = (date.fromisoformat(done[at : at + 10]) for at in (5, 19))
    assert (last - first).days == 30
    assert first != date(2021, 3, 1)


def test_a_new_tag_never_takes_the_number_of_one_that_stands_in_the_record() -> None:
    replacer = Replacer("tag", LABELS, ENGLISH)
    text = "<PERSON_4> knows Ann"
    assert replacer.replace(text, [find(text, "Ann")], replacer.table([text])) == "<PERSON_4> knows <PERSON_5>"


def test_only_our_own_tags_are_blotted_out() -> None:
    text = "<PERSON_1> <JOHN_1> <PERSON> <PERSON_41111111>"
    masked = Replacer("tag", LABELS, ENGLISH).mask(text)
    assert len(masked) == len(text)
    assert masked.replace("\ufffc", "") == " <JOHN_1>  <PERSON_41111111>"


def test_numbered_tags_refuse_to_work_without_a_table() -> None:
    with pytest.raises(TypeError):
        NumberedTag().validate({"entity_type": "PERSON"})


@pytest.mark.parametrize("words", [("Rylands", "Fletcher"), ("Rylands v Fletcher",)])
def test_the_parties_of_a_case_keep_their_tags_because_an_invented_party_is_false_law(words: tuple[str, ...]) -> None:
    replacer = Replacer("surrogate", LABELS, ENGLISH, key=b"k" * 32)
    text = "Rylands v Fletcher liability is strict."
    table = replacer.table([text])
    tagged = replacer.replace(text, [find(text, word) for word in words], table)
    assert replacer.finish({"text": tagged}, table, b"1") == {"text": tagged}


def test_a_number_that_only_looks_like_an_identifier_keeps_its_tag() -> None:
    replacer = Replacer("surrogate", ("ID_NUMBER",), ENGLISH, key=b"k" * 32)
    text = "Form W-3/ZZ44 and customer 4481-7730."
    table = replacer.table([text])
    guessed, known = find(text, "W-3/ZZ44", "ID_NUMBER"), find(text, "4481-7730", "ID_NUMBER")
    tagged = replacer.replace(text, [Finding(guessed.label, guessed.start, guessed.end, 0.3), known], table)
    done = replacer.finish({"text": tagged}, table, b"1")["text"]
    assert done.startswith("Form <ID_NUMBER_1> and customer ")
    assert "<ID_NUMBER_2>" not in done
