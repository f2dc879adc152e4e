package isolation

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// withTestPolicy adds a file of testdata/restricted to a mode's policy.
func withTestPolicy(t *testing.T, mode Mode, file string) func(*pyproc.Spec) {
	t.Helper()
	added := testPolicy(t, file)
	return func(s *pyproc.Spec) { s.Policy = slices.Concat(mode.Policy, [][2]string{added}) }
}

func testPolicy(t *testing.T, file string) [2]string {
	t.Helper()
	source, err := os.ReadFile("testdata/restricted/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return [2]string{"<molt test " + file + ">", string(source)}
}

// TestRestrictedReach walks from the builtins and imports of a job through all attributes:
// nothing of what is met may lead out, and nothing of the library's can be changed.
func TestRestrictedReach(t *testing.T) {
	t.Parallel()
	p := startWith(t, restricted, withTestPolicy(t, restricted, "audit.py"))
	out := do(t, p, code("1"))
	if out.Completion == nil || out.Completion.Outcome != "ok" {
		t.Fatalf("%+v, stderr %s", out, out.Stderr)
	}
	var found []json.RawMessage
	if err := json.Unmarshal(out.Completion.Value, &found); err != nil || len(found) != 2 {
		t.Fatalf("%v: %s", err, out.Completion.Value)
	}
	var violations []string
	_ = json.Unmarshal(found[1], &violations)
	for _, v := range violations {
		t.Error(v)
	}
	var reached int
	if _ = json.Unmarshal(found[0], &reached); reached < 1000 || reached >= 200_000 {
		t.Errorf("%d objects met", reached)
	}
}
