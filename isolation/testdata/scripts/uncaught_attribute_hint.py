import collections

collections.Conuter("abc")
