"""List the sources of German surrogates and the forms of German dates."""

from privacy.detect.languages.base import DateForms, SurrogateForms

SURROGATES = SurrogateForms(
    locales=("de_DE", "de_AT", "de_CH"),
    nations=("dänisch", "finnisch", "griechisch", "irisch", "kanadisch", "mexikanisch", "portugiesisch", "schwedisch"),
)
DATES = DateForms(
    numeric=("%d.%m.%Y", "%d.%m.%y", "%Y-%m-%d", "%d/%m/%Y", "%d-%m-%Y", "%d.%m."),
    textual=("%d. %B %Y", "%d. %b %Y", "%d. %B", "%d %B %Y", "%d %b %Y"),
    weekdays=("montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag"),
    ordinals=("ter", "ten"),
    months=(
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember Jan. Feb. Mär. Apr. Mai Jun. "
        "Jul. Aug. Sept. Okt. Nov. Dez."
    ),
)
