"""Define the detection rules for French; ``privacy.detect.rules`` explains their syntax, and ``forms`` their shape."""

from privacy.detect.languages.forms import dates, ending, handles, people, records, said_numbers, spelt_emails, towns
from privacy.detect.rules import HOUSE_NUMBER, Rules, any_of, any_titled

TITLE = any_of(
    "m mr mrs mm mme mmes mlle mlles monsieur messieurs madame mesdames mademoiselle dr docteur docteure drs pr professeur "
    "professeure me maître maitre sœur père frère abbé infirmière infirmier sage-femme veuve vve feu feue époux"
)
NO_NAME = any_titled(
    "le la les un une des du de et ou client cliente docteur professeur directeur directrice président présidente "
    "maire juge "
    "je il elle nous vous on est sont a ont sera était en dans pour par avec sur au aux mon ma mes son sa ses votre notre"
)
SAID = r"""(?i:
    (?:(?:mon|son|leur|votre|le)[ ])?(?:pré)?nom(?:[ ]de[ ](?:famille|naissance|jeune[ ]fille|l'assuré|l'utilisateur))?
    (?:[ ]est|[ ]complet)?[ ]?[:=]?
    |signé(?:[ ]par|[ ]:)?|signature|cordialement|bien[ ]à[ ]vous|sincères[ ]salutations|amicalement|à[ ]l'attention[ ]de
    |(?:titulaire|bénéficiaire|assurée?|patiente?|locataire|propriétaire|salariée?|candidate?|contact|interlocuteur)[ ]?[:=]?
    |chère?|bonjour|bonsoir|je[ ]suis|je[ ]m'appelle|s'appelle|nommée?|dénommée?|née?|épouse|au[ ]nom[ ]de|parlé[ ](?:à|avec)
)"""
PEOPLE = people(
    TITLE,
    SAID,
    NO_NAME,
    r"(?:je[ ]m'appelle|mon[ ]nom[ ](?:est|c'est)|moi[ ]c'est|(?:salut|bonjour|bonsoir|coucou),?[ ](?:c'est|ici))",
)
MONTH = any_of(
    "janv(?:ier)?\\b f[ée]vr(?:ier)?\\b mars avr(?:il)?\\b mai juin juil(?:let)?\\b ao[ûu]t sept(?:embre)?\\b "
    "oct(?:obre)?\\b nov(?:embre)?\\b d[ée]c(?:embre)?\\b"
)
DATES: Rules = (
    *dates(MONTH, "er", ""),
    ("year of birth", r"(?i)\b(?:née?[ ]en|année[ ]de[ ]naissance[ ]?:?)[ ]\K(?:19|20)\d\d\b", 0.4),
)
AGES: Rules = (
    (
        "age",
        r"(?i)\b(?:âgée?s?[ ]de|à[ ]l'âge[ ]de|âge[ ]?:?|j'ai|(?:il|elle|qui)[ ]a|fête[ ]ses|vient[ ]d'avoir)[ ]"
        r"\K\d{1,3}[ ]?(?:ans?\b|a\b)?(?![ ]?[\d%€])"
        r"|\b(?:hommes?|femmes?|patiente?s?|fille|garçon|fils|enfant|monsieur|madame|dame|personne|retraitée?|étudiante?"
        r"|[HF])[ ](?:de[ ])?\K\d{1,3}[ ]ans\b"
        r"|(?<=[(,][ ]?)\d{1,3}[ ]ans\b(?=[,).])|\bn(?:on)?ag[ée]naire\b",
        0.5,
    ),
)
REGISTER = (
    r"(?:(?:n[°ºo]\.?|num[ée]ro|nº|r[ée]f(?:[ée]rence|\.)?|identifiant|matricule|code|immatriculation)"
    r"(?:[ ](?:de[ ](?:la[ ]|l')?|du[ ]|d')?\p{Ll}[\p{L}'-]+){0,4}"
    r"|(?:dossier|contrat|client|police|facture|commande|sinistre|adhérent|allocataire|abonnée?|patient|permis|passeport"
    r"|carte(?:[ ](?:d'identité|vitale|nationale[ ]d'identité))?|titre[ ]de[ ]séjour|compte|ticket|réservation|badge|affaire"
    r"|lot|bail|récépissé|ordonnance|échantillon)(?=[ ]?(?:n[°ºo]|:|\#|num|réf))"
    r"|ipp|nip|nir|ins|rpps|adeli|finess|siret|siren|nda|cni|rg)"
)
DIGITS = "z[ée]ro une? deux trois quatre cinq six sept huit neuf"
# Words before the name of a street or of a place without streets.
WAY = any_of(
    "rue avenue av\\.? boulevard bd\\.? blvd\\.? place pl\\.? allée allées chemin ch\\.? impasse quai route rte\\.? cours "
    "passage square ruelle venelle sentier montée côte esplanade faubourg fg\\.? cité clos hameau lotissement résidence "
    "rés\\.? promenade rond-point villa mail parvis traverse voie zone za zi zac drève chaussée"
)
LINK = r"(?:(?:du|des|de|d'|la|le|les|l'|aux?|à|en|sur|sous)[ ]?)"
STREETS: Rules = (
    (
        "number, way",
        rf"(?i)\b{HOUSE_NUMBER}(?:[ ]?(?:bis|ter|quater))?,?[ ]+{WAY}[ ]+(?-i:{LINK}{{0,3}}[\p{{Lu}}\d][\p{{L}}\d'.-]*"
        rf"(?:[ -]{LINK}{{0,2}}\p{{Lu}}[\p{{L}}'.-]*){{0,4}})",
        0.7,
    ),
    (
        "way, number",
        rf"\b(?:[Rr]ue|[Aa]venue|[Cc]haussée|[Dd]rève|[Rr]oute|[Cc]hemin|[Bb]oulevard|[Pp]lace|[Qq]uai|[Aa]llée)[ "
        rf"]+{LINK}{{0,3}}"
        rf"\p{{Lu}}[\p{{L}}'.-]*(?:[ -]{LINK}{{0,2}}\p{{Lu}}[\p{{L}}'.-]*){{0,4}},?[ ]+{HOUSE_NUMBER}(?:[ ]?(?:bis|ter))?\b",
        0.7,
    ),
    (
        "place",
        r"(?i)\b(?:lieu-dit|au[ ]lieu[ ]dit)[ ](?-i:(?:l[ea]s?[ ]|l')?\p{Lu}[\p{L}'-]*(?:[ ]\p{Lu}[\p{L}'-]*){0,3})",
        0.6,
    ),
    ("box", r"\b(?:B\.?P\.?|CS|TSA)[ ]?\d{2,5}\b", 0.5),
    *towns(
        r"(?:(?:F|FR)-?[ ]?\d{5}|(?:B|BE|CH|L)-?[ ]?\d{4}|\d{2}[ ]?\d{3}|(?<=[\p{L}\d],[ ]|\n)[1-9]\d{3})",
        "sur|sous|en|le|la|les|lès|de|du|des|aux?|et|d'|l'",
    ),
    ("district", r"\b(?:Paris|Lyon|Marseille)[ ]\d{1,2}(?:e|er|ème)\b(?:[ ]arr(?:ondissement|t?\.))?", 0.5),
)

RULES = {
    "PERSON": PEOPLE,
    "EMAIL_ADDRESS": spelt_emails("point|dot", "arobase|chez|at"),
    "USERNAME": handles(
        "nom[ ]d'utilisateur|identifiant|login|pseudo(?:nyme)?|utilisateur|connectée?[ ](?:en[ ]tant[ ]que|sous)",
        "(?:est|c'est|sous)",
    ),
    "ID_NUMBER": said_numbers(DIGITS),
}
DIGIT_RULES = {
    "AGE": AGES,
    "DATE_TIME": DATES,
    "ID_NUMBER": ending(
        r"(?:se[ ])?(?:termin(?:e|ant|ée?)|finit|finissant)[ ](?:par|en)|derniers[ ]chiffres(?:[ ](?:sont|de[ ]la[ ]carte))?"
    ),
    "RECORD_NUMBER": records(REGISTER, r"n[°ºo]\.?|num[ée]ro|\#", "(?:est|était)(?:[ ]le)?"),
    "STREET_ADDRESS": STREETS,
}
UNIT = any_of(
    "mg mcg µg g kg t ml cl dl l mm cm m km ui mmol mol kcal kj bpm hz khz mhz go mo ko pour[ ]?cent euros? eur dollars? "
    "usd chf francs? centimes? heures? h min\\.? minutes? secondes? jours? semaines? mois ans? années? fois personnes "
    "patients unités pièces pages degrés comprimés gouttes"
)
CALENDAR = r"\d|(?i:lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche)"
LOGIN = r"(?i)\b(?:utilisat(?:eur|rice)|identifiant|login|compte|profil|pseudo|membre)[ ]['\"]?(?P<word>\p{L}[\w.-]{2,39}\w)"
