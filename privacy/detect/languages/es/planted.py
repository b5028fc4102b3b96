"""List the Spanish sentences and forms of planted personal data, which measure what detection misses."""

from privacy.detect.languages.base import PlantedForms

PLANTED = PlantedForms(
    locale="es_ES",
    frames={
        "PERSON": (
            "Me llamo {}.",
            "{} me pidió que escribiera esto.",
            "Por favor, hable con {} del asunto.",
            "Firmado, {}",
            "La semana pasada me vio el Dr. {}.",
            "La cuenta es de {}, que ahora vive en el extranjero.",
            "Copia para {}",
            "Allí conocimos a {} y a otros dos.",
            "Muchas gracias, {}",
            "{} no estaba de acuerdo con la decisión.",
        ),
        "PHONE_NUMBER": (
            "Llámeme al {}.",
            "Tel.: {}",
            "Mi móvil es el {}, a cualquier hora.",
            "También puede escribir al {}.",
        ),
        "EMAIL_ADDRESS": ("Escriba a {}.", "Correo: {}", "Mi dirección es {} por si la necesita."),
        "STREET_ADDRESS": ("Vivimos en {}.", "Envíelo a {}.", "Dirección: {}", "El piso está en {}, segunda planta."),
        "RECORD_NUMBER": ("Mi referencia es {}.", "Expediente n.º {}", "El número de la tarjeta es {}."),
        "DATE_OF_BIRTH": ("Nací el {}.", "Fecha de nacimiento: {}", "Su cumpleaños es el {}."),
        "CREDIT_CARD": ("Cárguelo a la tarjeta {}.", "Tarjeta {}"),
        "IBAN_CODE": ("Haga la transferencia a {}.", "IBAN: {}"),
        "USERNAME": ("Mi usuario es {}.", "Allí me encuentran como {}."),
    },
    streets=("Calle", "Avenida", "Paseo", "Plaza", "Camino", "Ronda"),
    address="{street} {name} {number}, {postcode} {town}",
    phones=("6## ### ###", "+34 6## ## ## ##", "9## ## ## ##", "+52 55 #### ####", "(55) #### ####"),
    dates=("%d/%m/%Y", "%Y-%m-%d", "%d-%m-%Y"),
)
