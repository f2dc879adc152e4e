import json

text = '{"a": [1, 2,, 3]}'
print(json.loads('{"a": 1}'))
json.loads(text)
