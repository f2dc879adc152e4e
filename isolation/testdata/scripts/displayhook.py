import sys

1 + 1
"not printed"
sys.displayhook("printed by hand")
None
