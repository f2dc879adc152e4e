# changes: the root logger
import logging

logging.basicConfig(level=logging.INFO, format="%(levelname)s:%(name)s:%(lineno)d:%(message)s")
log = logging.getLogger("app.part")
log.debug("hidden")
log.info("shown %d", 1)
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
logging.warning("by the root")
