package isolation

import (
	"embed"
	"io/fs"
	"slices"
)

//go:embed reset/*.py
var resetFiles embed.FS

var reset = Mode{
	Name:      "reset",
	Summary:   "all jobs in one process, which is put back to its baseline after each, or replaced",
	Policy:    policyFiles(resetFiles, "reset/*.py"),
	InProcess: true,
	Layers: []string{
		"fresh __main__", "own process group", "explicit environment",
		"state put back after every job", "replaced when it cannot be",
	},
	KeepsOut: "all of the above and what a job changes in the process: modules, builtins and library objects that it patched, " +
		"`sys`, `os.environ`, signal handlers and timers, locks, descriptors, limits, threads, child processes; " +
		"what can't be put back makes the interpreter be replaced before the next job",
	Cost: "some 20 µs of processor time for a job that provably changes nothing; for any other about a millisecond, " +
		"and four where it may have relabelled functions",
	Leaks: []string{
		"kernel objects that outlive processes: shared memory, message queues, keyrings",
		"files outside the job's directory",
		"reading and signalling what the worker's user can, and what earlier jobs left in the process's memory",
		"what a hostile job does to molt's own code in the process: to the reset, or to how later jobs are answered",
	},
	Declares: slices.Concat(outliveProcesses, needAnotherUser, []string{"memory-residue"}),
}

// policyFiles are a policy's files in the order of their names. Only the last uses, when
// it is run, what others define.
func policyFiles(files embed.FS, pattern string) [][2]string {
	var policy [][2]string
	paths, _ := fs.Glob(files, pattern)
	for _, path := range paths {
		content, err := files.ReadFile(path)
		if err != nil {
			panic(err) // what was found in the binary can be read from it
		}
		policy = append(policy, [2]string{"<molt " + path + ">", string(content)})
	}
	return policy
}
