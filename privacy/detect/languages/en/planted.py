"""List the English sentences and forms of planted personal data, which measure what detection misses."""

from privacy.detect.languages.base import PlantedForms

PLANTED = PlantedForms(
    locale="en_GB",
    frames={
        "PERSON": (
            "My name is {}.",
            "{} asked me to write this.",
            "Please speak to {} about it.",
            "Signed, {}",
            "I was seen by Dr. {} last week.",
            "The account belongs to {}, who moved abroad.",
            "cc: {}",
            "We met {} and two others there.",
            "Many thanks, {}",
            "{} disagreed with the decision.",
        ),
        "PHONE_NUMBER": ("Call me on {}.", "Tel: {}", "My mobile is {}, any time.", "You can text {} instead."),
        "EMAIL_ADDRESS": ("Write to {}.", "E-mail: {}", "My address is {} if you need it."),
        "STREET_ADDRESS": ("We live at {}.", "Send it to {}.", "Address: {}", "The flat is at {}, second floor."),
        "RECORD_NUMBER": ("My reference is {}.", "Case no. {}", "The number on the card is {}."),
        "DATE_OF_BIRTH": ("I was born on {}.", "DOB: {}", "Her date of birth is {}."),
        "CREDIT_CARD": ("Charge it to {}.", "Card {}"),
        "IBAN_CODE": ("Transfer it to {}.", "IBAN: {}"),
        "USERNAME": ("My login is {}.", "Find me as {} there."),
    },
    streets=("Street", "Road", "Lane", "Avenue", "Close", "Drive", "Court"),
    address="{number} {name} {street}, {town}",
    phones=("+4% %### ######", "0%## ### ####", "(%##) ###-####"),
    dates=("%d/%m/%Y", "%Y-%m-%d", "%d %B %Y"),
)
