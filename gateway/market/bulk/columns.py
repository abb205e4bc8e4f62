"""A column is known by its heading, in English or Spanish, however it is accented, spaced or capitalised. Pure."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from enum import StrEnum

_NOT_LETTERS = re.compile(r"[^a-z0-9]+")


class Column(StrEnum):
    """What a column of the file holds, by its heading in English."""

    ORDER = "order"
    NAME = "name"
    PHONE = "phone"
    ADDRESS = "address"
    ARTICLE = "sku"
    DESCRIPTION = "description"
    QUANTITY = "quantity"
    UNIT = "unit"
    PRICE = "price"
    NOTE = "note"
    PAYMENT = "payment"
    REFERENCE = "reference"
    PRIORITY = "priority"


REQUIRED = (Column.NAME, Column.PHONE, Column.ARTICLE, Column.QUANTITY)
_SPANISH = {
    Column.ORDER: "pedido",
    Column.NAME: "nombre",
    Column.PHONE: "teléfono",
    Column.ADDRESS: "dirección",
    Column.ARTICLE: "artículo",
    Column.DESCRIPTION: "descripción",
    Column.QUANTITY: "cantidad",
    Column.UNIT: "unidad",
    Column.PRICE: "precio",
    Column.NOTE: "nota",
    Column.PAYMENT: "pago",
    Column.REFERENCE: "referencia",
    Column.PRIORITY: "prioridad",
}
TOLD = {"es": ("fila", "qué está mal"), "en": ("row", "what is wrong")}  # what we add to the rows to mend
# as people head them; each folded
_ALSO = {
    Column.ORDER: ("order number", "order no", "order id", "n pedido", "no pedido", "nro pedido", "numero de pedido"),
    Column.NAME: ("customer", "customer name", "buyer", "client", "cliente", "comprador", "nombre del cliente"),
    Column.PHONE: ("telephone", "phone number", "mobile", "celular", "movil", "numero de telefono"),
    Column.ADDRESS: ("delivery address", "domicilio", "direccion de entrega"),
    Column.ARTICLE: ("article", "article code", "product", "code", "producto", "codigo", "item"),
    Column.DESCRIPTION: ("article name", "product name", "nombre del articulo", "nombre del producto", "detalle"),
    Column.QUANTITY: ("qty", "amount", "cant", "cuanto"),
    Column.UNIT: ("unit of measure", "unidad de medida", "und", "medida"),
    Column.PRICE: ("unit price", "price each", "precio unitario", "p unit", "precio unidad"),
    Column.NOTE: ("notes", "comment", "comments", "notas", "observacion", "observaciones", "comentario", "comentarios"),
    Column.PAYMENT: ("payment method", "pays with", "forma de pago", "medio de pago", "metodo de pago"),
    Column.REFERENCE: ("payment reference", "operation", "operacion", "numero de operacion", "referencia de pago"),
    Column.PRIORITY: ("urgency", "urgencia"),
}


def folded(text: str) -> str:
    """Return a word without accents, capitals and signs.

    >>> folded("  Nº  de Teléfono: "), folded("Ñame")
    ('no de telefono', 'name')
    """
    plain = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return _NOT_LETTERS.sub(" ", plain.casefold()).strip()


_BY_HEADING: Mapping[str, Column] = {
    folded(heading): column for column in Column for heading in (column.value, _SPANISH[column], *_ALSO[column])
}
_TOLD = frozenset(folded(told) for headings in TOLD.values() for told in headings)


def heading(column: Column, tag: str) -> str:
    """Return a column's heading in the language with this tag.

    >>> heading(Column.PHONE, "es"), heading(Column.PHONE, "en")
    ('teléfono', 'phone')
    """
    return _SPANISH[column] if tag == "es" else column.value


def column_of(text: str) -> Column | None:
    """Return what a heading stands for; None where it is not known.

    >>> column_of("TELEFONO"), column_of("Unit price"), column_of("colour")
    (<Column.PHONE: 'phone'>, <Column.PRICE: 'price'>, None)
    """
    return _BY_HEADING.get(folded(text))


def is_told(text: str) -> bool:
    """Say whether a heading is of what we added to a file.

    >>> is_told("Fila"), is_told("color")
    (True, False)
    """
    return folded(text) in _TOLD


def known_in(cells: Sequence[str]) -> int:
    """Return how many different columns are known among these headings."""
    return len({column_of(cell) for cell in cells} - {None})
