"""The four traffic classes, in the order in which they are served (after RFC 4594 §2 and RFC 8622)."""

from enum import StrEnum


class TrafficClass(StrEnum):
    """What kind of use a byte on the link is."""

    REALTIME = "realtime"  # a consultation's voice, then its picture
    INTERACTIVE = "interactive"  # orders, signalling, clinical records
    WEB = "web"  # a page somebody waits for
    BULK = "bulk"  # warm-up, photos, updates
