"""`python -m config.grafana.generate FOLDER` writes every board into a folder, `NAME.json` each."""

import sys
from pathlib import Path

from config.grafana.generate.backends import BACKENDS
from config.grafana.generate.boards import build_board, text
from config.grafana.generate.cache import CACHE
from config.grafana.generate.names import known
from config.grafana.generate.overview import OVERVIEW

BOARDS = (OVERVIEW, BACKENDS, CACHE)


def files() -> dict[str, str]:
    """The boards' texts by the names of their files."""
    names = known()
    return {f"{board.file}.json": text(build_board(board, names)) for board in BOARDS}


def main(folder: Path) -> None:
    """Write them; what is there already is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
