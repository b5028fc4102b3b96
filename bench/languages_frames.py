"""Sentences of several languages with places for personal data, in two sets that were written together.

The sentences of ``seen`` were read while the rules were corrected. Nobody reads the missed texts of ``kept``, only counts by
kind, so that its figures are less biased. The sentences of ``plain`` hold no personal data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Frames:
    """Sentences of one language, Faker's locales of its countries, and names that are rare in lists."""

    locales: Sequence[str]
    seen: Sequence[str]
    kept: Sequence[str]
    plain: Sequence[str]
    given: str
    family: str


FRAMES: Mapping[str, Frames] = {
    "de": Frames(
        locales=("de_DE", "de_AT", "de_CH"),
        seen=(
            "Sehr geehrte Frau {LAST}, Ihre Rechnung vom {DATE} ist noch offen. Bitte überweisen Sie den Betrag auf {IBAN}.",
            "Der Patient {PERSON}, geboren am {DATE}, wohnhaft {ADDRESS}, wurde gestern aus der Klinik entlassen.",
            "Mein Name ist {PERSON} und Sie erreichen mich tagsüber unter {PHONE} oder per E-Mail an {EMAIL}.",
            "Steuer-ID {NATIONAL_ID}, Aktenzeichen {CASE}: Der Bescheid für Herrn {LAST} liegt bei.",
            "Herr {PERSON} ist {AGE} Jahre alt und lebt seit der Scheidung in {CITY}.",
            "Bitte legen Sie die Akte {CASE} an und rufen Sie {FIRST} {LAST} unter {PHONE} zurück.",
            "Frau Dr. {LAST} hat den Befund am {DATE} an {PERSON} geschickt.",
            "Die Kreditkarte {CREDIT_CARD} von {PERSON} wurde gesperrt, weil die Abbuchung nicht stimmte.",
            "hallo, ich heiße {person} und meine nummer ist {PHONE}, bitte melden",
            "Unser Mieter {PERSON}, {ADDRESS}, zahlt die Nebenkosten immer zu spät.",
        ),
        kept=(
            "Anbei die Unterlagen von {PERSON} (geb. {DATE}), Versichertennummer {NATIONAL_ID}, zur weiteren Bearbeitung.",
            "Gestern rief {LAST} wegen der Mahnung an; Rückruf bitte unter {PHONE}.",
            "Wir ziehen im Frühjahr um, die neue Anschrift lautet {ADDRESS}.",
            "Zeugin {PERSON} gab an, den Wagen in {CITY} gesehen zu haben. Gez. {LAST}",
            "Die Kündigung zum Vertrag {CASE} wurde von {EMAIL} geschickt und ist unterschrieben von {PERSON}.",
            "Lieber {FIRST}, deine Überweisung von {IBAN} ist angekommen, viele Grüße, {FIRST}",
            "Laut Überweisungsschein klagt die {AGE}-jährige Patientin {LAST} seit Wochen über Schwindel.",
            "Am {DATE} hat {PERSON} die Kaution für die Wohnung {ADDRESS} zurückgefordert.",
            "Kartennummer {CREDIT_CARD}, gültig bis Ende des Jahres, Inhaberin {PERSON}.",
            "bin {person}, wohne in {city} und erreichbar per {EMAIL}",
        ),
        plain=(
            "Die Blutdruckwerte haben sich unter der neuen Medikation deutlich gebessert.",
            "Bitte beachten Sie die Kündigungsfrist und die allgemeinen Geschäftsbedingungen der Bank.",
            "Nach der Operation war die Wundheilung unauffällig, die Entlassung erfolgte am fünften Tag.",
            "Die Lieferung verzögert sich, weil der Spediteur keine freien Fahrzeuge hat.",
            "Das Gericht hat die Klage abgewiesen und die Kosten des Verfahrens der Klägerin auferlegt.",
            "Wir empfehlen eine Kontrolluntersuchung beim Hausarzt und viel Bewegung an der frischen Luft.",
        ),
        given="Gundelinde Friedolin Wiltrud Ortrun Sieghild Leberecht Hadumod Tjark Enno Wiebke Ayşegül Zbigniew Nkechi",
        family="Achternbusch Quendler Zwierzynski Brinkhoff-Lütge Szczepanik Oehlenschläger Kruckenhauser Vögtlin Rüttimann "
        "Öztürk Nguyen Tschudi Wagenknecht-Ohm",
    ),
    "fr": Frames(
        locales=("fr_FR", "fr_BE", "fr_CH"),
        seen=(
            "Bonjour, je suis {PERSON} et j'habite au {ADDRESS}. Mon numéro est le {PHONE}.",
            "Madame {LAST} a rendez-vous le {DATE} avec le docteur {LAST} à {CITY}.",
            "Veuillez rembourser la somme sur le compte {IBAN} au nom de {PERSON}.",
            "Mon fils {FIRST} est malade, écrivez-moi à {EMAIL} s'il vous plaît.",
            "Numéro de sécurité sociale {NATIONAL_ID} : la prise en charge de M. {LAST} est acceptée.",
            "Le locataire {PERSON}, {ADDRESS}, n'a pas payé le loyer depuis trois mois.",
            "Patiente de {AGE} ans, {PERSON}, dossier n° {CASE}, admise pour une douleur thoracique.",
            "La carte {CREDIT_CARD} de {PERSON} a été bloquée après un paiement suspect.",
            "salut c'est {person}, mon numero c'est {PHONE}, rappelle moi",
            "L'entreprise (SIRET {COMPANY_ID}) a été contactée par {PERSON} le {DATE}.",
        ),
        kept=(
            "Ci-joint les pièces de {PERSON}, née le {DATE}, immatriculée sous le {NATIONAL_ID}.",
            "Hier, {LAST} a téléphoné au sujet de la relance ; merci de rappeler au {PHONE}.",
            "Nous déménageons au printemps, notre nouvelle adresse sera {ADDRESS}.",
            "Le témoin {PERSON} affirme avoir vu la voiture à {CITY}. Signé : {LAST}",
            "La résiliation du contrat n° {CASE} a été envoyée depuis {EMAIL} par {PERSON}.",
            "Chère {FIRST}, ton virement depuis {IBAN} est bien arrivé, bises, {FIRST}",
            "Selon le compte rendu, Mme {LAST}, âgée de {AGE} ans, se plaint de vertiges.",
            "Le {DATE}, {PERSON} a réclamé la caution du logement situé {ADDRESS}.",
            "Numéro de carte {CREDIT_CARD}, valable jusqu'à la fin de l'année, titulaire {PERSON}.",
            "moi c'est {person}, je vis à {city}, tu peux m'écrire à {EMAIL}",
        ),
        plain=(
            "La tension artérielle s'est nettement améliorée sous le nouveau traitement.",
            "Merci de respecter le préavis et les conditions générales de la banque.",
            "Après l'opération, la cicatrisation était normale et la sortie a eu lieu le cinquième jour.",
            "La livraison est retardée parce que le transporteur n'a plus de véhicule disponible.",
            "Le tribunal a rejeté la demande et condamné la requérante aux dépens.",
            "Nous conseillons un contrôle chez le médecin traitant et beaucoup de marche.",
        ),
        given="Enguerrand Clotilde Thibaud Yseult Maëlys Anicet Fatoumata Gwenaëlle Loïck Ombeline Kouassi Trúc",
        family="Quéffelec Tchouaméni Le-Goff Kerviel Ben-Yahia Vandevelde Zufferey Nkounkou Estournelles Chappuis-Rey "
        "Bourguignon Diarrassouba Pham-Van",
    ),
    "es": Frames(
        locales=("es_ES", "es_MX", "es_AR"),
        seen=(
            "Me llamo {PERSON} y vivo en {ADDRESS}. Mi teléfono es {PHONE}.",
            "La señora {LAST} nació el {DATE} en {CITY} y trabaja con {PERSON}.",
            "Por favor, hagan la transferencia a {IBAN} a nombre de {PERSON}.",
            "El correo de {FIRST} es {EMAIL}, gracias por todo.",
            "Documento de identidad {NATIONAL_ID}: la solicitud del Sr. {LAST} está aprobada.",
            "El inquilino {PERSON}, {ADDRESS}, no paga el alquiler desde hace tres meses.",
            "Paciente de {AGE} años, {PERSON}, expediente n.º {CASE}, ingresa por dolor torácico.",
            "La tarjeta {CREDIT_CARD} de {PERSON} quedó bloqueada tras un cargo sospechoso.",
            "hola soy {person}, mi numero es {PHONE}, llamame por favor",
            "La doctora {LAST} envió el informe a {PERSON} el {DATE}.",
        ),
        kept=(
            "Adjunto los documentos de {PERSON}, fecha de nacimiento {DATE}, con número de identificación {NATIONAL_ID}.",
            "Ayer llamó {LAST} por el aviso de pago; devuelvan la llamada al {PHONE}.",
            "Nos mudamos en primavera, la nueva dirección es {ADDRESS}.",
            "La testigo {PERSON} dice que vio el coche en {CITY}. Firmado: {LAST}",
            "La baja del contrato n.º {CASE} se envió desde {EMAIL} y la firma {PERSON}.",
            "Querida {FIRST}, tu transferencia desde {IBAN} ya llegó, un abrazo, {FIRST}",
            "Según el informe, doña {LAST}, de {AGE} años de edad, se queja de mareos.",
            "El {DATE}, {PERSON} reclamó la fianza del piso situado en {ADDRESS}.",
            "Número de tarjeta {CREDIT_CARD}, válida hasta fin de año, titular {PERSON}.",
            "yo soy {person}, vivo en {city} y mi correo es {EMAIL}",
        ),
        plain=(
            "La presión arterial ha mejorado claramente con el nuevo tratamiento.",
            "Les rogamos que respeten el plazo de preaviso y las condiciones generales del banco.",
            "Después de la operación la herida cicatrizó bien y el alta fue al quinto día.",
            "La entrega se retrasa porque el transportista no tiene vehículos libres.",
            "El tribunal desestimó la demanda y condenó en costas a la demandante.",
            "Recomendamos una revisión con el médico de cabecera y caminar mucho.",
        ),
        given="Iñaki Ainhoa Xóchitl Nahuel Itziar Eneko Citlali Facundo Guiomar Yaretzi Nkechi Malen",
        family="Etxeberria Quispe Huenchumilla Ñíguez Goikoetxea Peñaranda Llorach Zubizarreta Xicoténcatl Urrutikoetxea "
        "Catrileo Bahamonde Ndongo",
    ),
}
