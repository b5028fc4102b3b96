"""List the sources of English surrogates and the forms of English dates."""

from privacy.detect.languages.base import DateForms, SurrogateForms

SURROGATES = SurrogateForms(
    locales=("en_US", "en_GB"),
    nations=("Canadian", "Danish", "Dutch", "Finnish", "Greek", "Irish", "Kenyan", "Mexican", "Portuguese", "Swedish"),
)
DATES = DateForms(
    numeric=(
        "%Y-%m-%d",
        "%Y/%m/%d",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d.%m.%Y",
        "%d-%m-%Y",
        "%m-%d-%Y",
        "%d/%m/%y",
        "%m/%d/%y",
        "%d.%m.%y",
    ),
    textual=("%d %B %Y", "%d %b %Y", "%B %d, %Y", "%B %d %Y", "%b %d, %Y", "%b %d %Y", "%d %B", "%d %b", "%B %d", "%b %d"),
    weekdays=("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    ordinals=("st", "nd", "rd", "th"),
)
