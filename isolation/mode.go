package isolation

import (
	"fmt"
	"slices"
	"strings"
)

// Mode is one way to keep jobs apart. Adding a mode takes one Go file, one
// line in the table below and, where the way that one job is run is new, a
// Python policy file.
type Mode struct {
	// Name is what pools, subjects' metadata and results call the mode.
	Name string
	// Summary says in one line what the mode is for.
	Summary string
	// Policy is the Python files that run one job, each as its name and source.
	Policy [][2]string
	// InProcess is true when job code runs inside the interpreter itself, so
	// that a death by SIGKILL or SIGTERM can't be told from an operator's.
	InProcess bool
	// Forks is true when each job runs in a child of the interpreter, which
	// survives it.
	Forks bool
	// Restricted is true when jobs are written in a part of Python, and import
	// modules of a list only.
	Restricted bool
	// Layers names what is enforced, as results report it.
	Layers []string
	// KeepsOut says what of one job the next does not meet; Leaks what it may, item by
	// item; Cost what that takes. The README's table is made of them.
	KeepsOut string
	Leaks    []string
	Cost     string
	// Declares are the ids of the probes (package experiment) that the mode lets leak.
	Declares []string
}

// What no mode keeps out that runs jobs as the worker's user, without namespaces of the
// kernel: ids of probes.
var (
	outliveProcesses = []string{
		"sysv-shared-memory", "sysv-queue", "posix-shared-memory", "posix-queue", "keyring",
		"tmp-file", "user-site",
	}
	needAnotherUser = []string{"worker-environment", "worker-memory", "worker-signals"}
)

// table lists every mode. Order is the order of documentation.
var table = []Mode{shared, reset, fork, restricted, restrictedFork}

// Names returns the modes' names in table order.
func Names() []string {
	names := make([]string, len(table))
	for i, m := range table {
		names[i] = m.Name
	}
	return names
}

// Modes returns every mode in table order.
func Modes() []Mode { return slices.Clone(table) }

// Lookup returns the mode of that name; the error lists the known ones.
func Lookup(name string) (Mode, error) {
	for _, m := range table {
		if m.Name == name {
			return m, nil
		}
	}
	return Mode{}, fmt.Errorf("isolation mode %q is unknown: choose one of %s", name, strings.Join(Names(), ", "))
}
