"""First visits, put together from the page corpus: a page, and what it loads of what the corpus has.

What a page names is looked for under its own path. Libraries that it takes from elsewhere (Bootstrap, jQuery, Leaflet,
Chart.js) are those of the corpus, whatever their version. What is not there at all, fonts above all, is left out; for
pictures that the government's pages name and the corpus lacks, the same site's others of the same kind stand in, each
in its turn by name, or these pages would be weighed without what makes most of their weight.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from urllib.parse import urljoin, urlsplit

_NAMED = re.compile(r"""(?:src|href)=["']([^"']+)["']|url\((?:"|'|&quot;)?([^)"'&]+)""")
_KINDS = {".css", ".js", ".png", ".jpg", ".jpeg", ".svg"}
_LIBRARIES = {
    re.compile(r"(^|/)bootstrap(\.min)?\.css$"): "bootstrap:dist/css/bootstrap.min.css",
    re.compile(r"(^|/)bootstrap(\.bundle)?(\.min)?\.js$"): "bootstrap:dist/js/bootstrap.bundle.min.js",
    re.compile(r"(^|/)jquery(-[\d.]+)?(\.min)?\.js$"): "jquery:dist/jquery.min.js",
    re.compile(r"(^|/)leaflet\.css$"): "leaflet:dist/leaflet.css",
    re.compile(r"(^|/)leaflet\.js$"): "leaflet:dist/leaflet.js",
    re.compile(r"(^|/)chart(\.umd)?(\.min)?\.js$"): "chart.js:dist/chart.umd.js",
}


@dataclass(frozen=True)
class Page:
    """A page and what it loads of the corpus; `others`: pictures of its site in place of those that are not there."""

    name: str
    files: tuple[Path, ...]
    others: tuple[Path, ...]


@dataclass
class Corpus:
    """The files of the corpus, by site and by the path they have there."""

    folder: Path
    files: dict[tuple[str, str], Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with (self.folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["version"] in {"", "-0"}:
                    self.files[_site(row), row["path"]] = self.folder / row["file"]

    def pictures(self) -> list[Path]:
        """Every photograph and every PNG."""
        return [path for path in self.files.values() if path.suffix in {".jpg", ".jpeg", ".png"}]

    def texts(self) -> list[Path]:
        """Every other file."""
        return [path for path in self.files.values() if path.suffix not in {".jpg", ".jpeg", ".png"}]

    def pages(self, sites: Iterable[str]) -> list[Page]:
        """Every page of some sites."""
        wanted = set(sites)
        found = [(site, path) for site, path in self.files if site in wanted and path.endswith(".html")]
        return [self._page(site, path) for site, path in sorted(found)]

    def _page(self, site: str, path: str) -> Page:
        loaded: dict[Path, None] = {self.files[site, path]: None}
        missing: dict[str, None] = {}
        for at in self._named(site, path):
            file = self._found(site, at)
            if file is None:
                missing[at] = None
                continue
            loaded[file] = None
            if file.suffix == ".css":
                loaded |= {each: None for name in self._named(site, at, file) if (each := self._found(site, name))}
        others = [each for each in self._stand_ins(site, missing) if each not in loaded] if site == "poncho" else []
        return Page(path, tuple(loaded), tuple(dict.fromkeys(others)))

    def _named(self, site: str, path: str, file: Path | None = None) -> Iterator[str]:
        """Yield what a file names, as paths of its site; what is elsewhere by its name alone."""
        text = (file or self.files[site, path]).read_text(encoding="utf-8", errors="replace")
        for href, url in _NAMED.findall(text):
            parts = urlsplit(urljoin(f"http://{site}/{path}", (href or url).strip()))
            if Path(parts.path).suffix.lower() in _KINDS:
                ours = parts.netloc in {site, "argob.github.io"}
                yield parts.path.lstrip("/").removeprefix("poncho/") if ours else f"elsewhere/{parts.path}"

    def _found(self, site: str, path: str) -> Path | None:
        library = next((name for form, name in _LIBRARIES.items() if form.search(path)), None)
        if library is not None:
            return self.files.get(tuple(library.split(":", 1)))  # type: ignore[arg-type]
        return self.files.get((site, path))

    def _stand_ins(self, site: str, missing: Iterable[str]) -> Iterator[Path]:
        kinds = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".svg": "svg"}
        ours = sorted(path for (owner, _), path in self.files.items() if owner == site and "font" not in path.name)
        turns = {kind: cycle([path for path in ours if kinds.get(path.suffix) == kind]) for kind in kinds.values()}
        for path in missing:
            suffix = Path(path).suffix.lower()
            if suffix in kinds:
                yield next(turns[kinds[suffix]])


def _site(row: dict[str, str]) -> str:
    """Whose a file is: the government's design system, a template, or a library."""
    if row["group"].startswith("site-") or row["group"].startswith("startbootstrap-"):
        return row["group"].removeprefix("site-").removeprefix("startbootstrap-").partition(":")[0]
    if "poncho" in row["file"]:
        return "poncho"
    return row["group"].partition(":")[0] or row["source"]
