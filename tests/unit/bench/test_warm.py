import json
from pathlib import Path

import pytest

from bench.warm import dealt
from shared.config.toml import read_toml
from shared.errors import DataError

TREE = read_toml(Path("bench/warm.toml"))


def write(folder: Path, sizes: dict[str, int]) -> Path:
    folder.mkdir()
    for name, size in sizes.items():
        rows = [{"text": f"{name} {number}", "score": (-1) ** number * (number % 5)} for number in range(size)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_no_record_is_at_two_sites_or_measured_and_public_text_is_of_another_kind(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"amazon": 50, "movies": 2000, "tweets": 1500})
    (tmp_path / "dealt").mkdir()
    deal = dealt(TREE, source, 1, tmp_path / "dealt")
    config = deal.config(public=False, epsilon=8.0)
    used = [text for site in config.data.sites for text in texts(deal.folder / str(site.file))]
    measured = texts(deal.folder / "measured.jsonl")
    assert [site.declared_size for site in config.data.sites] == [300, 300, 276]
    assert len(used) == len(set(used)) == 876
    assert len(measured) == 1500
    assert not set(used) & set(measured)
    public = deal.config(public=True, epsilon=None)
    assert not public.privacy.enabled
    assert {text.split()[0] for text in texts(deal.folder / str(public.data.sites[0].file))} == {"amazon"}


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"amazon\.jsonl: is no file of scored texts"):
        dealt(TREE, tmp_path, 1, tmp_path)
