package isolation

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// TestThirdPartyModules: what is not of the standard library stays imported between jobs,
// or is imported afresh by each, as the pool chooses.
func TestThirdPartyModules(t *testing.T) {
	t.Parallel()
	venv := filepath.Join(t.TempDir(), "venv")
	if out, err := exec.Command(pyenv.Base(), "-m", "venv", "--without-pip", venv).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	site, err := filepath.Glob(filepath.Join(venv, "lib", "python3*", "site-packages"))
	if err != nil || len(site) != 1 {
		t.Fatalf("%v, %v", site, err)
	}
	if err := os.WriteFile(filepath.Join(site[0], "foreign.py"), []byte("import json\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		drop bool
		want string
	}{{false, "(True, True)"}, {true, "(False, True)"}} {
		settings, err := reset.Settings(Options{DropThirdParty: c.drop})
		if err != nil {
			t.Fatal(err)
		}
		p := startWith(t, reset, func(s *pyproc.Spec) {
			s.Python, s.Options = filepath.Join(venv, "bin", "python"), settings
		})
		for range 2 {
			do(t, p, code("import foreign"))
			out := do(t, p, code("import sys\n'foreign' in sys.modules, 'json' in sys.modules"))
			if out.Completion == nil || out.Completion.Repr == nil || *out.Completion.Repr != c.want || !out.Reusable {
				t.Errorf("dropped %v: %+v, taint %q, stderr %s", c.drop, out.Completion, out.Taint, out.Stderr)
			}
		}
	}
}
