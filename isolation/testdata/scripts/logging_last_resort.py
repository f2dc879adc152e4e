import logging

log = logging.getLogger("script.last_resort")
log.info("hidden")
log.warning("without any handler")
log.error("a dictionary: %(a)s", {"a": 1})
