"""Recognise postal addresses of several countries."""

from privacy.detect.recognisers.base import DigitRecogniser
from privacy.detect.rules import HOUSE_NUMBER, any_of

# Words that end the name of a street: "Hauptstraße 5", "Nygatan 12".
SUFFIX = any_of(
    "stra(?:ß|ss)e str\\. gasse weg platz allee ring damm ufer gatan gränd vägen gata gate vegen? veien vej gade allé "
    "terrasse chaussee promenade steig pfad graben markt brygge løkken sti parken kaj kai maantee tänav põik trg cesta "
    "nábřeží aleja rakpart kapu sétány sokak caddesi cad mahallesi jalan väg vägen backe strand stranda torv steeg singel "
    "hof baan torget stræde bakken stræti vegur katu kuja polku tie tee puiestee laan straat plein gracht kade dreef dijk "
    "utca útja körút tér tere ulica ulice náměstí cesta třída"
)
# Words before the name of a street. The name after a word of the second list must have a capital, because that word is short
# or has other meanings.
PREFIX = any_of("rue avenue avda boulevard chemin viale piazza calle c/ paseo rúa rua avenida travessa praça")
PREFIX_NAMED = any_of(
    "av bd blvd allée impasse quai route via vicolo corso largo strada plaza camino carrer ronda estrada ul ulica al "
    "aleja os plac jalan jl ulitsa улица ул diagonal periférico circuito cerrada privada prolongación calzada pasaje "
    "callejón retorno andador blv boulevard"
)
# Articles and prepositions inside the name of a street.
LINK = r"(?:(?:d[aeiou]s?|de[il]|d[ae]gli|d[ae]ll[aeo]|dal|la|le|les|los|las|el|al|d'|l'|dell')[ ]?)"
WORD = r"[\p{Lu}\d][\p{L}\d'.-]*"
CAPITALISED = r"\p{Lu}\p{Ll}[\p{L}']*"
UNITS = (
    "apt apartment suite ste unit flat room rm floor fl bldg building door lot house studio h\\.no edif edificio depto "
    "departamento dpto dto piso planta escalera puerta bloque bloco apto bât bâtiment appt étage stiege tür whg interno "
    "torre"
)


class Address(DigitRecogniser):
    """Recognises a street and a number in either order, a unit of a building, and a post box; a language adds its words."""

    label = "STREET_ADDRESS"
    rules = (
        ("one word, number", rf"\b\p{{Lu}}[\p{{L}}-]*{SUFFIX}(?<=\.|\b),?[ ]+{HOUSE_NUMBER}", 0.7),
        (
            "words, number",
            rf"\b\p{{Lu}}[\p{{L}}'.-]*(?:[ ]\p{{L}}[\p{{L}}'.-]*){{0,3}}[ ]{SUFFIX}(?<=\.|\b),?[ ]+{HOUSE_NUMBER}",
            0.7,
        ),
        ("number, one word", rf"\b{HOUSE_NUMBER},?[ ]+\p{{Lu}}\p{{L}}*{SUFFIX}\b", 0.7),
        (
            "prefix, number",
            rf"(?<!\w){PREFIX}\.?[ ]+(?:[\p{{L}}\d][\p{{L}}\d'.-]*,?[ ]+){{1,5}}(?:[Nn][º°o]?\.?[ ]?)?{HOUSE_NUMBER}",
            0.7,
        ),
        (
            "prefix, name, number",
            rf"(?<!\w){PREFIX_NAMED}\.?[ ]+{LINK}{{0,2}}(?:{WORD},?[ ]+(?:de[ ]|y[ ])?){{1,4}}"
            rf"(?:[Nn][ro]?[º°]?\.?[ ]?)?{HOUSE_NUMBER}",
            0.7,
        ),
        (
            "number, prefix",
            rf"\b{HOUSE_NUMBER},?[ ]+{PREFIX}\b\.?[ ]+{LINK}{{0,2}}\p{{L}}[\p{{L}}'-]*(?:[ -]\p{{Lu}}[\p{{L}}'-]*){{0,3}}",
            0.7,
        ),
        (
            "number, prefix, name",
            rf"\b{HOUSE_NUMBER},?[ ]+{PREFIX_NAMED}\b\.?[ ]+{LINK}{{0,2}}"
            r"\p{Lu}[\p{L}'-]*(?:[ -]\p{Lu}[\p{L}'-]*){0,3}",
            0.7,
        ),
        (
            "short form, number",
            r"\b\p{Lu}[\p{L}'-]+[ ](?!(?:no|nr|vol|fig|pp?|vs|ca|approx|ext|tel|ch|sec|art|para)\.)"
            r"\p{Ll}{1,4}\.[ ]\d{1,4}(?![.,]?\d|[ ]?(?:mg|ml))",
            0.5,
        ),
        (
            "number, words, postcode",
            rf"\b{HOUSE_NUMBER},?[ ]+(?:{CAPITALISED}[ ]){{0,4}}{CAPITALISED},[ ]+(?:{CAPITALISED}(?:,?[ ]+|-)){{1,4}}"
            r"(?:[A-Z]{2,3},?[ ]+)?(?!(?:19|20)\d\d\b)\d{4,6}(?:-\d{3,4})?\b(?![%°]|[.,:/]\d)",
            0.5,
        ),
        # Japan: district, block and house, then the quarter and the town.
        (
            "blocks, quarter, town",
            rf"(?<![\w-])\d{{1,2}}-\d{{1,3}}-\d{{1,3}},?[ ]{CAPITALISED}(?:-{CAPITALISED}|-\p{{Ll}}{{2,6}})?"
            rf",[ ]{CAPITALISED}",
            0.5,
        ),
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
    )
