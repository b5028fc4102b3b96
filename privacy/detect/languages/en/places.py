"""Define the rules for places and addresses in English texts; ``privacy.detect.rules`` explains their syntax."""

from privacy.detect.rules import HOUSE_NUMBER, Rules, any_of, any_titled

# What somebody does or did somewhere, before the name of the place.
MOVED = r"""(?i:
    (?:fl(?:ew|y|ies|ying|own)|mov(?:ed?|es|ing)|drove|travel(?:l?ed|l?ing|s)?|return(?:ed|ing|s)?|relocat(?:ed?|es|ing)
    |emigrated|immigrated|commut(?:es?|ed|ing))[ ](?:(?:here|back|over|out|home)[ ])?(?:to|from)
    |originally[ ]from|(?:born|raised|grew[ ]up|liv(?:e|es|ed|ing)|resid(?:es?|ed|ing)|based)[ ]in
)"""
# Capitalised words after these that are no place.
NO_PLACE = any_titled(
    "the a an this that our my his her their hospital court clinic ward work it january february march april may june july "
    "august september october november december spring summer autumn fall winter"
)
PLACE_WORD = r"(?!I\b)\p{Lu}(?:[\p{L}'.-]*\p{L})?'?"
MOVES: Rules = (("moved", rf"\b{MOVED}[ ]\K(?!{NO_PLACE}\b){PLACE_WORD}(?:[ ]{PLACE_WORD}){{0,3}}", 0.6),)
# ISO 6709 and its usual short forms; two decimals with three digits or more, or degrees with a direction.
DEGREES = r"\d{1,3}(?:\.\d+)?°(?:[ ]?\d{1,2}(?:\.\d+)?'(?:[ ]?\d{1,2}(?:\.\d+)?(?:\"|''))?)?[ ]?[NSEW]\b"
PLACES: Rules = (
    (
        "decimals",
        r"(?<![\w.,-])[-+]?(?:[0-8]?\d|90)\.\d{3,9}°?[ ]?[NS]?[ ]?[,;/][ ]?[-+]?(?:1[0-7]\d|180"
        r"|\d{1,2})\.\d{3,9}°?(?:[ ]?[EW]\b)?(?![\w.]?\d)",
        0.5,
    ),
    # As receivers show them: the direction first, minutes with decimals; or the direction right after decimals; or named.
    (
        "direction first",
        r"(?<!\w)[NS][ ]?\d{1,2}°[ ]?\d{1,2}(?:\.\d+)?'?[ ,;/]{1,3}[EW][ ]?\d{1,3}°[ ]?\d{1,2}(?:\.\d+)?'?",
        0.7,
    ),
    ("direction last", r"(?<![\w.])\d{1,2}\.\d{3,9}[ ]?[NS][ ,;/]{1,3}\d{1,3}\.\d{3,9}[ ]?[EW]\b", 0.7),
    (
        "named decimals",
        r"(?i)\b(?:lat(?:itude)?|lon(?:g(?:itude)?)?|lng)\b[ ]?[:=]?[ ]?\K[-+]?\d{1,3}\.\d{3,9}(?![\w.]?\d)",
        0.7,
    ),
    ("degrees", rf"(?<![\w.]){DEGREES}(?:[ ,;/]{{1,3}}{DEGREES})?", 0.7),
)

# Addresses: names of streets, and words before an address.
STREET = any_of(
    "street str st avenue ave? road rd lane ln drive court crescent boulevard blvd bvd square sq terrace highway hwy "
    "parkway pkwy broadway turnpike freeway"
)
# These are common words too, so they count only with a capital.
STREET_TITLED = any_titled(
    "alley bayou beach bend bluff bluffs branch bridge brook brooks bypass camp canyon circle cir cliff cliffs close common "
    "corner corners cove creek cres crossing ct dr drv estate estates extension falls field fields flat forest fork forks "
    "garden gardens glen green greens grove harbor harbour haven heights hill hills hollow island junction key knoll lake "
    "lakes landing loop manor meadow meadows mews mill mills mount orchard oval park parks pass path pike pine pines pl "
    "place plain plains plaza point port prairie quay radial ranch rapids rest ridge rise river route row rte run shore "
    "shores spring springs spur station stream summit ter trace track trail trl tunnel union valley viaduct view village "
    "vista walk way wells wharf annex arcade burg cape causeway circles commons course courts crest crossroad crossroads "
    "curve dale divide drives ferry flats ford fords forge fort gateway groves harbors inlet isle isles islands knolls land "
    "light lights lock locks lodge mall mission motorway mountain mountains neck overpass parkways passage ports ramp "
    "ridges roads shoal shoals skyway spurs squares streets summits throughway trafficway underpass unions valleys views "
    "villages ville walks wall"
)
STREET_WORD = r"[\p{Lu}\d][\p{L}\d'.-]*"
CORNER_WORD = r"(?:\p{Lu}[\p{L}'.-]*|\d{1,5}(?:st|nd|rd|th|[A-Za-z])?\.?|\p{Ll}{1,6}\.?(?=[ ][\p{Lu}\d]))"
# Words after a number that make it an amount, not a house number.
AMOUNT = any_of("of in on the down a x mile miles km block blocks times mg minutes? hours? days? weeks? months? years?")
AT_HOME = r"""(?i:
    (?:lives?|living|lived|resid(?:es?|ing)|stay(?:s|ing)?|located|home|house|office)[ ](?:is[ ])?(?:at|on)
    |address(?:[ ]is|[ ]?:)|corner[ ]of
)[ ](?i:the[ ])?"""
# Two streets that cross: after "corner of", or both with the word for a street. These rules need no digit.
CORNER_NAMES = rf"(?:{CORNER_WORD}[ ]){{1,5}}(?:and|&)[ ](?:{CORNER_WORD}[ ]){{0,4}}(?=[\p{{Lu}}\d]){CORNER_WORD}"
STREET_OF_A_CROSSING = any_titled("street str st avenue ave road rd lane ln drive boulevard blvd")
CROSSING_STREET = rf"(?:{STREET_WORD}[ ]){{1,3}}{STREET_OF_A_CROSSING}\b\.?"
CORNERS: Rules = (
    ("corner of names", rf"\b(?i:(?:the[ ])?(?:corner|junction|crossing)[ ]of[ ]){CORNER_NAMES}", 0.7),
    ("two streets", rf"(?<!\w){CROSSING_STREET}[ ](?:and|&|at|/)[ ]{CROSSING_STREET}", 0.7),
)
ADDRESSES: Rules = (
    (
        "number first",
        rf"\b{HOUSE_NUMBER},?[ ]+(?:[NSEW]{{1,2}}\.?[ ]+)?(?:{STREET_WORD}[ ]+){{1,4}}(?:{STREET}|{STREET_TITLED})\b\.?"
        r"(?:[ ][NSEW]{1,2}\b)?",
        0.7,
    ),
    (
        "lower case",
        rf"(?i)\b{HOUSE_NUMBER},?[ ]+(?!{AMOUNT}\b)\p{{L}}+[ ](?:\p{{L}}+[ ])?"
        r"(?:street|avenue|road|lane|boulevard|highway)\b",
        0.6,
    ),
    (
        "corner",
        rf"\b(?i:(?:the[ ])?(?:corner|intersection|junction|crossing)[ ]of[ ]){CORNER_NAMES}",
        0.7,
    ),
    ("crossing", r"(?i)\b(?:the[ ])?(?:corner|intersection|junction|crossing)[ ]of[ ](?=[^\n]{0,30}[\p{Lu}\d])", 0.6),
    ("cue", rf"\b{AT_HOME}\K(?:{HOUSE_NUMBER},?[ ]+)?(?:\p{{Lu}}[\p{{L}}'.-]*[ ]+){{1,5}}{HOUSE_NUMBER}", 0.6),
    (
        "corner cue",
        rf"\b(?i:(?:send|return|deliver|ship|mail|sent|returned|delivered|come)(?:[ ](?:it|them|this))?[ ]to"
        rf"|address[ ]of[ ][^.\n]{{1,60}}?[ ]is)[ ]\K(?:{STREET_WORD}[ ]){{1,4}}(?:and|&)[ ](?:{STREET_WORD}[ ]){{1,4}}"
        rf"{HOUSE_NUMBER}",
        0.6,
    ),
    (
        "number, words, number, unit",
        r"(?i)\b\d{1,5}[ ](?:[\p{L}.'-]+[ ]){1,5}\d{1,5},?[ ](?:suite|apt|apartment|unit|flat)\b\.?[ ]\d{1,5}\b",
        0.6,
    ),
    ("line of numbers and a name", r"^\W{0,6}\d{3,5}[ ]\p{Lu}[\p{L}'-]{3,}(?:[ ]\p{Lu}[\p{L}'-]+){0,2}[ ]\d{1,4}$", 0.5),
    ("military", r"(?i)\b(?:(?:psc|cmr|unit)[ ]\d{1,5},?\s+box[ ]\d{1,5}|[afd]po,?\s+a[aep][ ]\d{5}\b)", 0.7),
)
