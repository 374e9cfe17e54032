"""What `pyproject.toml` cannot say by itself: links of the package's page, which follow the address in `_config.yml`.

The rest of the metadata stands in `pyproject.toml`.
"""

import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
PLACEHOLDER = "https://github.com/longsum/"  # nothing leads there: no links until the project has an address of its own
PICTURES = (".png", ".svg", ".jpg")


def repository() -> str:
    """Return the address in `_config.yml`; empty where there is none yet."""
    config = HERE / "_config.yml"
    found = (
        re.search(r"^repository:\n  url: (\S+)", config.read_text(encoding="utf-8"), re.M) if config.is_file() else None
    )
    return "" if found is None or found[1].startswith(PLACEHOLDER) else found[1].rstrip("/")


def absolute(readme: str, url: str) -> str:
    """Make the relative links of README absolute, for the package's page; without an address they become words."""

    def link(match: re.Match[str]) -> str:
        mark, words, target = match.groups()
        if target.startswith(("http:", "https:", "#")):
            return match[0]
        if not url:
            return words if not mark else ""
        place = "raw" if target.endswith(PICTURES) else "blob"
        return f"{mark}[{words}]({url}/{place}/main/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", link, readme)


def links(url: str) -> dict[str, str]:
    """Return the links of the package's page."""
    places = {"Repository": "", "Issues": "/issues", "Changelog": "/blob/main/CHANGELOG.md"}
    return {name: url + place for name, place in places.items()} if url else {}


if __name__ == "__main__":
    address = repository()
    setup(
        long_description=absolute((HERE / "README.md").read_text(encoding="utf-8"), address),
        long_description_content_type="text/markdown",
        project_urls=links(address),
    )
