"""What the box logs: one JSON line an event on standard error, for the journal of the machine to keep.

Events name what happened to the box, never who asked or what for: no URL, address, name, token or body is a field.
"""

import logging
import sys

import structlog


def configure() -> None:
    """Send events to standard error as JSON, and libraries' warnings with them."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    library = '{"event": "library", "logger": "%(name)s", "level": "%(levelname)s"}'  # not its words: they quote peers
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format=library)
