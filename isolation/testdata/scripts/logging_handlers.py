import io
import logging
import logging.handlers

stream = io.StringIO()
log = logging.getLogger("script.handlers")
log.propagate = False
log.setLevel(logging.DEBUG)
handler = logging.StreamHandler(stream)
handler.setFormatter(logging.Formatter("{levelname:<8}|{message}", style="{"))
log.addHandler(handler)
file = logging.FileHandler("log.txt")
log.addHandler(file)
memory = logging.handlers.MemoryHandler(10, target=handler)
log.addHandler(memory)
log.info("hello %s", "there")
memory.flush()
for h in (handler, file, memory):
    log.removeHandler(h)
    h.close()
print(stream.getvalue(), open("log.txt").read())
