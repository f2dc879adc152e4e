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
	KeepsOut: "all of the above and every in-process state: each job is a copy-on-write child of a warm process that runs " +
		"no job code; crashes and limits end the child alone, and no process that it started survives it",
	Cost: "about a millisecond of processor time a job",
	Leaks: []string{
		"kernel objects that outlive processes: shared memory, message queues, keyrings",
		"files outside the job's directory",
		"reading and signalling what the worker's user can, this interpreter and the worker among it",
	},
	Declares: slices.Concat(outliveProcesses, needAnotherUser),
}
