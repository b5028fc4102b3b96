"""Define the detection rules for English; ``privacy.detect.rules`` explains their syntax."""

from privacy.detect.rules import HOUSE_NUMBER, NAME, NAMES, Rules, any_of, any_titled

# People: titles, words before a name, middle initials. "MS" in capitals is no title, because it is a disease and a brand.
TITLE = any_of(
    "dr drs mr mrs ms mx miss prof professor doctor nurse sir dame rev reverend father sister capt captain sgt "
    "herr frau mme mlle monsieur madame señora? sra? srta signora? dott"
)
# Words after a title or a cue that are no name: "Dear Customer", "Patient is".
NO_NAME = any_titled(
    "sir madam doctor dr doc team all everyone there customer support colleague colleagues friend friends staff nurse "
    "and the for so very not no yes if it is in on at to my we you your this that i type stage"
)
# Words before a single letter that is no initial: "Vitamin B", "Hepatitis C".
LETTERED = any_titled(
    "vitamin vitamins hepatitis type group grade stage class plan part factor protein coenzyme influenza strep complex "
    "appendix section table figure schedule plate phase category i a the"
)
# Words that announce a name.
SAID = r"""(?i:
    (?:(?:my|his|her|their|full|first|last|sur|maiden|patient|user|contact|account|card|holder)[ ]?)?
    name(?:'s|[ ]is)?[ ]?[:=?]?
    |contact|patient|i[ ]am|i'm
)"""
# Words that only a name follows, so a drug or a disease that is called like the person is none there.
SIGNED = r"(?i:signed(?:[ ]by)?|sincerely|regards|yours[ ]truly|dear|attn|spoke[ ](?:to|with)|my[ ]name[ ]is)"
# Words before "lives" that are no name.
NOBODY = any_titled(
    "he she it they we you i who that this which nobody somebody anyone everyone everybody patient client customer where "
    "what one whoever the a an our my his her their there also currently now still always never if and but or as"
)
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
PEOPLE: Rules = (
    ("title", rf"\b(?!MS\b){TITLE}(?:\.[ ]{{0,3}}|[ ]{{1,3}})\K(?!{NO_NAME}\b){NAMES}", 0.6),
    ("cue", rf"\b{SAID}[ ]?[:,]?\s{{1,6}}\K(?!{NO_NAME}\b){NAMES}", 0.5),
    ("signed", rf"\b{SIGNED}[ ]?[:,]?\s{{1,6}}\K(?!{NO_NAME}\b){NAMES}", 0.6),
    (
        "lives",
        rf"(?<![\p{{L}}'-])(?!{NOBODY}\b){NAME}(?:[ ]{NAME})?(?=[ ](?i:lives?|lived|resid(?:es|ed)|was[ ]born)\b)",
        0.6,
    ),
    ("caller", rf"\b(?i:this[ ]is|speaking[ ]with)[ ]\K(?!{NO_NAME}\b){NAME}[ ]{NAME}", 0.5),
    ("initial", rf"\b(?!{LETTERED}\b)\p{{Lu}}[\p{{L}}'-]+[ ]\p{{Lu}}\.?[ ](?!I\b)\p{{Lu}}[\p{{L}}'-]+", 0.5),
    (
        "said",
        r"(?i)\bmy[ ]name(?:'s|[ ]is)\s\K\p{L}[\p{L}'-]+"
        r"(?:[ ](?!(?:and|but|i|im|i'm|from|my|the|is)\b)\p{L}[\p{L}'-]+)?",
        0.5,
    ),
)
MONTH = any_of(
    "jan(?:uary)? feb(?:ruary)? mar(?:ch)? apr(?:il)? may june? july? aug(?:ust)? sept?(?:ember)? oct(?:ober)? "
    "nov(?:ember)? dec(?:ember)?"
)
DATES: Rules = (
    ("day first", rf"(?<![\d.])\d{{1,2}}(?:st|nd|rd|th)?[ ](?:of[ ])?{MONTH}\.?(?:,?[ ](?:'?\d{{2}}|\d{{4}}))?\b", 0.4),
    ("month first", rf"\b{MONTH}\.?[ ]\d{{1,2}}(?:st|nd|rd|th)?(?:,?[ ]\d{{4}})?\b(?![.:]\d)", 0.4),
    ("month and year", rf"\b{MONTH}\.?,?[ ](?:19|20)\d\d\b", 0.4),
)
# What follows "93M" where it is the age and the sex of a patient, not an amount.
PATIENT_IS = any_of(
    "with w/ c/o p/w presents? presenting presented admitted who s/p h/o hx here seen was is has brought found "
    "referred complains "
    "complaining smoker known lives living reports denies status"
)
AGES: Rules = (
    (
        "age",
        r"(?i)\b\d{1,3}[ -]?(?:y[ ]?[./][ ]?o\b\.?|yo(?=\b|[mf]\b)|yoa\b|(?:yrs?\.?|years?)[ -]?(?:olds?|young|of[ ]age)\b)"
        r"(?:[ ]?(?:[mf]|male|female)\b)?",
        0.5,
    ),
    (
        "aged",
        r"(?i)\b(?:aged|turn(?:s|ed|ing)?|age(?:[ ]is|[ ]of)?[ ]?[:=]?)[ ]?\K\d{1,3}\b(?![.,/:-]\d|[ ]?"
        r"(?:°|%|degrees?|to\b))",
        0.5,
    ),
    ("age and sex", rf"(?<![\w$£€.,-])(?:1[01]\d|[1-9]\d?)(?:M|F|m|f)\b(?=[ ]*(?:[,.;:)]|$)|[ ]{PATIENT_IS}(?!\w))", 0.5),
    ("birthday", r"(?i)\b\d{1,3}(?:st|nd|rd|th)[ ]birthday\b", 0.5),
)
# HM Revenue & Customs, NIM39110: the letters that a prefix may have, and the groups in which a card shows the number.
NINOS: Rules = (
    (
        "nino",
        r"(?i)(?<!\w)(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?:[ -]?\d{2}){3}[ -]?[A-D](?!\w)",
        0.7,
    ),
)
# ISO 6709 and its usual short forms; two decimals with three digits or more, or degrees with a direction.
DEGREES = r"\d{1,3}(?:\.\d+)?°(?:[ ]?\d{1,2}(?:\.\d+)?'(?:[ ]?\d{1,2}(?:\.\d+)?(?:\"|''))?)?[ ]?[NSEW]\b"
MOVES: Rules = (("moved", rf"\b{MOVED}[ ]\K(?!{NO_PLACE}\b){PLACE_WORD}(?:[ ]{PLACE_WORD}){{0,3}}", 0.6),)
PLACES: Rules = (
    (
        "decimals",
        r"(?<![\w.,-])[-+]?(?:[0-8]?\d|90)\.\d{3,9}°?[ ]?[NS]?[ ]?[,;/][ ]?[-+]?(?:1[0-7]\d|180"
        r"|\d{1,2})\.\d{3,9}°?(?:[ ]?[EW]\b)?(?![\w.]?\d)",
        0.7,
    ),
    ("degrees", rf"(?<![\w.]){DEGREES}(?:[ ,;/]{{1,3}}{DEGREES})?", 0.7),
)
SERVICE = any_of(
    "discord telegram skype snapchat snap instagram insta ig twitter tiktok github gitlab whatsapp kik steam xbox "
    "psn reddit twitch "
    "wechat viber threads mastodon bluesky facebook fb linkedin slack signal"
)
HANDLES: Rules = (
    (
        "page",
        r"(?i)(?<![\w.-])(?:t\.me|telegram\.me|wa\.me|m\.me|fb\.me|discord\.gg|(?:instagram|facebook|twitter|x|tiktok|linkedin|github|"
        r"gitlab|reddit|snapchat|twitch)\.(?:com|tv))/(?:(?:in|u|user|add)/)?@?[\w.-]{2,40}(?<!\.)",
        0.6,
    ),
    ("tagged", r"(?<![\w\#])(?=[\w.]*[a-z]{2})[\w.]{2,32}\#\d{4}(?!\w)", 0.5),
    ("skype", r"(?i)(?<!\w)live:\.?[\w.-]{3,40}(?<!\.)", 0.6),
    (
        "service",
        rf"(?<![\w.]){SERVICE}(?:[ ](?i:id|name|user|username|handle|account|tag|is|as|me|at))*(?:[ ]?[:=][ ]?"
        rf"|[ ]@?(?=[\w.]*[a-z][\w.]*[\d_])|[ ]@)"
        r"\K@?[A-Za-z][\w.]{2,31}(?:\#\d{4})?(?<!\.)",
        0.5,
    ),
    (
        "named",
        r"(?i)\b(?:(?:user|login|screen)[ ]?(?:name|id)(?:[ ]is[ ])?|(?:login|handle|nick(?:[ ]?name)?)|logged[ ]in[ ]as[ ])"
        r"(?:(?<=is[ ])|(?<=as[ ])|[ ]?[:=][ ]?|[ ](?=\S*[\d_]))\K"
        r"(?!(?:the|a|an|not|no|in|on|at|and|or|is|was)\b)[\w.@-]{3,40}(?<!\.)",
        0.5,
    ),
)
# "dot" and "at" as people spell them to hide an address from programs.
DOT = r"[ ]?(?:[\[({][ ]?(?:dot|\.)[ ]?[\])}]|(?<=[ ])dot(?=[ ]))[ ]?"
AT = r"[ ]?(?:[\[({][ ]?(?:at|@)[ ]?[\])}]|(?<=[ ])at(?=[ ]))[ ]?"
SPELT_EMAILS: Rules = (
    ("spelt", rf"(?i)(?<!\w)\w++(?:(?:{DOT}|[._-])\w+){{0,4}}{AT}\w+(?:(?:{DOT}|[.-])\w+){{0,3}}{DOT}[a-z]{{2,10}}\b", 0.6),
)
NUMBERS: Rules = (
    (
        "ending",
        r"(?i)\b(?:end(?:ing|s)?(?:[ ](?:in|with|on))|last[ ](?:four|4)(?:[ ]digits)?(?:[ ](?:are|is|of))?)[ ]?:?[ ]?"
        r"\K(?!(?:19|20)\d\d\b)\d{3,5}\b(?![.,/:-]\d)",
        0.4,
    ),
    (
        "card ending",
        r"(?i)\b(?:card|account|acct|number|phone|mobile|iban|visa|mastercard|amex|debit|credit)\b[^.\n]{0,24}?\bend(?:ing|s)"
        r"(?:[ ](?:in|with|on))?[ ]?:?[ ]?\K\d{3,5}\b",
        0.5,
    ),
    ("masked", r"(?<!\w)(?:[*•.]{2,}|[xX]{2,})[ -]?(?:(?:[*•]{4}|[xX]{4})[ -]?){0,3}\K\d{3,5}\b", 0.5),
)
DIGIT_NAME = any_of("zero oh one two three four five six seven eight nine double triple")
SAID_NUMBERS: Rules = (("said", rf"\b{DIGIT_NAME}(?:[ ,-]{{1,2}}{DIGIT_NAME}){{5,}}\b", 0.4),)
# Words for what a record belongs to, and the marks between such a word and the record's number.
REGISTER = any_of(
    "medical health hospital patient chart record file case claim member(?:ship)? policy insurance account acct "
    "customer client order invoice ticket booking reservation student employee staff licen[cs]e passport permit tax "
    "visa prescription rx lab specimen sample accession encounter visit admission registration badge"
)
MARKER = r"(?:[ ]?(?:no|number|num|nr|id|identifier|code|ref(?:erence)?)\b\.?|[ ]?\#|(?=[ ]?[:=]))"
RECORDS: Rules = (
    (
        "register",
        rf"(?i)\b(?:{any_of('mrn mr nhs emr ehr ssn nino medicare medicaid hicn mbi npi id ref reference')}\b{MARKER}?"
        rf"|{REGISTER}(?:[ ](?:record|chart|file|card))?{MARKER})"
        r"(?:[ ]is|[ ]was)?[ ]?[:=\#]?[ ]?\K(?=(?-i:[A-Z]{1,4}[ ])?[\w/-]*\d)(?-i:[A-Z]{1,4}[ ](?=\d))?\w[\w/-]{2,24}"
        r"(?:[ ]\d{3,6}){0,4}",
        0.8,
    ),
    ("register, parts", rf"(?i)\b{REGISTER}[ ]\K(?=(?:[A-Z/-]{{0,4}}\d){{5}})[A-Z\d]+(?:[/-][A-Z\d]+)+", 0.6),
)

# Addresses: names of streets, and words before an address.
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
    "valley viaduct view village vista walk way wells wharf annex arcade burg cape causeway circles commons course "
    "courts crest "
    "crossroad crossroads curve dale divide drives ferry flats ford fords forge fort gateway groves harbors inlet "
    "isle isles islands "
    "knolls land light lights lock locks lodge mall mission motorway mountain mountains neck overpass parkways "
    "passage ports ramp "
    "ridges roads shoal shoals skyway spurs squares streets summits throughway trafficway underpass unions valleys "
    "views villages ville "
    "walks wall"
)
STREET_WORD = r"[\p{Lu}\d][\p{L}\d'.-]*"
CORNER_WORD = r"(?:\p{Lu}[\p{L}'.-]*|\d{1,5}[A-Za-z]?\.?|\p{Ll}{1,6}\.?(?=[ ][\p{Lu}\d]))"
# Words after a number that make it an amount, not a house number.
AMOUNT = any_of("of in on the down a x mile miles km block blocks times mg minutes? hours? days? weeks? months? years?")
AT_HOME = r"""(?i:
    (?:lives?|living|lived|resid(?:es?|ing)|stay(?:s|ing)?|located|home|house|office)[ ](?:is[ ])?(?:at|on)
    |address(?:[ ]is|[ ]?:)|corner[ ]of
)[ ](?i:the[ ])?"""
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
        rf"\b(?i:(?:the[ ])?(?:corner|intersection|junction|crossing)[ ]of[ ])(?:{CORNER_WORD}[ ]){{1,5}}"
        rf"(?:and|&)[ ](?:{CORNER_WORD}[ ]){{0,4}}"
        rf"(?=[\p{{Lu}}\d]){CORNER_WORD}",
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

# Offices that are named together with the person who holds them.
OFFICE = any_titled(
    "chief deputy vice president chairman chairwoman chair mayor judge justice senator congressman congresswoman "
    "minister governor "
    "ambassador secretary director manager head officer inspector detective sergeant lieutenant colonel general "
    "major constable "
    "sheriff commissioner chancellor dean headteacher headmaster principal bishop archbishop rabbi imam pastor councillor "
    "ombudsman executive treasurer superintendent coroner magistrate registrar consultant surgeon"
)
# What somebody works as: after a verb that only people have as a subject, or between "our" and a time.
JOB = r"(?:[\p{L}][\p{L}/-]*,?[ ]){0,5}?[\p{L}][\p{L}/-]+"
JOB_ENDS = (
    r"(?=[.;!?)\n]|$|,[ ](?!(?:and|or)\b)|[ ](?:since|until|till|from|before|after|for|at|in|with|but|when|while|because)\b)"
)
TITLES: Rules = (
    (
        "works as",
        r"(?i)\b(?:(?:i|he|she|we|they|who)[ ](?:now[ ]|still[ ]|used[ ]to[ ])?work(?:s|ed)?"
        r"(?:[ ](?:for|at|with)[ ][^.\n]{1,40}?)?|work(?:s|ed|ing)?[ ](?:for|at|with)[ ][^.\n]{1,40}?"
        r"|employed|hired|appointed|retired|job|career)[ ]as[ ]"
        rf"(?:(?:an?|the|our|their|its)[ ])?\K{JOB}{JOB_ENDS}",
        0.35,
    ),
    (
        "our",
        rf"(?:{NAME}|\bhe|\bshe|\bwho|\bI)[ ](?:is|was|has[ ]been|had[ ]been|became|have[ ]been)[ ](?:now[ ]|still[ ])?"
        rf"(?:our|their|its|your)[ ]\K{JOB}{JOB_ENDS}",
        0.35,
    ),
    (
        "after a name",
        rf"{NAME},[ ](?:the|our|a|an|their|its)[ ]\K"
        r"(?:\p{Ll}[\p{L}/-]*,?[ ]){0,5}?\p{Ll}[\p{L}/-]+(?=[ ](?:at|with)[ ]\p{Lu})",
        0.35,
    ),
    (
        "still",
        rf"(?:{NAME}|\bhe|\bshe|\bwho)[ ](?:still|now)[ ](?:the|a|an|our|your|their)[ ]\K{JOB}"
        r"(?=[?.;!)\n]|$|,[ ]|[ ](?:at|for|in|of)\b)",
        0.35,
    ),
    (
        "hired",
        rf"(?i:\b(?:hired|appointed|promoted|recruited|welcomes?|welcomed|introduced|named|elected))[ ]{NAMES}[ ]"
        r"(?:as|to[ ]be)[ ]"
        rf"(?:(?:an?|the|our|its|their|new)[ ]){{0,2}}\K{JOB}{JOB_ENDS}",
        0.35,
    ),
    (
        "office",
        rf"(?<!\w){OFFICE}(?:[ ](?:of|for)[ ](?:the[ ])?\p{{Lu}}\p{{L}}+|[ ]{OFFICE}){{0,3}}"
        rf"(?=,?[ ](?!(?i:complaints?|concern|findings?)\b){NAME}"
        rf"(?!\w))(?![ ]{OFFICE}\b)",
        0.3,
    ),
    (
        "office after a name",
        rf"{NAME},[ ](?:the[ ])?\K{OFFICE}(?:[ ](?:of|for)[ ](?:the[ ])?\p{{Lu}}\p{{L}}+|[ ]{OFFICE}){{0,3}}(?!\w)",
        0.3,
    ),
)
FIRMS: Rules = (
    (
        "and sons",
        r"(?<!\w)\p{Lu}[\p{L}'-]+(?:,[ ]\p{Lu}[\p{L}'-]+)*[ ](?:and|&)[ ](?:Sons?|Daughters?|Partners|Co"
        r"|Company|Brothers|Bros|Associates)\b\.?",
        0.4,
    ),
)

RULES = {
    "PERSON": PEOPLE,
    "LOCATION": MOVES,
    "ORGANIZATION": FIRMS,
    "JOB_TITLE": TITLES,  # not TITLE, whose tag would be an element of HTML
    "EMAIL_ADDRESS": SPELT_EMAILS,
    "USERNAME": HANDLES,
    "ID_NUMBER": SAID_NUMBERS,
}
DIGIT_RULES = {
    "AGE": AGES,
    "LOCATION": PLACES,
    "UK_NINO": NINOS,
    "DATE_TIME": DATES,
    "ID_NUMBER": NUMBERS,
    "RECORD_NUMBER": RECORDS,
    "STREET_ADDRESS": ADDRESSES,
}

# Units of quantities, which are neither postcodes nor numbers of records.
UNIT = any_of(
    "mg mcg g kg ml l dl mm cm m km iu mmol mol kcal cal bpm hz khz mhz gb mb kb px percent dollars? euros? pounds? usd "
    "eur gbp hours? hrs? minutes? mins? seconds? secs? days? weeks? months? years? times people patients records units"
)
# A time that names a day or an age, unlike "today", "for two weeks" or "daily".
CALENDAR = r"""(?i)
    \b(?:1[89]|20)\d\d\b | \d[/.:-]\d | \d\s?(?:[ap]\.?m\b|st\b|nd\b|rd\b|th\b) | ^\W*\d{1,3}\W*$ | \bage | \bold\b
    |\b(?:jan|feb|mar(?:ch|\b)|apr|may\b|june?\b|july?\b|aug|sept?\b|septem|oct|nov|dec\b|decem)
    |\b(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:days?)?\b
"""
# Words before the name of a user, which is the group ``word``.
LOGIN = (
    rf"(?i)\b(?:users?|login|account|profile|handle|nick|member|{SERVICE})(?:[ ](?:id|name|handle|account|is|as|at))*[ ]"
    r"(?:['\"]?)(?P<word>[\p{L}][\w.-]{2,39}\w)"
)
