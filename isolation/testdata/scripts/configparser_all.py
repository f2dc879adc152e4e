import configparser
import sys

config = configparser.ConfigParser()
config.read_string("""
[DEFAULT]
home = /srv
[server]
port = 8080
path = %(home)s/www
debug = yes
""")
print(config.sections(), config.getint("server", "port"), config["server"]["path"], config.getboolean("server", "debug"))
config["new"] = {"k": "v"}
config.write(sys.stdout)
try:
    config.get("server", "nothing")
except configparser.NoOptionError as exc:
    print(exc)
