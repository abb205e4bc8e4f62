"""Orders as a village makes them: random, but with the repeats of real ones (few articles, many names, one currency).

Each has an id, a phone and a time that nothing foretells; up to 8 lines out of a shop's articles, a few sold far more
often than the others; every second from a customer who was there before; half with a note.
"""

import uuid
from datetime import UTC, datetime
from random import Random

from gateway.market.order import Order, content_hash, order_from
from gateway.market.records import StoredOrder

MERCHANTS = ("ana.quispe", "luis.mamani", "bodega-el-sol", "rosa.huaman", "tienda-san-mateo")
_GIVEN = """
María Luis Rosa José Ana Juan Carmen Carlos Julia Pedro Lucía Jorge Flor Víctor Elena Miguel Sonia Wilber Nélida
Edgar Yeni Rubén Gladys Percy Nancy Hilario Victoria Eusebio Marleni Saturnino Delia Félix Maruja Roger Beatriz
Teófilo
"""
_FAMILY = """
Quispe Mamani Huamán Flores Condori Rojas Ccori Vargas Choque Apaza Yupanqui Ticona Huanca Puma Cusi Chávez
Ramos Sulca Paucar Inga Cárdenas Salas Palomino Ñahui Ayala Tito Champi Zárate Lazo Bautista Ccahua Soto Aguilar
Meza Poma
"""
_ARTICLES = """
Papa amarilla/kg/350 Papa canchán/kg/220 Papa huayro/kg/280 Quinua blanca/kg/899 Quinua roja/kg/1050 Arroz
superior/kg/420 Azúcar rubia/kg/390 Aceite vegetal 1 L/botella/980 Fideos tallarín 500 g/paquete/320 Leche
evaporada 400 g/lata/430 Atún en aceite 170 g/lata/620 Sal yodada/kg/180 Avena 500 g/bolsa/350 Harina de
trigo/kg/450 Lentejas/kg/680 Huevos de corral/docena/900 Queso fresco/kg/1800 Pan chuta/unidad/250 Café tostado
250 g/bolsa/1250 Té en filtros/caja/380 Cancha serrana/kg/600 Maíz mote/kg/550 Chuño negro/kg/780 Olluco/kg/340
Zanahoria/kg/190 Cebolla roja/kg/260 Ajo/kg/1400 Tomate/kg/310 Limón/kg/480 Plátano de seda/mano/400
Naranja/kg/250 Jabón de lavar/barra/290 Detergente 800 g/bolsa/950 Lejía 1 L/botella/350 Papel higiénico 4
un/paquete/520 Fósforos/caja/30 Velas 6 un/paquete/450 Pilas AA 2 un/par/500 Kerosene 1 L/botella/800 Gas
doméstico 10 kg/balón/5200 Cuaderno A4 100 hojas/unidad/550 Lapicero azul/unidad/100 Pañales talla M 20
un/paquete/2400 Champú 400 ml/frasco/1490 Pasta dental 75 ml/tubo/480 Mantequilla 200 g/barra/690
"""
_NOTES = (
    "Por la tarde",
    "Entregar en la escuela",
    "Llamar antes de ir",
    "Dejar con la vecina",
    "Para el sábado",
    "Sin bolsa",
    "Casa azul frente a la plaza",
    "Paga al recibir",
    "Si no hay, cambiar por otra marca",
    "Que llegue temprano",
)
_ADDRESSES = (
    "Jr. Comercio",
    "Av. Los Incas",
    "Jr. Grau",
    "Calle Real",
    "Psje. San Martín",
    "Barrio Alto",
    "Anexo Ccochapata",
)


def articles() -> list[tuple[str, str, int]]:
    """Return name, unit and price of each article."""
    found, words = [], _ARTICLES.split()
    name: list[str] = []
    for word in words:
        name.append(word)
        if word.count("/") == 2:
            what, unit, price = " ".join(name).split("/")
            found.append((what, unit, int(price)))
            name = []
    return found


def made(count: int, seed: int = 1) -> list[StoredOrder]:
    """Return so many orders, as they wait in the journal."""
    random, shop = Random(seed), articles()
    weights = [1 / (place + 4) for place in range(len(shop))]
    customers: list[dict[str, object]] = []
    counters = dict.fromkeys(MERCHANTS, 100)
    wall_s = 1_800_000_000.0
    found = []
    for _ in range(count):
        wall_s += random.expovariate(1 / 240)
        merchant = random.choice(MERCHANTS)
        counters[merchant] += 1
        order = _order(random, shop, weights, customers, wall_s)
        receipt = f"SMT-{MERCHANTS.index(merchant) + 1:04d}-{counters[merchant]:04d}"
        found.append(StoredOrder(order, merchant, receipt, wall_s, "trusted", content_hash(order, merchant)))
    return found


def _order(
    random: Random,
    shop: list[tuple[str, str, int]],
    weights: list[float],
    customers: list[dict[str, object]],
    wall_s: float,
) -> Order:
    if not customers or random.random() < 0.5:
        customers.append(_customer(random))
    lines = []
    for name, unit, price in dict.fromkeys(random.choices(shop, weights, k=random.randint(4, 8))):
        sku = name.lower().replace(" ", "-")
        quantity = random.choice(("1", "2", "3", "4", "5", "6", "10", "0.5", "1.5", "2.5", "12"))
        lines.append({"sku": sku, "name": name, "quantity": quantity, "unit": unit, "unit_price_minor": price})
    made_at = datetime.fromtimestamp(wall_s - random.uniform(0.2, 3.0), UTC)
    fields: dict[str, object] = {
        "id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
        "currency": "PEN",
        "buyer": random.choice(customers),
        "lines": lines,
        "note": random.choice(_NOTES) if random.random() < 0.5 else "",
        "catalogue_version": "2026-11-20",
        "made_at": made_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    if random.random() < 0.15:
        fields["payment"] = {"method": "mobile-money", "reference": str(random.randint(10_000_000, 99_999_999))}
    return order_from(fields)


def _customer(random: Random) -> dict[str, object]:
    given, family = _GIVEN.split(), _FAMILY.split()
    name = f"{random.choice(given)} {random.choice(family)} {random.choice(family)}"
    customer: dict[str, object] = {"name": name, "phone": f"9{random.randint(0, 99_999_999):08d}"}
    if random.random() < 0.3:
        customer["address"] = f"{random.choice(_ADDRESSES)} {random.randint(100, 999)}"
    return customer
