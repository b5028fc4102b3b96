"""List the French sentences and forms of planted personal data, which measure what detection misses."""

from privacy.detect.languages.base import PlantedForms

PLANTED = PlantedForms(
    locale="fr_FR",
    frames={
        "PERSON": (
            "Je m'appelle {}.",
            "{} m'a demandé de vous écrire.",
            "Merci d'en parler avec {}.",
            "Signé : {}",
            "J'ai vu le Dr {} la semaine dernière.",
            "Le compte appartient à {}, qui vit à l'étranger.",
            "Copie à {}",
            "Nous y avons rencontré {} et deux autres personnes.",
            "Merci beaucoup, {}",
            "{} n'était pas d'accord avec la décision.",
        ),
        "PHONE_NUMBER": (
            "Appelez-moi au {}.",
            "Tél. : {}",
            "Mon portable est le {}, à toute heure.",
            "Vous pouvez écrire au {}.",
        ),
        "EMAIL_ADDRESS": ("Écrivez à {}.", "Courriel : {}", "Mon adresse est {} si besoin."),
        "STREET_ADDRESS": (
            "Nous habitons {}.",
            "Envoyez-le au {}.",
            "Adresse : {}",
            "L'appartement est {}, deuxième étage.",
        ),
        "RECORD_NUMBER": ("Ma référence est {}.", "Dossier n° {}", "Le numéro inscrit sur la carte est {}."),
        "DATE_OF_BIRTH": ("Je suis né le {}.", "Date de naissance : {}", "Son anniversaire est le {}."),
        "CREDIT_CARD": ("Débitez la carte {}.", "Carte {}"),
        "IBAN_CODE": ("Faites le virement sur {}.", "IBAN : {}"),
        "USERNAME": ("Mon identifiant est {}.", "On me trouve là-bas sous {}."),
    },
    streets=("rue", "avenue", "boulevard", "place", "impasse", "chemin"),
    address="{number} {street} {name}, {postcode} {town}",
    phones=("0% ## ## ## ##", "+33 % ## ## ## ##", "0%.##.##.##.##", "+32 %## ## ## ##", "0%# ### ## ##"),
    dates=("%d/%m/%Y", "%Y-%m-%d", "%d.%m.%Y"),
)
