package isolation

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// valueCases: trailing expressions, what is carried of them, and asked-for globals.
func valueCases() []conformanceCase {
	var cases []conformanceCase
	for source, want := range map[string][2]string{
		"None":                    {"null", "None"},
		"True":                    {"true", "True"},
		"1 + 1":                   {"2", "2"},
		"-0.5":                    {"-0.5", "-0.5"},
		"2**53":                   {"9007199254740992", "9007199254740992"},
		"2**53 + 1":               {"", "9007199254740993"},
		"float('nan')":            {"", "nan"},
		"float('inf')":            {"", "inf"},
		"[1.5, float('nan')]":     {"", "[1.5, nan]"},
		"'h\\u00e9 \"x\"\\n'":     {`"hé \"x\"\n"`, `'hé "x"\n'`},
		"x = '\\ud800'; x":        {"", `'\ud800'`}, // as a docstring 3.13 refuses it
		"['\\ud800']":             {"", `['\ud800']`},
		"b'x'":                    {"", "b'x'"},
		"(1, 2)":                  {"", "(1, 2)"},
		"[1, [None, {'a': 2.0}]]": {`[1,[null,{"a":2.0}]]`, "[1, [None, {'a': 2.0}]]"},
		"{1: 2}":                  {"", "{1: 2}"},
		"x = 1; x":                {"1", "1"},
		"x = 'é'; x + ';'":        {`"é;"`, "'é;'"},
		"'doc'":                   {`"doc"`, "'doc'"},
		"True if 1 else {}":       {"true", "True"},
		"\n\n# c\n3 # d\n\n":      {"3", "3"},
		"3\n# after\n":            {"3", "3"},
		"(4,\n5)[\n1]":            {"5", "5"},
		"if 1:\n  x = 2\nx;":      {"2", "2"},
		"a = []; a.append(a); a":  {"", "[[...]]"},
	} {
		cases = append(cases, conformanceCase{"value of " + strings.ReplaceAll(source, "\n", "⏎"), code(source), value(want[0], want[1])})
	}
	for _, source := range []string{"x = 1", "pass", "", "# c", "if 1: a = 2; a", "for i in [1]:\n  i\n", "x = '''\n1'''", "assert 1"} {
		cases = append(cases, conformanceCase{"no value of " + strings.ReplaceAll(source, "\n", "⏎"), code(source), all(ok, noValue)})
	}
	return append(cases, hostileValueCases()...)
}

func hostileValueCases() []conformanceCase {
	absent := func(reprHas string, cut ...string) check {
		return func(t *testing.T, out pyproc.Outcome) {
			t.Helper()
			ok(t, out)
			if out.Completion.Value != nil {
				t.Errorf("value %.100s", out.Completion.Value)
			}
			if !strings.Contains(deref(out.Completion.Repr), reprHas) {
				t.Errorf("repr %.200q lacks %q", deref(out.Completion.Repr), reprHas)
			}
			truncated(cut...)(t, out)
		}
	}
	return []conformanceCase{
		{"value 500 deep", code("x = 1", "for _ in range(500): x = [x]", "x"), func(t *testing.T, out pyproc.Outcome) {
			ok(t, out)
			if got := string(out.Completion.Value); got != strings.Repeat("[", 500)+"1"+strings.Repeat("]", 500) {
				t.Errorf("value %.50s", got)
			}
		}},
		{"value 501 deep", code("x = 1", "for _ in range(501): x = [x]", "x"), func(t *testing.T, out pyproc.Outcome) {
			ok(t, out)
			if out.Completion.Value != nil {
				t.Errorf("value %.50s", out.Completion.Value)
			}
		}},
		{"value 100000 deep", code("x = 1", "for _ in range(100_000): x = [x]", "x"), absent("<unrepresentable list: RecursionError>")},
		{"value shared exponentially", code("x = [1, 1]", "for _ in range(20): x = [x, x]", "x"), absent("[[[", "repr")},
		{"value too large", code("'é' * 100_000"), absent("'éé", "repr")},
		{"value of too many digits", code("10 ** 100_000"), absent("unrepresentable int: ValueError")},
		{"repr raises", code("class A:", "  def __repr__(self): raise KeyError('x')", "A()"), absent("<unrepresentable A: KeyError>")},
		{"repr exits", code("class A:", "  def __repr__(self): raise SystemExit(3)", "A()"), absent("<unrepresentable A: SystemExit>")},
		{"repr is no string", code("class A:", "  def __repr__(self): return 1", "A()"), absent("<unrepresentable A: TypeError>")},
		{"repr is a subclass", code("class S(str):", "  encode = isascii = __len__ = None", "class A:", "  def __repr__(self): return S('s')", "A()"), absent("s")},
		{"hostile metaclass", code("class M(type):", "  def __getattribute__(c, n): 1/0",
			"class A(metaclass=M):", "  __class__ = property(lambda s: 1/0)", "  def __repr__(self): 1/0", "A()"), absent("<unrepresentable A: ZeroDivisionError>")},
		{"int subclass", code("class I(int): pass", "I(3)"), absent("3")},
		{"locals", pyproc.Request{Code: "a = 1; b = {'x': [2]}; c = {3}; d = None", Locals: []string{"a", "b", "c", "d", "e"}},
			all(ok, locals(map[string]string{"a": "1", "b": `{"x":[2]}`, "d": "null"}))},
		{"locals after an error", pyproc.Request{Code: "a = 1\n1/0", Locals: []string{"a"}}, locals(map[string]string{"a": "1"})},
		{"inputs", pyproc.Request{Code: "print(n + 1, s)\nn", Inputs: json.RawMessage(`{"n": 41, "s": "é<&>"}`)}, all(prints("42 é<&>\n"), value("41", "41"))},
		{"inputs too deep", pyproc.Request{Code: "print(1)", Inputs: json.RawMessage(`{"n":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`)},
			okOrRaised("RecursionError")}, // 3.13 nests deeper
		{"inputs of too many digits", pyproc.Request{Code: "print(1)", Inputs: json.RawMessage(`{"n":1` + strings.Repeat("0", 5000) + `}`)},
			okOrRaised("ValueError")}, // 3.10 had no limit at first
	}
}

// okOrRaised is for what only some versions of Python refuse, at line 0: before the job.
func okOrRaised(kind string) check {
	return func(t *testing.T, out pyproc.Outcome) {
		t.Helper()
		if out.Completion.Outcome == "ok" {
			prints("1\n")(t, out)
			return
		}
		raised(kind, "", 0)(t, out)
	}
}
