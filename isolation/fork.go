package isolation

import (
	"embed"
	"slices"
)

//go:embed fork/*.py
var forkFiles embed.FS

var fork = Mode{
	Name:    "fork",
	Summary: "each job in a copy-on-write child of a warm process that never runs job code: crashes, limits and every in-process state end with the child",
	Policy:  policyFiles(forkFiles, "fork/*.py"),
	Forks:   true,
	Layers:  []string{"process of its own", "fresh __main__", "own process group", "explicit environment", "descendants killed"},
	Leaks: []string{
		"kernel objects that outlive processes: shared memory, message queues, keyrings",
		"files outside the job's directory",
		"what another process of the same user may read or signal, this interpreter and the worker among them",
	},
	Declares: slices.Concat(outliveProcesses, needAnotherUser),
}
