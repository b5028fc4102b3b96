"""What addresses and postcodes look like in several countries; expressions as in ``rules``."""

from privacy.detect.rules import Rules, any_of, any_titled

# Addresses: number and street in either order, in several languages; parts of an address on their own
STREET = any_of(
    "street str st avenue ave? road rd lane ln drive court crescent boulevard blvd bvd square sq terrace highway hwy "
    "parkway pkwy broadway turnpike freeway"
)
# These are common words too, so they count only with a capital.
STREET_TITLED = any_titled(
    "alley bayou beach bend bluff bluffs branch bridge brook brooks bypass camp canyon circle cir cliff cliffs close "
    "common corner corners cove creek cres crossing ct dr drv estate estates extension falls field fields flat forest "
    "fork forks garden gardens glen green greens grove harbor harbour haven heights hill hills hollow island junction "
    "key knoll lake lakes landing loop manor meadow meadows mews mill mills mount orchard oval park parks pass path "
    "pike pine pines pl place plain plains plaza point port prairie quay radial ranch rapids rest ridge rise river "
    "route row rte run shore shores spring springs spur station stream summit ter trace track trail trl tunnel union "
    "valley viaduct view village vista walk way wells wharf"
)
SUFFIX = any_of(
    "stra(?:ß|ss)e str\\. gasse weg platz allee ring damm ufer gatan gränd vägen gata gate vegen? veien vej gade allé "
    "terrasse chaussee promenade steig pfad graben markt brygge løkken sti parken kaj kai maantee tänav põik trg cesta "
    "nábřeží aleja rakpart kapu sétány sokak caddesi cad mahallesi jalan väg vägen backe "
    "strand stranda torv "
    "steeg singel hof baan "
    "torget stræde bakken stræti vegur katu kuja polku tie tee puiestee laan straat plein gracht kade dreef dijk "
    "utca útja körút tér tere ulica ulice náměstí cesta třída"
)
PREFIX = any_of("rue avenue avda boulevard chemin viale piazza calle c/ paseo rúa rua avenida travessa praça")
PREFIX_NAMED = any_of(
    "av bd blvd allée impasse quai route via vicolo corso largo strada plaza camino carrer ronda estrada ul ulica al "
    "aleja os plac jalan jl ulitsa улица ул diagonal periférico circuito cerrada privada prolongación calzada pasaje "
    "callejón retorno andador blv boulevard"
)
LINK = r"(?:(?:d[aeiou]s?|de[il]|d[ae]gli|d[ae]ll[aeo]|dal|la|le|les|los|las|el|al|d'|l'|dell')[ ]?)"
NUMBER = r"\d{1,5}(?:[ ]?[A-Za-z]\b|[/-]\d{1,4}[A-Za-z]?)?"
WORD = r"[\p{Lu}\d][\p{L}\d'.-]*"
CAPITALISED = r"\p{Lu}\p{Ll}[\p{L}']*"
AMOUNT = any_of("of in on the down a x mile miles km block blocks times mg minutes? hours? days? weeks? months? years?")
UNITS = (
    "apt apartment suite ste unit flat room rm floor fl bldg building door lot house studio h\\.no edif edificio depto "
    "departamento dpto dto piso planta escalera puerta bloque bloco apto bât bâtiment appt étage stiege tür whg interno "
    "torre"
)
AT_HOME = r"""(?i:
    (?:lives?|living|lived|resid(?:es?|ing)|stay(?:s|ing)?|located|home|house|office)[ ](?:is[ ])?(?:at|on)
    |address(?:[ ]is|[ ]?:)|corner[ ]of
)[ ](?i:the[ ])?"""
ADDRESSES: Rules = (
    (
        "number first",
        rf"\b{NUMBER},?[ ]+(?:[NSEW]{{1,2}}\.?[ ]+)?(?:{WORD}[ ]+){{1,4}}(?:{STREET}|{STREET_TITLED})\b\.?"
        r"(?:[ ][NSEW]{1,2}\b)?",
        0.7,
    ),
    (
        "lower case",
        rf"(?i)\b{NUMBER},?[ ]+(?!{AMOUNT}\b)\p{{L}}+[ ](?:\p{{L}}+[ ])?"
        r"(?:street|avenue|road|lane|boulevard|highway)\b",
        0.6,
    ),
    ("one word, number", rf"\b\p{{Lu}}[\p{{L}}-]*{SUFFIX}(?<=\.|\b),?[ ]+{NUMBER}", 0.7),
    (
        "words, number",
        rf"\b\p{{Lu}}[\p{{L}}'.-]*(?:[ ]\p{{L}}[\p{{L}}'.-]*){{0,3}}[ ]{SUFFIX}(?<=\.|\b),?[ ]+{NUMBER}",
        0.7,
    ),
    ("number, one word", rf"\b{NUMBER},?[ ]+\p{{Lu}}\p{{L}}*{SUFFIX}\b", 0.7),
    (
        "prefix, number",
        rf"(?<!\w){PREFIX}\.?[ ]+(?:[\p{{L}}\d][\p{{L}}\d'.-]*,?[ ]+){{1,5}}(?:[Nn][º°o]?\.?[ ]?)?{NUMBER}",
        0.7,
    ),
    (
        "prefix, name, number",
        rf"(?<!\w){PREFIX_NAMED}\.?[ ]+{LINK}{{0,2}}(?:{WORD},?[ ]+(?:de[ ]|y[ ])?){{1,4}}"
        rf"(?:[Nn][ro]?[º°]?\.?[ ]?)?{NUMBER}",
        0.7,
    ),
    (
        "number, prefix",
        rf"\b{NUMBER},?[ ]+{PREFIX}\b\.?[ ]+{LINK}{{0,2}}\p{{L}}[\p{{L}}'-]*(?:[ -]\p{{Lu}}[\p{{L}}'-]*){{0,3}}",
        0.7,
    ),
    (
        "number, prefix, name",
        rf"\b{NUMBER},?[ ]+{PREFIX_NAMED}\b\.?[ ]+{LINK}{{0,2}}\p{{Lu}}[\p{{L}}'-]*(?:[ -]\p{{Lu}}[\p{{L}}'-]*){{0,3}}",
        0.7,
    ),
    (
        "short form, number",
        r"\b\p{Lu}[\p{L}'-]+[ ](?!(?:no|nr|vol|fig|pp?|vs|ca|approx|ext|tel|ch|sec|art|para)\.)"
        r"\p{Ll}{1,4}\.[ ]\d{1,4}(?![.,]?\d|[ ]?(?:mg|ml))",
        0.5,
    ),
    # In any country: a number, words with capitals, a comma, a place, and a postcode at the end.
    (
        "number, words, postcode",
        rf"\b{NUMBER},?[ ]+(?:{CAPITALISED}[ ]){{0,4}}{CAPITALISED},[ ]+(?:{CAPITALISED}(?:,?[ ]+|-)){{1,4}}"
        r"(?:[A-Z]{2,3},?[ ]+)?(?!(?:19|20)\d\d\b)\d{4,6}(?:-\d{3,4})?\b(?![%°]|[.,:/]\d)",
        0.5,
    ),
    ("crossing", r"(?i)\b(?:the[ ])?(?:corner|intersection|junction|crossing)[ ]of[ ](?=[^\n]{0,30}[\p{Lu}\d])", 0.6),
    ("cue", rf"\b{AT_HOME}\K(?:{NUMBER},?[ ]+)?(?:\p{{Lu}}[\p{{L}}'.-]*[ ]+){{1,5}}{NUMBER}", 0.6),
    (
        "unit",
        rf"\b{any_of(UNITS)}"
        r"\.?[ ]?(?i:no\.?|number)?[ ]?\#?(?:\d{1,5}[A-Za-z]?|[A-Z]\d{1,4})\b",
        0.5,
    ),
    (
        "box",
        r"(?i)\b(?:p\.?[ ]?o\.?[ ]?box|post(?:al)?[ ]?box|postfach|apartado|casilla|bo[iî]te[ ]postale|b\.?p\.)"
        r"[ ]*(?:no\.?|\#)?[ ]*\d{1,7}",
        0.7,
    ),
    ("military", r"(?i)\b(?:(?:psc|cmr|unit)[ ]\d{1,5},?\s+box[ ]\d{1,5}|[afd]po,?\s+a[aep][ ]\d{5}\b)", 0.7),
)

# Postcodes: own forms, or a number in the place of one; not a count, a dose or a year
NO_COUNT = r"(?![\d%°]|[.,:/-]\d|[ ]?(?:IU|MG|ML|MCG|KG|KM|[a-zµ]))"
NO_POSTCODE = any_of("iu mg ml mm am pm ad bc ce kg km lb hz mb gb sa sd ss in or is er ed iv tv uk us eu")
POSTCODES: Rules = (
    ("british", r"(?i)\b[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[ABD-HJLNP-UW-Z]{2}\b", 0.5),
    ("canadian", r"(?i)\b[ABCEGHJ-NPRSTVXY]\d[A-Z][ -]?\d[A-Z]\d\b", 0.5),
    ("irish", r"(?i)\b(?:[AC-FHKNPRTV-Y]\d{2}|D6W)[ ]?(?=[A-Z]{0,3}\d)[0-9AC-FHKNPRTV-Y]{4}\b", 0.4),
    ("irish, letters", r"\b(?:[AC-FHKNPRTV-Y]\d{2}|D6W)[ ][AC-FHKNPRTV-Y]{4}\b", 0.3),
    ("dutch", rf"\b(?!19|20)[1-9]\d{{3}}[ ]?(?!{NO_POSTCODE}\b)[A-Z]{{2}}\b", 0.4),
    ("state", r"\b[A-Z]{2},?\s+\d{5}(?:-\d{4})?\b", 0.5),
    ("five digits", rf"(?<![\w.,:/$£€\#-])\d{{5}}\b{NO_COUNT}", 0.4),
    ("parted", r"(?<![\w.,:/-])(?:\d{2}-\d{3}|\d{3}[ ]\d{2})\b(?=,?[ ]\p{Lu}|\s*$)", 0.4),
    (
        "named",
        r"(?i)\b(?:zip|post[ ]?code|postal[ ]code|plz|cap|cp)(?:[ ]?code)?(?:[ ]is|[ ]to|[ ]?[:=])?[ ]"
        r"\K(?=[\w-]*\d)\w[\w-]{2,9}(?:[ ]\d\w{2})?",
        0.6,
    ),
    ("after a place", r"\b\p{Lu}\p{L}{2,},?\s+\K(?!(?:19|20)\d\d\b|\d\d00\b)\d{4,6}(?=\s*(?:[.,;]?$|,))", 0.4),
)
