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
	Leaks: []string{
		"kernel objects that outlive processes: shared memory, message queues, keyrings",
		"files outside the job's directory",
		"what another user id would keep secret: the worker's memory and environment, the harness's frames",
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
