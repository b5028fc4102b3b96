"""Define the rules for the names and jobs of people in English texts; ``privacy.detect.rules`` explains their syntax."""

from privacy.detect.rules import NAME, NAMES, Rules, any_of, any_titled

# Titles, words before a name, middle initials. "MS" in capitals is no title, because it is a disease and a brand.
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

# Offices that are named together with the person who holds them.
OFFICE = any_titled(
    "chief deputy vice president chairman chairwoman chair mayor judge justice senator congressman congresswoman minister "
    "governor ambassador secretary director manager head officer inspector detective sergeant lieutenant colonel general "
    "major constable sheriff commissioner chancellor dean headteacher headmaster principal bishop archbishop rabbi imam "
    "pastor councillor ombudsman executive treasurer superintendent coroner magistrate registrar consultant surgeon"
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
