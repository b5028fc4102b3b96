"""Define the detection rules for German; ``privacy.detect.rules`` explains their syntax, and ``forms`` their shape."""

from privacy.detect.languages.forms import dates, ending, handles, people, records, said_numbers, spelt_emails, towns
from privacy.detect.rules import Rules, any_of, any_titled

TITLE = any_of(
    "herrn? frau frl fräulein dr drs prof professorin professor doktor mag magister dipl-ing ing med jur phil rer nat hon "
    "schwester pfleger pfarrer hebamme kollegin kollegen familie fam eheleute mr mrs ms mme monsieur madame"
)
NO_NAME = any_titled(
    "kunde kundin patient patientin doktor professor kollege kollegin kolleginnen damen herren herr frau und oder der "
    "die das "
    "dem den ein eine ist war hat wird wurde kann soll sehr ich wir sie es in im am an auf zu zur mit von aus bei nach wegen"
)
SAID = r"""(?i:
    (?:(?:mein|ihr|sein|der|vor|nach|familien|ruf|geburts|mädchen|kunden|patienten|benutzer|konto|voller)[ -]?)?
    name(?:[ ](?:ist|lautet|war))?[ ]?[:=]?
    |(?:kontoinhaber|karteninhaber|versicherte|patient|mandant|klient|mieter|zeug|kund|bewerber|antragsteller|ansprechpartner)
    (?:in|e|er|en)?[ ]?[:=]?
    |gez\.?|gezeichnet|unterzeichnet(?:[ ]von)?|i\.[ ]?a\.|i\.[ ]?v\.|z\.[ ]?hd\.(?:[ ]von)?|hochachtungsvoll
    |(?:mit[ ])?(?:freundlichen?|herzlichen?|lieben?|besten?|viele|schöne)[ ]gr[üu](?:ß|ss)en?|mfg|lg|vg|liebe[r]?|hallo
    |ich[ ](?:bin|hei(?:ß|ss)e)|hei(?:ß|ss)t|genannt|gesprochen[ ]mit|geb\.|geborene[rn]?
)"""
PEOPLE = people(TITLE, SAID, NO_NAME, r"(?:mein[ ]name[ ]ist|ich[ ]hei(?:ß|ss)e)")
MONTH = any_of(
    "jan(?:uar)?\\b j[äa]nner feb(?:ruar|er)?\\b m[äa]rz mär\\b apr(?:il)?\\b mai jun[io]?\\b jul[iy]?\\b aug(?:ust)?\\b "
    "sept?(?:ember)?\\b okt(?:ober)?\\b nov(?:ember)?\\b dez(?:ember)?\\b"
)
DATES: Rules = (
    *dates(MONTH, r"\.", ""),
    (
        "day and month",
        r"(?i)\b(?:am|vom|bis(?:[ ]zum)?|zum|seit(?:[ ]dem)?|ab(?:[ ]dem)?)[ ]\K\d{1,2}\.[ ]?\d{1,2}\.(?!\d)",
        0.4,
    ),
    (
        "weekday",
        r"(?i)\b(?:montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag),?[ ](?:den|dem)[ ]\K\d{1,2}\.",
        0.3,
    ),
    ("year of birth", r"(?i)\b(?:jahrgang|jg\.|geb(?:\.|oren)(?:[ ]im[ ]jahr)?)[ ]\K(?:19|20)\d\d\b", 0.4),
)
AGES: Rules = (
    (
        "age",
        r"(?i)\b\d{1,3}[ ]?-?[ ]?j(?:ä|ae)hrige?[rsnm]?\b|\b\d{1,3}[ ]?(?:jahre|j\.|lj\.)[ ]alt\b|\b\d{1,3}[ ]?LJ\b\.?"
        r"|\b(?:alter|im[ ]alter[ ]von|lebensjahre?)[ ]?:?[ ]\K\d{1,3}\b(?:[ ]jahren?)?"
        r"|\b\d{1,3}\.[ ]lebensjahr|\b(?:[mwd]|männlich|weiblich),[ ]?\K\d{1,3}[ ]?(?:j\b\.?|jahre)"
        r"|\b\d{1,3}[ ]?(?:j\b\.?|jahre),[ ]?(?:[mwd]\b|männlich|weiblich)",
        0.5,
    ),
)
REGISTER = (
    r"(?:[\p{L}-]{0,30}(?:nummer|nr\.|nr|no\.|kennung|kennzeichen|aktenzeichen|geschäftszeichen|az\.|az|id|token|pin|code)"
    r"|(?:patient|fall|kunde|mitglied|versicherten|akte|vorgang|auftrag|vertrag|police|rechnung|bestellung|konto|depot)"
    r"(?:en|s)?(?:[ ]?[:\#]|[ ](?:nr|nummer)\b\.?))"
)
DIGITS = "null eins? zwo zwei drei vier fünf fuenf sechs sieben acht neun doppel"
# Units of quantities, which are neither postcodes nor numbers of records.
UNIT = any_of(
    "mg mcg µg g kg t ml cl dl l mm cm m km ie mmol mol kcal kj bpm hz khz mhz gb mb kb prozent euro eur usd chf franken "
    "cent uhr std\\.? stunden? min\\.? minuten? sek\\.? sekunden? tage?n? wochen? monaten? jahren? mal personen patienten "
    "stück seiten einheiten grad"
)
STREETS: Rules = (
    (
        "preposition, number",
        r"\b(?:Am|An[ ]de[rnm]|Auf[ ]de[rmn]|Im|In[ ]de[rnm]|Zum|Zur|Hinter[ ]de[rmn]|Unter[ ]de[nr]|Vor[ ]dem|Beim"
        r"|Bei[ ]der)"
        r"[ ](?!(?:Jahr|Alter|Fall|Raum|Umfang|Schnitt|Juni|Juli|März|Mai|\p{L}+tag|\p{L}{3,6}ber|Januar|Februar"
        r"|April|August)\b)"
        r"(?:\p{Lu}[\p{L}-]+[ ]){1,3}\d{1,3}[ ]?[a-z]?\b(?![.,:]\d|[ ]?(?:uhr|%|euro|€|mg|ml|jahre|tage|prozent|grad|chf))",
        0.5,
    ),
    (
        "of, number",
        r"\b(?:Platz|Straße|Strasse|Allee|Weg|Gasse)[ ](?:de[rs]|am|an[ ]der)[ ](?:\d{1,2}\.[ ])?\p{Lu}[\p{L}-]+(?:[ "
        r"]\p{Lu}[\p{L}-]+)?"
        r"[ ]\d{1,3}[ ]?[a-z]?\b",
        0.6,
    ),
    ("top", r"(?i)\b(?:top|stg\.|stiege|tür|whg\.|wohnung|hinterhaus|vorderhaus)[ ]\d{1,3}[a-z]?\b", 0.4),
    *towns(
        r"(?:(?:D|DE)-?[ ]?\d{5}|(?:A|AT|CH|FL)-?[ ]?\d{4}|\d{5}|(?<=\d[a-z]?,[ ]|\n)\d{4})",
        "am|an der|im|in|bei|ob der|vor der|a\\.d\\.",
        UNIT + "|(?i:mark|dollar|kilometer|meter|gramm|menschen|einwohner|leute|kunden|fälle|teilnehmer|exemplare|schritte"
        "|zeichen|wörter|besucher|mitarbeiter|beschäftigte|haushalte|wohnungen|euro\\p{L}*)",
    ),
)

RULES = {
    "PERSON": PEOPLE,
    "EMAIL_ADDRESS": spelt_emails("punkt|dot", "ät|klammeraffe|at"),
    "USERNAME": handles(
        "(?:benutzer|nutzer|login|anmelde|user)[ -]?(?:name|id|kennung)?|login|nick(?:name)?|handle|angemeldet[ ]als",
        "(?:ist|lautet|als)",
    ),
    "ID_NUMBER": said_numbers(DIGITS),
}
DIGIT_RULES = {
    "AGE": AGES,
    "DATE_TIME": DATES,
    "ID_NUMBER": ending(
        r"endet[ ](?:auf|mit)|endend[ ](?:auf|mit)|endziffern?|letzten?[ ](?:vier|4|drei|3)[ ](?:ziffern|stellen)"
    ),
    "RECORD_NUMBER": records(REGISTER, r"(?:nr|nummer)\b\.?|\#", "(?:ist|lautet|war)"),
    "STREET_ADDRESS": STREETS,
}
CALENDAR = r"\d|(?i:montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag)"
LOGIN = r"(?i)\b(?:benutzer(?:name)?|nutzer|login|konto|profil|account|nick|mitglied)[ ]['\"]?(?P<word>\p{L}[\w.-]{2,39}\w)"
