import email.message
import ipaddress
import mimetypes
from urllib.parse import parse_qs, quote, unquote, urlencode, urljoin, urlsplit

u = urlsplit("https://user@host.example:8080/p/a;x?q=1&q=2#frag")
print(u, u.port, u.hostname, parse_qs(u.query), urljoin("http://a/b/c", "../d"))
print(quote("a b/ü"), unquote("%C3%BC"), urlencode({"k": ["a", "b"], "x": "&"}, doseq=True))
print(ipaddress.ip_address("10.0.0.1") in ipaddress.ip_network("10.0.0.0/8"), list(ipaddress.ip_network("10.0.0.0/30").hosts()))
m = email.message.EmailMessage()
m["Subject"], m["To"] = "Grüße", "a@example.org"
m.set_content("body\n")
print(m.as_string(), mimetypes.guess_type("x.html"))
