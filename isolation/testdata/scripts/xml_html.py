import html
import html.parser
import xml.etree.ElementTree as ET
from xml.dom import minidom

root = ET.fromstring("<a x='1'><b>text</b><b>é</b><c/></a>")
print([b.text for b in root.findall("b")], root.attrib, ET.tostring(root, encoding="unicode"))
ET.SubElement(root, "d").text = "<&>"
print(ET.tostring(root), minidom.parseString("<r><s/></r>").toprettyxml(indent=" "))
print(html.escape("<a href='x'>"), html.unescape("&lt;&eacute;&#39;"))


class Links(html.parser.HTMLParser):
    def handle_starttag(self, tag, attrs):
        print(tag, attrs)


Links().feed("<p class=x>hi <a href='/y'>link</a>")
try:
    ET.fromstring("<a><b></a>")
except ET.ParseError as exc:
    print(exc)
