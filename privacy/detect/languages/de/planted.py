"""List the German sentences and forms of planted personal data, which measure what detection misses."""

from privacy.detect.languages.base import PlantedForms

PLANTED = PlantedForms(
    locale="de_DE",
    frames={
        "PERSON": (
            "Mein Name ist {}.",
            "{} hat mich gebeten, das zu schreiben.",
            "Bitte sprechen Sie mit {} darüber.",
            "Gezeichnet, {}",
            "Letzte Woche war ich bei Dr. {}.",
            "Das Konto gehört {}, inzwischen im Ausland.",
            "Kopie an: {}",
            "Wir haben dort {} und zwei andere getroffen.",
            "Vielen Dank, {}",
            "{} war mit der Entscheidung nicht einverstanden.",
        ),
        "PHONE_NUMBER": ("Rufen Sie mich unter {} an.", "Tel.: {}", "Mein Handy: {}, jederzeit.", "SMS gern an {}."),
        "EMAIL_ADDRESS": ("Schreiben Sie an {}.", "E-Mail: {}", "Meine Adresse lautet {}, falls nötig."),
        "STREET_ADDRESS": (
            "Wir wohnen in der {}.",
            "Senden Sie es an {}.",
            "Anschrift: {}",
            "Die Wohnung liegt {}, zweiter Stock.",
        ),
        "RECORD_NUMBER": ("Mein Aktenzeichen ist {}.", "Vorgangsnummer {}", "Auf der Karte steht die Nummer {}."),
        "DATE_OF_BIRTH": ("Ich bin am {} geboren.", "Geburtsdatum: {}", "Ihr Geburtstag ist der {}."),
        "CREDIT_CARD": ("Belasten Sie die Karte {}.", "Karte {}"),
        "IBAN_CODE": ("Überweisen Sie auf {}.", "IBAN: {}"),
        "USERNAME": ("Mein Benutzername ist {}.", "Dort findet man mich als {}."),
    },
    streets=("straße", "weg", "gasse", "allee", "platz", "ring"),
    address="{name}{street} {number}, {postcode} {town}",
    phones=("0%## ######", "+49 %## #######", "(0%##) ### ##-##", "+43 %## ######", "0%# ### ## ##"),
    dates=("%d.%m.%Y", "%Y-%m-%d", "%d.%m.%y"),
)
