"""List the sources of French surrogates and the forms of French dates."""

from privacy.detect.languages.base import DateForms, SurrogateForms

SURROGATES = SurrogateForms(
    locales=("fr_FR", "fr_BE", "fr_CH"),
    nations=("canadien", "danois", "finlandais", "grec", "irlandais", "kényan", "mexicain", "portugais", "suédois"),
)
DATES = DateForms(
    numeric=("%d/%m/%Y", "%d/%m/%y", "%Y-%m-%d", "%d.%m.%Y", "%d-%m-%Y", "%d.%m.%y"),
    textual=("%d %B %Y", "%d %b %Y", "%d %B", "%d %b"),
    weekdays=("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
    ordinals=("er",),
    months=(
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre janv. févr. mars avr. mai "
        "juin juil. août sept. oct. nov. déc."
    ),
)
