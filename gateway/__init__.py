"""Tambo: a gateway for a village that shares one weak 4G link.

Three rooms (`web`, `clinic`, `market`) and the `backhaul` that decides among them; `portal` shows them to people;
`app` puts them together. `ARCHITECTURE.md` is the map.
"""

__version__ = "0.1.0"
