"""List the sources of Spanish surrogates and the forms of Spanish dates."""

from privacy.detect.languages.base import DateForms, SurrogateForms

SURROGATES = SurrogateForms(
    locales=("es_ES", "es_MX", "es_AR"),
    nations=("canadiense", "danés", "finlandés", "griego", "irlandés", "keniano", "portugués", "sueco"),
)
DATES = DateForms(
    numeric=("%d/%m/%Y", "%d/%m/%y", "%Y-%m-%d", "%d-%m-%Y", "%d.%m.%Y", "%d-%m-%y"),
    textual=("%d de %B de %Y", "%d de %B del %Y", "%d de %B", "%d %B %Y", "%d %b %Y", "%d de %b de %Y", "%d-%b-%Y"),
    weekdays=("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
    ordinals=("º", "o", "er"),
    months=(
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre ene. feb. mar. abr. mayo "
        "jun. jul. ago. sept. oct. nov. dic."
    ),
)
