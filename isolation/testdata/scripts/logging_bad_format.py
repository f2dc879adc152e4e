import logging

log = logging.getLogger("script.bad_format")
log.warning("%d things", "no number")
