"""Define the detection rules for Spanish; ``privacy.detect.rules`` explains their syntax, and ``forms`` their shape."""

from privacy.detect.languages.forms import dates, ending, handles, people, records, said_numbers, spelt_emails, towns
from privacy.detect.rules import HOUSE_NUMBER, Rules, any_of, any_titled

TITLE = any_of(
    "sr sra srta sres señor señora señorita señores don doña d dª dña dr dra doctor doctora prof profesor profesora lic "
    "licenciado licenciada ing ingeniero ingeniera arq abogado abogada enfermero enfermera fray padre hermana excmo "
    "ilmo mr mrs"
)
NO_NAME = any_titled(
    "el la los las un una y o que cliente clienta doctor doctora director directora presidente presidenta juez jueza "
    "alcalde yo él ella usted ustedes es son fue ha han en de por para con sin su sus mi mis al se no si señor señora"
)
SAID = r"""(?i:
    (?:(?:mi|su|el|tu)[ ])?(?:nombre|apellidos?)(?:[ ](?:completo|y[ ]apellidos|es|de[ ]usuario))?[ ]?[:=]?
    |firmado(?:[ ]por)?|fdo\.?|firma|atentamente|atte\.?|saludos(?:[ ]cordiales)?|un[ ](?:saludo|abrazo)
    |a[ ]la[ ]atención[ ]de
    |(?:titular|beneficiari[oa]|asegurad[oa]|paciente|inquilin[oa]|propietari[oa]|solicitante|contacto|afiliad[oa])[ ]?[:=]?
    |estimad[oa]s?|querid[oa]s?|hola|soy|me[ ]llamo|se[ ]llama|llamad[oa]|nacid[oa]|a[ ]nombre[ ]de|habl(?:é|ado)[ ]con
)"""
PEOPLE = people(TITLE, SAID, NO_NAME, r"(?:me[ ]llamo|mi[ ]nombre[ ]es)")
MONTH = any_of(
    "ene(?:ro)?\\b feb(?:rero)?\\b mar(?:zo)?\\b abr(?:il)?\\b mayo? jun(?:io)?\\b jul(?:io)?\\b ago(?:sto)?\\b "
    "se(?:p(?:t(?:iembre)?)?|tiembre)\\b oct(?:ubre)?\\b nov(?:iembre)?\\b dic(?:iembre)?\\b"
)
DATES: Rules = (
    *dates(MONTH, "[ºo]|er", "del?"),
    ("year of birth", r"(?i)\b(?:nacid[oa][ ]en|nació[ ]en|año[ ]de[ ]nacimiento[ ]?:?)[ ]\K(?:19|20)\d\d\b", 0.4),
)
AGES: Rules = (
    (
        "age",
        r"(?i)\b\d{1,3}[ ]años[ ]de[ ]edad\b|\b(?:de[ ]edad|edad(?:[ ]de)?[ ]?:?)[ ]\K\d{1,3}\b(?:[ ]años)?"
        r"|\b(?:tengo|tiene|tenía|cumplió|cumple)[ ]\K\d{1,3}[ ](?:años|añitos)\b"
        r"|\b(?:hombre|mujer|varón|paciente|niñ[oa]|hij[oa]|señora?|anciano|anciana|joven|persona|jubilad[oa]|estudiante)[ ]"
        r"(?:de[ ])?\K\d{1,3}[ ]años\b|(?<=[(,][ ]?)\d{1,3}[ ]años\b(?=[,).])",
        0.5,
    ),
)
REGISTER = (
    r"(?:(?:n\.?[ ]?[°ºo]\.?|n[úu]mero|núm\.|num\.|ref(?:erencia|\.)?|identificador|matr[íi]cula|c[óo]digo|clave|folio)"
    r"(?:[ ](?:de[ ](?:la[ ]|los?[ ])?|del[ ]|la[ ])?\p{Ll}[\p{L}'-]+){0,4}"
    r"|(?:expediente|contrato|cliente|p[óo]liza|factura|pedido|siniestro|afiliad[oa]|paciente|pasaporte|permiso|licencia"
    r"|historia(?:[ ]cl[íi]nica)?|cuenta|tarjeta|ticket|reserva|empleado|alumno|caso|acta|recibo|muestra|colegiad[oa]"
    r"|c[ée]dula)"
    r"(?=[ ]?(?:n[°ºo.]|:|\#|n[úu]m))"
    r"|nhc|nuss|nss|dni|nie|nif|cif|curp|rfc|rut|cuit|cuil|cip|nuhsa|ine)"
)
DIGITS = "cero un[oa]? dos tres cuatro cinco seis siete ocho nueve"
WAY = any_of(
    "calle c/ cl\\.? avenida avda\\.? av\\.? paseo p\\.?º pº plaza pza\\.? pl\\.? camino cmno\\.? carretera ctra\\.? ronda "
    "rda\\.? travesía trv\\.? glorieta callejón cuesta rambla vía pasaje pje\\.? urbanización urb\\.? polígono pol\\.? "
    "barrio calzada circuito cerrada privada prolongación blvd\\.? bulevar boulevard andador retorno carrera cra\\.? "
    "diagonal transversal jirón peatonal diag\\.? privada"
)
LINK = r"(?:(?:de|del|la|el|los|las|al|y|san|santa)[ ])"
STREETS: Rules = (
    (
        "way, number",
        rf"(?i)(?<!\w){WAY}[ ]*(?-i:{LINK}{{0,3}}[\p{{Lu}}\d][\p{{L}}\d'.-]*(?:[ "
        rf"]{LINK}{{0,3}}[\p{{Lu}}\d][\p{{L}}\d'.-]*){{0,4}})"
        rf",?[ ]+(?:n[°ºo]?\.?[ ]?|n[úu]m(?:\.|ero)[ ]?|\#[ ]?)?(?:{HOUSE_NUMBER}|s/n\b)(?:[ ]?-[ ]?\d{{1,3}}\b)?"
        r"(?:,?[ ]\d{1,2}[.]?[°ºª]?(?:[ ](?-i:[A-Z])\b|[ ](?:izq|dcha|dch|der|pta|esc|piso)\w*\.?(?:[ ](?-i:[A-Z\d])\b)?))?",
        0.7,
    ),
    (
        "colony",
        r"\b(?:[Cc]olonia|Col\.|[Ff]racc(?:ionamiento|\.)|[Bb]arrio|[Mm]z(?:a)?\.?|[Ll]ote)[ ]\p{Lu}[\p{L}'-]+(?:[ "
        r"](?:de[ ])?\p{Lu}[\p{L}'-]+){0,3}",
        0.5,
    ),
    (
        "inside",
        r"(?i)\b(?:interior|int\.|exterior|ext\.|piso|puerta|pta\.|esc(?:alera|\.)|depto\.?|dto\.|dpto\.?)[ ]\d{1,4}\b",
        0.4,
    ),
    ("state, postcode", r"\b[A-Z]{2,4}[ ]\d{5}(?:-\d{4})?\b", 0.6),
    *towns(r"(?:(?:E|ES|MX|AR|CL)-?[ ]?\d{4,5}|(?:C\.?[ ]?P\.?:?[ ]?)?\d{5})", "de|del|la|el|los|las|y|d'"),
)

# Names of towns that consist of several words.
TOWNS: Rules = (
    (
        "saint",
        r"\b(?:San|Santa|Santo|Villa|Puerto|Nuev[oa]|Viej[oa]|Ciudad|Monte)[ ]\p{Lu}[\p{L}'-]*"
        r"(?:[ ]\p{Lu}[\p{L}'-]*|[ ](?:del?|y)(?:[ ](?:la|los|las|el))?[ ]\p{Lu}[\p{L}'-]*|[ ]l[oa]s[ ](?:altos"
        r"|bajos)){0,3}",
        0.4,
    ),
)

RULES = {
    "LOCATION": TOWNS,
    "PERSON": PEOPLE,
    "EMAIL_ADDRESS": spelt_emails("punto|dot", "arroba|at"),
    "USERNAME": handles("(?:nombre[ ]de[ ])?usuari[oa]|login|alias|apodo|identificador|conectad[oa][ ]como", "(?:es|como)"),
    "ID_NUMBER": said_numbers(DIGITS),
}
DIGIT_RULES = {
    "AGE": AGES,
    "DATE_TIME": DATES,
    "ID_NUMBER": ending(
        r"termina(?:da|do|n)?[ ](?:en|con)|acaba(?:da|do|n)?[ ]en|[úu]ltimos[ ](?:(?:cuatro|4|tres|3)[ "
        r"])?d[íi]gitos(?:[ ](?:son|es))?"
    ),
    "RECORD_NUMBER": records(REGISTER, r"n\.?[ ]?[°ºo]\.?|n[úu]m(?:ero|\.)?|\#", "(?:es|era)(?:[ ]el)?"),
    "STREET_ADDRESS": STREETS,
}
UNIT = any_of(
    "mg mcg µg g kg t ml cl dl l mm cm m km ui mmol mol kcal kj lpm hz khz mhz gb mb kb por[ ]?ciento euros? eur dólares? "
    "usd mxn pesos? céntimos? horas? h min\\.? minutos? segundos? días? semanas? mes(?:es)? años? veces personas pacientes "
    "unidades piezas páginas grados comprimidos gotas"
)
CALENDAR = r"\d|(?i:lunes|martes|miércoles|jueves|viernes|sábado|domingo)"
LOGIN = r"(?i)\b(?:usuari[oa]|login|cuenta|perfil|alias|miembro)[ ]['\"]?(?P<word>\p{L}[\w.-]{2,39}\w)"
