import csv
import io
import sys

out = csv.writer(sys.stdout, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
out.writerow(["a", 'quote"', "comma, x", 1.5, None])
rows = list(csv.DictReader(io.StringIO("x;y\n1;2\n3;'4;5'\n"), delimiter=";", quotechar="'"))
print(rows)
print(csv.Sniffer().sniff("a|b|c\n1|2|3\n").delimiter)
