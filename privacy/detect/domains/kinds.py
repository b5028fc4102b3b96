"""List the kinds of things, people and firms whose nouns tell a term of a domain from a name.

Many terms are a person's name before a noun for a kind of thing, and mean no person: "Babinski sign", "Sharpe ratio",
"Sherman Act". All words are in the form that `plain` gives them.
"""

import re

from privacy.detect.domains.terms import plain

# Kinds that no person can possess, so that a name with 's before them is a term too ("Murphy's sign").
SIGNS = frozenset(
    {"classification", "criteria", "criterion", "maneuver", "maneuvers", "phenomenon", "reflex", "rule", "scale", "sign"}
    | {"signs", "triad"}
    | {plain("manoeuvre"), plain("manoeuvres")}
    | {"node", "rosette", "rosettes", "tubercle", "tubercles", "law", "theorem", "paradox", "hypothesis"}
)
# Kinds that a person can possess ("Mary's fracture"), so that after a name with 's only a listed term stays.
OWNED = frozenset(
    # medicine
    {"anastomosis", "anemia", "ataxia", "bacillus", "bodies", "breathing", "canal", "catheter"}
    | {"catheters", "cells", "chorea", "contracture", "deformity", "disease", "diseases", "duct"}
    | {"dysplasia", "dystrophy", "epilepsy", "exercises", "fever", "flap", "forceps", "fracture", "gland", "graft"}
    | {"hernia", "inventory", "lesions", "ligament", "lymphoma", "malformation", "needle"}
    | {"nodes", "nodules", "palsy", "paralysis", "phenotype", "position", "procedure", "questionnaire", "respiration"}
    | {"rings", "sarcoma", "splint", "staging", "stain", "syndrome", "syndromes", "tendon", "test", "tumor", "tumour"}
    | {"virus"}
    # law
    | {"accords", "act", "acts", "amendment", "convention", "conventions", "covenant", "deference", "directive"}
    | {"doctrine", "immunity", "injunction", "plea", "privilege", "protocol", "statute", "treaty", "warning"}
    # finance
    | {"bands", plain("coefficient"), "curve", "duration", "equation", "ratio", "scheme"}
)
# Kinds that only count after a word on no list of names: "Bakri balloon", but not "the Kowalski balloon".
LOOSE = frozenset(
    {"apparatus", "approach", "assay", "balloon", "blade", "bundle", "cannula", "circulation", "clamp", "complex"}
    | {"complexes", "corpuscle", "corpuscles", "crisis", "drain", "facies", "fascia", "fiber", "fibers", "fibre"}
    | {"fibres", "foramen", "fossa", "gait", "ganglion", "granules", "incision", "lines", "membrane", "nerve"}
    | {"nevus", "nodule", "nomogram", "operation", "osteotomy", "papilla", "physiology", "plaque", "plaques"}
    | {"plexus", "point", "pouch", "pupil", "reaction", "repair", "retractor", "ring", "screw", "shunt", "sinus"}
    | {"space", "speculum", "sphincter", "spots", "stent", "stitch", "suture", "technique", "triangle", "tube"}
    | {"ulcer", "valve", "zone", "challenge", "clause", "competence", "exception", "guidelines", "principle"}
    | {"principles", "rules", "violation"}
)
KINDS = SIGNS | OWNED | LOOSE
# Kinds that are followed by "of" and a name: "duct of Wirsung", "tetralogy of Fallot".
NAMED_OF = frozenset(
    {"ampulla", "angle", "artery", "band", "bodies", "bundle", "canal", "cells", "circle", "cord", "corpuscles", "crypts"}
    | {"disease", "duct", "fibers", "fissure", "foramen", "fossa", "gland", "glands", "island", "islands", "islets"}
    | {"ligament", "line", "lines", "loop", "law", "membrane", "node", "nodes", "nucleus", "organ", "pentalogy"}
    | {"phenomenon", "plexus", "point", "pouch", "ring", "sign", "sinus", "space", "sphincter", "syndrome", "tetralogy"}
    | {"triad", "triangle", "tubercle", "valve", "valves", "vein", "zone"}
)
# Latin kinds that are followed by a name: "ductus Botalli".
LATIN = frozenset({"canalis", "ductus", "foramen", "ligamentum", "morbus", "musculus", "nervus", "plexus", "tuberculum"})
# Kinds that only count before a number or a letter: "Clark level IV", "Child-Pugh class B".
RANKED = frozenset({"category", "class", "grade", "level", "score", "stage", "type"})
# Endings of Greek and Latin words for diseases, examinations and operations.
KIND_ENDS = re.compile(
    r"\w{5,}itis|\w{3,}(?:osis|opathy|ectomy|otomy|ostomy|plasty|scopy|graphy|cephaly|dactyly|plegia|trophy|plasia|algia|centesis|"
    r"pexy|plication)|\w{4,}emia"
)
# Names of public code systems; and words before the number of a law or of a part of it.
SYSTEMS = frozenset(
    {"cpt", "dsm", "hcpcs", "icd", "loinc", "meddra", "opcs", "orpha", "rxnorm", "snomed"}
    | {"atc", "cusip", "figi", "isin", "sedol", "wkn"}
)
CITED = re.compile(
    r"articles?|sections?|rules?|parts?|chapters?|titles?|regulations?|schedules?|paragraphs?|clauses?|forms?"
)

# Words for a person: with "a" and a name before one, the name is no term ("a Laotian patient", unlike "a Tomlin order").
PERSONS = re.compile(
    r"patient|client|customer|man|woman|boy|girl|child|baby|relative|friend|family|member|spouse|wife|husband|son|daughter|mother|"
    r"father|brother|sister|nurse|clerk|\w+(?:er|or|ist|ee|man|ian|ant)s?"
)
# Words that announce a person: "patient Kowalski disease progression".
KIN = re.compile(
    r"patient|client|customer|relative|friend|spouse|wife|husband|son|daughter|mother|father|brother|sister|nurse"
)
# Words after a family name that are nouns of a domain as well: "the SMITH family".
PEOPLE = frozenset({"family", "patient", "estate", "house", "brothers", "sisters", "child", "children"})

# Words of a firm's name that are nouns of a domain as well.
FIRMS = frozenset(
    {"bank", "banks", "center", "centre", "church", "clinic", "college", "company", "finance", "group", "hospital"}
    | {"insurance", "motors", "partners", "pharmacy", "practice", "resources", "school", "stores", "trust", "union"}
)
# Last words of a company's name that are common nouns as well: "National Insurance", "The Bank".
PUBLIC = frozenset({"bank", "insurance"})
