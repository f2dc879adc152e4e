package integration

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/seed-0f8c9bb6/molt"

// The packages' dependencies on each other, which keep a job's way one-way.
var mayImport = map[string][]string{
	"queue":                {},
	"queue/embednats":      {},
	"pyproc":               {},
	"isolation":            {"pyproc"},
	"isolation/experiment": {"isolation", "pyproc"},
	"isolation/hostile":    {}, // for tests: no package imports it
	"isolation/pyenv":      {}, // for tests: no package imports it
	"worker":               {"queue", "pyproc", "isolation"},
	"configs":              {},
	"cmd/molt/benchmark":   {"queue"},
	"cmd/molt":             {"queue", "queue/embednats", "pyproc", "isolation", "isolation/experiment", "worker", "configs", "cmd/molt/benchmark"},
	"integration":          {"queue"},
	"integration/testkit":  {}, // for tests: no package imports it
}

// Modules that one package alone may know.
var onlyImporter = map[string]string{
	"github.com/nats-io/nats-server": "queue/embednats",
	"github.com/spf13/cobra":         "cmd/molt",
	"github.com/prometheus/client":   "cmd/molt",
	"github.com/prometheus/common":   "integration/testkit",
	"github.com/goccy/go-yaml":       "configs",
}

func TestImportRules(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("package %s has no import rule: add one", name)
			continue
		}
		seen++
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, module+"/"); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s; it may import only %v", name, ours, allowed)
			}
			for prefix, only := range onlyImporter {
				if strings.HasPrefix(imported, prefix) && name != only {
					t.Errorf("%s imports %s, which is for %s alone", name, imported, only)
				}
			}
		}
	}
	if seen != len(mayImport) {
		t.Errorf("%d packages checked, the rules name %d", seen, len(mayImport))
	}
}
