"""What is typed is found without accents and case, by words in any order and by how they begin. Pure.

An index is made once for a version: each word of a name, SKU and category with the articles it stands in. Every typed
word must begin one of an article's words. A whole word counts more than a beginning, the name more than the SKU, that
more than the category, and its first word most; what counts the same stays in the catalogue's order.

Source: UAX #15 (NFKD), Unicode §5.18 (case folding).
"""

import re
import unicodedata
from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

from gateway.market.catalogue.model import Article, Catalogue

TYPED_CHARS_MAX = 100  # what is typed beyond is not read
WORDS_MAX = 8
FOUND_MAX = 200  # of one answer
KEPT_WORDS_MAX = 60_000  # of an index: 20 MB, and 30 ms for one letter that begins them all (2026-11); an honest shop
# has a quarter of it. Past it new words find nothing; their articles are found by others, and by looking.

_WORD = re.compile(r"[^\W_]+")
_FIRST_OF_NAME: Final = 8
_IN_NAME: Final = 6
_IN_SKU: Final = 4
_IN_CATEGORY: Final = 2
_WHOLE_WORD: Final = 3
_LAST = "\U0010ffff"  # sorts behind every word that begins alike


@dataclass(frozen=True, slots=True)
class Category:
    """A group of articles, and how many it has."""

    name: str
    articles: int


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what was found, best first, and how much there is in all."""

    articles: tuple[Article, ...]
    total: int


def folded(text: str) -> str:
    """Return a text as it is compared.

    >>> folded("Ñuña CAÑIHUA"), folded("Café ½ ﬁn")
    ('nuna canihua', 'cafe 1⁄2 fin')
    """
    if text.isascii():
        return text.lower()
    caseless = unicodedata.normalize("NFKD", text).upper().casefold()  # both, since a dotless i folds to itself
    apart = unicodedata.normalize("NFKD", caseless)
    return "".join(each for each in apart if not unicodedata.combining(each))


def words(text: str) -> list[str]:
    """Return the words of a text as they are compared.

    >>> words("Papa nativa, saco de 50 kg")
    ['papa', 'nativa', 'saco', 'de', '50', 'kg']
    """
    return _WORD.findall(folded(text))


def categories(catalogue: Catalogue) -> tuple[Category, ...]:
    """Return the catalogue's categories by name; what has none is in no category."""
    counts: dict[str, int] = {}
    for article in catalogue.articles:
        if article.category:
            counts[article.category] = counts.get(article.category, 0) + 1
    return tuple(Category(name, counts[name]) for name in sorted(counts, key=lambda name: (folded(name), name)))


class Index:
    """A catalogue that can be searched; never changed once it is made."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.categories = categories(catalogue)
        self._places: dict[str, dict[int, int]] = {}
        self._of_category: dict[str, list[int]] = {each.name: [] for each in self.categories}
        in_category = {each.name: words(each.name) for each in self.categories}
        for place, article in enumerate(catalogue.articles):
            self._put(place, _weights(article, in_category.get(article.category, [])))
            if article.category:
                self._of_category[article.category].append(place)
        self._words = sorted(self._places)

    def search(self, typed: str = "", *, category: str = "", offset: int = 0, limit: int = 50) -> Found:
        """Return what has all the typed words, best first; nothing typed: all there is, as the catalogue has it."""
        within = self._of_category.get(category, []) if category else range(len(self.catalogue.articles))
        asked = _asked(typed)
        if asked:
            weights = self._with_all(asked)
            places = [place for place in within if place in weights]
            places.sort(key=weights.__getitem__, reverse=True)  # which leaves equals in their order
        else:
            places = list(within) if not typed.strip() else []
        first = max(offset, 0)
        page = places[first : first + max(0, min(limit, FOUND_MAX))]
        return Found(tuple(self.catalogue.articles[place] for place in page), len(places))

    def _put(self, place: int, weights: dict[str, int]) -> None:
        for word, weight in weights.items():
            kept = word[:TYPED_CHARS_MAX]  # nobody types more of it
            if kept in self._places or len(self._places) < KEPT_WORDS_MAX:
                self._places.setdefault(kept, {})[place] = weight

    def _with_all(self, asked: list[str]) -> dict[int, int]:
        """Return the articles that have all these words, with what they count together."""
        each = sorted((self._with(word) for word in asked), key=len)
        together = each[0]
        for others in each[1:]:
            together = {place: weight + others[place] for place, weight in together.items() if place in others}
        return together

    def _with(self, beginning: str) -> dict[int, int]:
        first = bisect_left(self._words, beginning)
        begun = self._words[first : bisect_left(self._words, beginning + _LAST, lo=first)]
        found: dict[int, int] = {}
        if begun and begun[0] == beginning:
            found = {place: weight + _WHOLE_WORD for place, weight in self._places[beginning].items()}
            del begun[0]
        for word in begun:
            for place, weight in self._places[word].items():
                if weight > found.get(place, 0):
                    found[place] = weight
        return found


def _asked(typed: str) -> list[str]:
    """Return the words to look for; one that another begins with is found with it."""
    found = list(dict.fromkeys(words(typed[:TYPED_CHARS_MAX])))[:WORDS_MAX]
    return [word for word in found if not any(other.startswith(word) for other in found if other != word)]


def _weights(article: Article, in_category: list[str]) -> dict[str, int]:
    """Return the words by which an article is found, with what each counts."""
    sku = words(article.sku)
    name = words(article.name)
    weights = dict.fromkeys(in_category, _IN_CATEGORY)
    weights |= dict.fromkeys([*sku, "".join(sku)] if sku else [], _IN_SKU)  # AB-12 is found by ab12, too
    weights |= dict.fromkeys(name, _IN_NAME)
    weights |= dict.fromkeys(name[:1], _FIRST_OF_NAME)
    return weights
